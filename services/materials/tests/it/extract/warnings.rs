//! A part that cannot be read costs itself only.

use materials::extract::{ExtractError, FileKind, Limits, WarningCode, extract};

use super::{TYPES, WORD, codes, document, zip};

#[tokio::test]
async fn a_page_that_is_too_much_costs_no_other() {
    // Enough for a coarse look at a page, not for one that OCR can read.
    let limits = Limits { image_pixels: 2_000_000, ..Limits::default() };
    let read = extract(&document("mixed-pages.pdf"), FileKind::Pdf, &limits, &mut |_| {}).await.unwrap();
    assert!(read.pages[0].contains("ALBATROSS") && read.pages[3].contains("PELICAN"));
    assert_eq!(codes(&read), [WarningCode::PageUnreadable; 2]);
    assert_eq!(read.warnings[0].page, Some(2));
    assert_eq!(read.warnings[0].message, "the page could not be read: Image exceeds 2 megapixels");
}

#[tokio::test]
async fn a_document_without_a_page_that_could_be_read_fails_with_the_reason() {
    let limits = Limits { image_pixels: 1_000, ..Limits::default() };
    let error = extract(&document("sideways.pdf"), FileKind::Pdf, &limits, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, ExtractError::ImageTooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_page_that_cannot_be_seen_keeps_the_text_that_it_carries() {
    let limits = Limits { image_pixels: 2_000_000, ..Limits::default() };
    let read = extract(&document("stamp-over-scan.pdf"), FileKind::Pdf, &limits, &mut |_| {}).await.unwrap();
    assert!(read.pages[0].contains("Downloaded"), "{read:?}");
    assert_eq!(codes(&read), [WarningCode::PageUnreadable]);
}

fn relations(of: &[(&str, &str)]) -> String {
    let one = |(kind, part): &(&str, &str)| {
        format!(r#"<Relationship Id="{part}" Type="x/{kind}" Target="{part}"/>"#)
    };
    format!("<Relationships>{}</Relationships>", of.iter().map(one).collect::<String>())
}

#[tokio::test]
async fn a_damaged_part_of_a_document_costs_its_own_rest_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.docx");
    let rels = relations(&[("header", "header.xml"), ("comments", "comments.xml"), ("styles", "styles.xml")]);
    let parts = [
        TYPES,
        WORD,
        ("word/document.xml", "<document><p><r><t>OTTER</t></r></p></document>"),
        ("word/_rels/document.xml.rels", &rels),
        ("word/header.xml", "<hdr><p><r><t>BADGER</t></r></p><p><r><t"),
        ("word/comments.xml", "<comments><comment></p>"),
        ("word/styles.xml", "<styles>"),
    ];
    zip(&path, &parts);
    let read = extract(&path, FileKind::Docx, &Limits::default(), &mut |_| {}).await.unwrap();
    assert_eq!(read.pages, ["OTTER\n\nBADGER"]);
    assert_eq!(codes(&read), [WarningCode::PartUnreadable; 3]);
    for (warning, part) in
        read.warnings.iter().zip(["word/styles.xml", "word/comments.xml", "word/header.xml"])
    {
        assert!(warning.message.contains(part), "{warning:?}");
    }
}

#[tokio::test]
async fn a_slide_that_is_cut_or_gone_costs_no_other_and_all_of_them_the_document() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pptx");
    let main = relations(&[("officeDocument", "ppt/p.xml")]);
    let rels = relations(&[("slide", "1.xml"), ("slide", "2.xml"), ("slide", "3.xml")]);
    let list: String =
        ["1.xml", "2.xml", "3.xml", "none"].map(|id| format!(r#"<sldId r:id="{id}"/>"#)).concat();
    let list = format!("<presentation>{list}</presentation>");
    let deck = [TYPES, ("_rels/.rels", &main), ("ppt/p.xml", &list), ("ppt/_rels/p.xml.rels", &rels)];
    let slides = [
        ("ppt/1.xml", "<sld><p><r><t>ROBIN</t></r></p><p><r>"),
        ("ppt/3.xml", "<sld><p><r><t>WREN</t></r></p></sld>"),
    ];
    zip(&path, &[&deck[..], &slides].concat());
    let read = extract(&path, FileKind::Pptx, &Limits::default(), &mut |_| {}).await.unwrap();
    assert_eq!(read.pages, ["ROBIN", "", "WREN", ""]);
    assert_eq!(codes(&read), [WarningCode::PartUnreadable; 3]);
    let pages: Vec<_> = read.warnings.iter().map(|warning| warning.page).collect();
    assert_eq!(pages, [Some(1), Some(2), Some(4)]);
    zip(&path, &deck);
    let error = extract(&path, FileKind::Pptx, &Limits::default(), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "Document cannot be read");
}

#[tokio::test]
async fn a_sheet_that_is_cut_keeps_its_first_rows_and_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.xlsx");
    let main = relations(&[("officeDocument", "xl/b.xml")]);
    let rels = relations(&[("worksheet", "1.xml"), ("worksheet", "2.xml")]);
    let book = r#"<workbook><sheet name="A" r:id="1.xml"/><sheet name="B" r:id="2.xml"/></workbook>"#;
    let row = r#"<worksheet><row r="1"><c r="A1" t="inlineStr"><is><t>MAPLE</t></is></c></row>"#;
    let whole = format!("{row}</worksheet>").replace("MAPLE", "BIRCH");
    let deck = [TYPES, ("_rels/.rels", &main), ("xl/b.xml", book), ("xl/_rels/b.xml.rels", &rels)];
    zip(&path, &[&deck[..], &[("xl/1.xml", row), ("xl/2.xml", &whole)]].concat());
    let read = extract(&path, FileKind::Xlsx, &Limits::default(), &mut |_| {}).await.unwrap();
    assert!(read.pages[0].contains("MAPLE") && read.pages[1].contains("BIRCH"), "{read:?}");
    assert_eq!((codes(&read), read.warnings[0].page), (vec![WarningCode::PartUnreadable], Some(1)));
}
