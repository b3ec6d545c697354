//! Documents of Word, PowerPoint, Excel and of other makers: every word that is shown, once.

use materials::extract::{FileKind, Limits, WarningCode, extract, sniff_file};

use super::{TYPES, WORD, codes, document, read_document, text_of, zip};

fn assert_once(text: &str, words: &[&str]) {
    for word in words {
        assert_eq!(text.matches(word).count(), 1, "{word} in {text}");
    }
}

#[tokio::test]
async fn all_that_word_shows_is_read_once_and_what_it_hides_is_not() {
    let text = text_of("everything.docx").await;
    let shown = [
        "OTTER",
        "PROJECTX2024",
        "BADGER",
        "WEASEL",
        "STOAT",
        "FERRET",
        "MARTEN",
        "SABLE",
        "LYNX",
        "OCELOT",
        "PUMA",
        "JAGUAR",
        "LEOPARD",
    ];
    assert_once(&text.to_uppercase(), &shown);
    assert!(!text.contains("SKUNK") && !text.contains("MINK"), "{text}");
    assert!(text.contains("漢字 (かん)") && text.contains("α-particle"), "{text}");
}

#[tokio::test]
async fn numbers_headers_tables_and_pictures_of_a_report_are_read_once() {
    let read = read_document("report.docx").await;
    let text = read.pages.join("\n");
    let words = ["SALMON", "HERRING", "PERCH", "TENCH", "TROUT", "PIKE", "CARP", "STURGEON", "EEL"];
    assert_once(&text, &words);
    assert!(text.contains("1. first point HERRING") && text.contains("2. second point PERCH"), "{text}");
    assert_eq!(codes(&read), []);
}

#[tokio::test]
async fn equations_fields_and_included_pages_are_text() {
    let text = text_of("formula.docx").await;
    assert!(text.contains("The law E=mc^2"), "{text}");
    assert_once(&text, &["GANNET", "PUFFIN"]);
    assert!(!text.contains("TOC"));
}

#[tokio::test]
async fn slides_are_read_with_notes_charts_diagrams_tables_pictures_and_hidden_ones() {
    let read = read_document("talk.pptx").await;
    assert_eq!(read.pages.len(), 4);
    for (page, words) in read.pages.iter().zip([
        &["ROBIN", "WREN", "FINCH"][..],
        &["MAGPIE", "JAY", "ROOK"],
        &["LINNET", "SWIFT", "MARTIN"],
        &["SHRIKE"],
    ]) {
        assert_once(page, words);
    }
    assert_eq!(codes(&read), [WarningCode::HiddenRead]);
    let others = text_of("slides.pptx").await;
    let words = ["HERON", "SECOND", "STORK", "CRANE", "IBIS", "TOUCAN", "EGRET", "GREBE"];
    assert_once(&others, &words);
    assert!(!others.contains("DODO"));
}

#[tokio::test]
async fn a_workbook_is_read_row_by_row_with_days_remarks_pictures_and_hidden_sheets() {
    let read = read_document("book.xlsx").await;
    let text = read.pages.join("\n");
    assert!(text.contains("Name\tCount\tDay\nMAPLE\t1.1\t2024-02-29\nOAK\t\t\tfar ASH\nTRUE"), "{text}");
    assert_once(&text, &["MAPLE", "BIRCH", "WILLOW", "HAZEL"]);
    assert_eq!(codes(&read), [WarningCode::HiddenRead]);
}

#[tokio::test]
async fn documents_of_open_formats_are_read() {
    for (name, kind, words) in [
        (
            "text.odt",
            FileKind::Odt,
            &["LOTUS", "A word  TULIP goes on", "VIOLET", "DAISY", "POPPY\tASTER", "IRIS", "PEONY"][..],
        ),
        ("sheet.ods", FileKind::Ods, &["CEDAR", "PINE\tLARCH"]),
        ("slides.odp", FileKind::Odp, &["BASALT", "GRANITE"]),
        ("book.epub", FileKind::Epub, &["OSPREY & more", "KESTREL"]),
        ("letter.rtf", FileKind::Rtf, &["COBALT", "Café with COPPER", "NICKEL", "Last € SILVER"]),
        ("page.html", FileKind::Html, &["AMBER", "Café OPAL\nJADE"]),
        ("table.csv", FileKind::Csv, &["Köln;QUARTZ"]),
    ] {
        assert_eq!(sniff_file(&document(name), name).unwrap(), Some(kind), "{name}");
        let text = text_of(name).await;
        assert_once(&text, words);
        for hidden in ["ZINC", "RUBY", "TOPAZ", "Calibri", "ada"] {
            assert!(!text.contains(hidden), "{name}: {text}");
        }
    }
    let slides = read_document("slides.odp").await;
    assert_eq!(slides.pages, ["Slide BASALT", "Slide GRANITE"]);
    let book = text_of("book.epub").await;
    assert!(book.find("KESTREL") < book.find("OSPREY"), "{book}");
}

#[tokio::test]
async fn entities_of_a_document_are_not_followed() {
    for name in ["billion-laughs.docx", "xxe.docx"] {
        let read = extract(&document(name), FileKind::Docx, &Limits::default(), &mut |_| {}).await;
        assert_eq!(read.unwrap_err().to_string(), "Document cannot be read", "{name}");
    }
    assert_eq!(text_of("empty.docx").await, "");
}

#[tokio::test]
async fn a_picture_that_would_unpack_to_too_much_costs_no_word_around_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.docx");
    let rels = r#"<Relationships><Relationship Id="p" Type="x/image" Target="media/a.png"/></Relationships>"#;
    // 65,535 pixels on each side, by its header.
    let bomb = "\u{89}PNG\r\n\u{1A}\n";
    let bomb: Vec<u8> = bomb.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let bomb = [&bomb[..], b"\0\0\0\x0DIHDR\0\0\xFF\xFF\0\0\xFF\xFF\x08\0\0\0\0"].concat();
    let body = r#"<document xmlns:r="r"><p><r><t>OTTER</t><blip r:embed="p"/></r></p></document>"#;
    zip(&path, &[TYPES, WORD, ("word/document.xml", body), ("word/_rels/document.xml.rels", rels)]);
    super::add_to_zip(&path, "word/media/a.png", &bomb);
    let read = extract(&path, FileKind::Docx, &Limits::default(), &mut |_| {}).await.unwrap();
    assert_eq!(read.pages[0], "OTTER");
    assert_eq!(codes(&read), [WarningCode::PictureUnreadable]);
    assert!(read.warnings[0].message.ends_with("Image exceeds 100 megapixels"), "{read:?}");
}

#[tokio::test]
async fn a_picture_that_is_garbage_or_missing_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lost.docx");
    let rels = r#"<Relationships><Relationship Id="p" Type="x/image" Target="media/bad.png"/>
        <Relationship Id="q" Type="x/image" Target="media/gone.png"/></Relationships>"#;
    let body = r#"<document xmlns:r="r"><p><r><t>OTTER</t><blip r:embed="p"/><blip r:embed="q"/></r></p></document>"#;
    let bad = ("word/media/bad.png", "this is no picture");
    zip(&path, &[TYPES, WORD, ("word/document.xml", body), ("word/_rels/document.xml.rels", rels), bad]);
    let read = extract(&path, FileKind::Docx, &Limits::default(), &mut |_| {}).await.unwrap();
    assert_eq!(read.pages[0], "OTTER");
    assert_eq!(codes(&read), [WarningCode::PictureUnreadable; 2]);
    for name in ["bad.png", "gone.png"] {
        assert!(read.warnings.iter().any(|warning| warning.message.contains(name)), "{read:?}");
    }
}

#[tokio::test]
async fn parts_are_found_whatever_the_case_and_the_slash_of_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exported.docx");
    zip(&path, &[TYPES, WORD, ("Word\\Document.xml", "<document><p><r><t>OTTER</t></r></p></document>")]);
    assert_eq!(sniff_file(&path, "a").unwrap(), Some(FileKind::Docx));
    let read = extract(&path, FileKind::Docx, &Limits::default(), &mut |_| {}).await.unwrap();
    assert_eq!(read.pages, ["OTTER"]);
}

#[tokio::test]
async fn files_within_an_office_file_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("embedding.docx");
    let rels = r#"<Relationships><Relationship Id="p" Type="x/package" Target="embeddings/costs.xlsx"/>
        <Relationship Id="o" Type="x/oleObject" Target="embeddings/oleObject1.bin"/></Relationships>"#;
    let body = "<document><p><r><t>OTTER</t></r></p></document>";
    zip(&path, &[TYPES, WORD, ("word/document.xml", body), ("word/_rels/document.xml.rels", rels)]);
    let read = extract(&path, FileKind::Docx, &Limits::default(), &mut |_| {}).await.unwrap();
    assert_eq!(read.pages, ["OTTER"]);
    assert_eq!(codes(&read), [WarningCode::AttachmentsLeftOut]);
    let said = "files within the document were not read (2): costs.xlsx, oleObject1.bin";
    assert_eq!(read.warnings[0].message, said);
}

#[tokio::test]
async fn a_book_of_xhtml_is_read_with_its_pictures_and_what_it_lacks_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.epub");
    let root = r#"<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>"#;
    let list = r#"<package><manifest><item id="a" href="text/a.xhtml"/><item id="b" href="text/b.xhtml"/>
        <item id="c" href="text/c.xhtml"/></manifest><spine><itemref idref="a"/><itemref idref="b"/><itemref idref="c"/>
        <itemref idref="d"/></spine></package>"#;
    let first = r#"<?xml version="1.0"?><html><head><title/><script src="a.js"/></head><body><h1>OSPREY</h1>
        <img src="../images/the%20page.png" alt=""/><img src="https://example.com/far.png"/></body></html>"#;
    let parts = [
        ("mimetype", "application/epub+zip"),
        ("META-INF/container.xml", root),
        ("OEBPS/book.opf", list),
        ("OEBPS/text/a.xhtml", first),
        ("OEBPS/text/b.xhtml", "<html><body>KESTREL</body></html>"),
    ];
    zip(&path, &parts);
    let picture = std::fs::read(super::sample("scanned-page.png")).unwrap();
    super::add_to_zip(&path, "OEBPS/images/the page.png", &picture);
    assert_eq!(sniff_file(&path, "a").unwrap(), Some(FileKind::Epub));
    let read = extract(&path, FileKind::Epub, &Limits::default(), &mut |_| {}).await.unwrap();
    assert_eq!((read.pages[0].as_str(), read.pages[2].as_str()), ("OSPREY", "KESTREL"));
    assert!(read.pages[1].contains("chloroplasts"), "{read:?}");
    assert_eq!(codes(&read), [WarningCode::PartUnreadable; 2]);
    assert!(read.warnings[0].message.contains("OEBPS/text/c.xhtml"), "{read:?}");
    assert!(read.warnings[1].message.ends_with("no chapter d"), "{read:?}");
}

#[tokio::test]
async fn pages_of_a_book_that_are_in_no_order_are_read_behind_those_that_are() {
    let root = r#"<container><rootfiles><rootfile full-path="book.opf"/></rootfiles></container>"#;
    let item = |id: &str, more: &str| {
        format!(r#"<item id="{id}" href="{id}.xhtml" media-type="application/xhtml+xml"{more}/>"#)
    };
    let items =
        [item("notes", ""), item("nav", r#" properties="nav""#), item("one", ""), item("two", "")].concat();
    for (spine, expected) in [
        (r#"<spine><itemref idref="two"/><itemref idref="one"/></spine>"#, ["TWO", "ONE", "NOTES"]),
        ("<spine/>", ["NOTES", "ONE", "TWO"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.epub");
        let list = format!(
            "<?xml version=\"1.0\"?><!DOCTYPE package PUBLIC \"+//ISBN 0-9673008-1-9//DTD OEB 1.2 Package//EN\" \
             \"http://openebook.org/dtds/oeb-1.2/oebpkg12.dtd\"><package><manifest>{items}</manifest>{spine}</package>"
        );
        zip(
            &path,
            &[
                ("mimetype", "application/epub+zip"),
                ("META-INF/container.xml", root),
                ("book.opf", &list),
                ("nav.xhtml", "<html><body><nav>Contents</nav></body></html>"),
                ("one.xhtml", "<html><body>ONE</body></html>"),
                ("two.xhtml", "<html><body>TWO</body></html>"),
                ("notes.xhtml", "<html><body>NOTES</body></html>"),
            ],
        );
        let read = extract(&path, FileKind::Epub, &Limits::default(), &mut |_| {}).await.unwrap();
        assert_eq!((read.pages, read.warnings.len()), (expected.map(String::from).to_vec(), 0));
    }
}

#[tokio::test]
async fn a_diagram_of_a_sheet_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drawn.xlsx");
    let relation = |kind: &str, target: &str| {
        format!(r#"<Relationships><Relationship Id="r" Type="x/{kind}" Target="{target}"/></Relationships>"#)
    };
    let package = relation("officeDocument", "xl/workbook.xml");
    let book = relation("worksheet", "worksheets/sheet1.xml");
    let sheet = relation("drawing", "../drawings/d.xml");
    let drawing = relation("diagramData", "../diagrams/data1.xml");
    let parts = [
        TYPES,
        ("_rels/.rels", package.as_str()),
        (
            "xl/workbook.xml",
            r#"<workbook xmlns:r="r"><sheets><sheet name="S" r:id="r"/></sheets></workbook>"#,
        ),
        ("xl/_rels/workbook.xml.rels", book.as_str()),
        ("xl/worksheets/sheet1.xml", "<worksheet/>"),
        ("xl/worksheets/_rels/sheet1.xml.rels", sheet.as_str()),
        ("xl/drawings/d.xml", "<wsDr/>"),
        ("xl/drawings/_rels/d.xml.rels", drawing.as_str()),
        ("xl/diagrams/data1.xml", "<dataModel><pt><t><p><r><t>WALNUT</t></r></p></t></pt></dataModel>"),
    ];
    zip(&path, &parts);
    let read = extract(&path, FileKind::Xlsx, &Limits::default(), &mut |_| {}).await.unwrap();
    assert_eq!(read.pages, ["S\n\nWALNUT"]);
}

/// A package of parts that are in UTF-16 and begin with its mark.
fn wide_zip(path: &std::path::Path, parts: &[(&str, &str)]) {
    let wide =
        |text: &str| format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    zip(path, &[]);
    for (name, text) in parts {
        super::add_to_zip(path, name, &wide(text));
    }
}

#[tokio::test]
async fn parts_in_utf16_and_in_old_encodings_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.docx");
    let declared = |text: &str| format!(r#"<?xml version="1.0" encoding="UTF-16"?>{text}"#);
    let (types, rels) = (declared(TYPES.1), declared(WORD.1));
    let body = declared("<document><p><r><t>OTTER für 光合成</t></r></p></document>");
    wide_zip(&path, &[(TYPES.0, &types), (WORD.0, &rels), ("word/document.xml", &body)]);
    assert_eq!(sniff_file(&path, "a").unwrap(), Some(FileKind::Docx));
    let read = extract(&path, FileKind::Docx, &Limits::default(), &mut |_| {}).await.unwrap();
    assert_eq!((read.pages, read.warnings), (vec!["OTTER für 光合成".to_owned()], vec![]));

    let path = folder.path().join("old.xlsx");
    let relation = |kind: &str, target: &str| {
        format!(r#"<Relationship Id="{kind}" Type="x/{kind}" Target="{target}"/>"#)
    };
    let list = |relations: &[String]| format!("<Relationships>{}</Relationships>", relations.concat());
    let main = list(&[relation("officeDocument", "xl/workbook.xml")]);
    let book = list(&[relation("worksheet", "sheet1.xml"), relation("sharedStrings", "texts.xml")]);
    let parts = [
        TYPES,
        ("_rels/.rels", main.as_str()),
        ("xl/workbook.xml", r#"<workbook><sheet name="S" r:id="worksheet"/></workbook>"#),
        ("xl/_rels/workbook.xml.rels", book.as_str()),
        ("xl/sheet1.xml", r#"<worksheet><row><c t="s"><v>0</v></c></row></worksheet>"#),
    ];
    zip(&path, &parts);
    let texts = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><sst><si><t>K\xE4se</t></si></sst>";
    super::add_to_zip(&path, "xl/texts.xml", texts);
    let read = extract(&path, FileKind::Xlsx, &Limits::default(), &mut |_| {}).await.unwrap();
    assert_eq!((read.pages, read.warnings), (vec!["S\n\nKäse".to_owned()], vec![]));
}

#[tokio::test]
async fn a_package_that_names_no_main_part_is_read_by_the_usual_name() {
    let folder = tempfile::tempdir().unwrap();
    let relations = |kind: &str, target: &str| {
        format!(r#"<Relationships><Relationship Id="r" Type="x/{kind}" Target="{target}"/></Relationships>"#)
    };
    let slide = relations("slide", "slides/slide1.xml");
    let sheet = relations("worksheet", "worksheets/sheet1.xml");
    let elsewhere = relations("officeDocument", "word/gone.xml");
    let body = "<document><p><r><t>OTTER</t></r></p></document>";
    for (kind, parts, text) in [
        (FileKind::Docx, vec![("word/document.xml", body)], "OTTER"),
        (FileKind::Docx, vec![("_rels/.rels", elsewhere.as_str()), ("word/document.xml", body)], "OTTER"),
        (
            FileKind::Pptx,
            vec![
                ("ppt/presentation.xml", r#"<presentation><sldId r:id="r"/></presentation>"#),
                ("ppt/_rels/presentation.xml.rels", slide.as_str()),
                ("ppt/slides/slide1.xml", "<sld><p><r><t>HERON</t></r></p></sld>"),
            ],
            "HERON",
        ),
        (
            FileKind::Xlsx,
            vec![
                ("xl/workbook.xml", r#"<workbook><sheet name="S" r:id="r"/></workbook>"#),
                ("xl/_rels/workbook.xml.rels", sheet.as_str()),
                ("xl/worksheets/sheet1.xml", r#"<worksheet><row><c><v>7</v></c></row></worksheet>"#),
            ],
            "S\n\n7",
        ),
    ] {
        let path = folder.path().join("a");
        zip(&path, &[&[TYPES][..], &parts].concat());
        assert_eq!(sniff_file(&path, "a").unwrap(), Some(kind));
        let read = extract(&path, kind, &Limits::default(), &mut |_| {}).await.unwrap();
        assert_eq!(read.pages, [text]);
    }
}

#[tokio::test]
async fn documents_of_open_formats_in_one_file_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let document = |media: &str, body: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><office:document xmlns:office=\"o\" xmlns:text=\"t\" \
             office:mimetype=\"application/vnd.oasis.opendocument.{media}\"><office:meta><dc:title>SKUNK</dc:title></office:meta>\
             <office:styles><table:table-template><table:body/></table:table-template></office:styles>\
             <office:master-styles><style:master-page><style:header><text:p>VIOLET</text:p></style:header></style:master-page>\
             </office:master-styles><office:body>{body}</office:body></office:document>"
        )
    };
    let picture =
        "<draw:frame><draw:image><office:binary-data>aGVsbG8=</office:binary-data></draw:image></draw:frame>";
    let text = document("text", &format!("<office:text><text:p>LOTUS für{picture}</text:p></office:text>"));
    let row = "<table:table-row><table:table-cell><text:p>CEDAR</text:p></table:table-cell>\
               <table:table-cell><text:p>PINE</text:p></table:table-cell></table:table-row>";
    let sheet = format!(
        r#"<office:spreadsheet><table:table table:name="S">{row}</table:table></office:spreadsheet>"#
    );
    let slide = |word: &str| {
        format!(
            "<draw:page><draw:frame><draw:text-box><text:p>{word}</text:p></draw:text-box></draw:frame></draw:page>"
        )
    };
    let slides =
        format!("<office:presentation>{}{}</office:presentation>", slide("BASALT"), slide("GRANITE"));
    for (name, kind, source, pages, told) in [
        ("a.fodt", FileKind::Fodt, text, &["LOTUS für\n\nVIOLET"][..], vec![WarningCode::PictureUnreadable]),
        ("a.fods", FileKind::Fods, document("spreadsheet", &sheet), &["S\n\nCEDAR\tPINE"], vec![]),
        ("a.fodp", FileKind::Fodp, document("presentation", &slides), &["BASALT", "GRANITE"], vec![]),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, source).unwrap();
        assert_eq!(sniff_file(&path, "a.xml").unwrap(), Some(kind));
        let read = extract(&path, kind, &Limits::default(), &mut |_| {}).await.unwrap();
        assert_eq!(read.pages, pages);
        assert_eq!(codes(&read), told);
    }
    let path = folder.path().join("cut.fodt");
    std::fs::write(
        &path,
        "<office:document office:mimetype=\"application/vnd.oasis.opendocument.text\"><office:body>",
    )
    .unwrap();
    let refused = extract(&path, FileKind::Fodt, &Limits::default(), &mut |_| {}).await.unwrap_err();
    assert_eq!(refused.to_string(), "Document cannot be read");
}
