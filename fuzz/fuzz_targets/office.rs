//! Office files, books, RTF, web pages, mails and texts. The first byte chooses the kind; where its lowest bit is set, the rest is the
//! main part of a package, because hardly any mutation of a zip file is one.
#![no_main]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use materials::extract::{FileKind, Limits, inspect};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const KINDS: [(FileKind, &str); 13] = [
    (FileKind::Docx, "word/document.xml"),
    (FileKind::Pptx, "ppt/slides/slide1.xml"),
    (FileKind::Xlsx, "xl/worksheets/sheet1.xml"),
    (FileKind::Odt, "content.xml"),
    (FileKind::Odp, "content.xml"),
    (FileKind::Ods, "content.xml"),
    (FileKind::Epub, "OEBPS/content.opf"),
    (FileKind::Rtf, ""),
    (FileKind::Html, ""),
    (FileKind::Csv, ""),
    (FileKind::Text, ""),
    (FileKind::Eml, ""),
    (FileKind::Mht, ""),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let (kind, part) = KINDS[usize::from(choice >> 1) % KINDS.len()];
    let file = if choice & 1 == 1 && !part.is_empty() { package(kind, part, rest) } else { rest.to_vec() };
    let path = format!("/dev/shm/longhaul-fuzz-{}", std::process::id());
    std::fs::write(&path, file).expect("room in memory");
    let limits = Limits { expanded_bytes: 8 << 20, text_bytes: 4 << 20, ..Limits::default() };
    // All that is text. Pictures are for programs of their own, which nothing here instruments.
    if let Ok(plan) = longhaul_fuzz::block_on(inspect(path.as_ref(), kind, &limits)) {
        assert!(plan.total() <= limits.pages);
    }
});

/// A package with one part, and what leads to it.
fn package(kind: FileKind, part: &str, xml: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut put = |name: &str, content: &[u8]| {
        zip.start_file(name, stored).expect("a name");
        zip.write_all(content).expect("memory");
    };
    put("mimetype", kind.mime().as_bytes());
    let relation = |kind: &str, target: &str| {
        format!(
            "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" \
             Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}\" Target=\"{target}\"/></Relationships>"
        )
    };
    match kind {
        FileKind::Docx => put("_rels/.rels", relation("officeDocument", part).as_bytes()),
        FileKind::Pptx => {
            put("_rels/.rels", relation("officeDocument", "ppt/presentation.xml").as_bytes());
            put(
                "ppt/presentation.xml",
                b"<p:presentation xmlns:p=\"p\" xmlns:r=\"r\"><p:sldIdLst><p:sldId id=\"256\" r:id=\"rId1\"/></p:sldIdLst></p:presentation>",
            );
            put("ppt/_rels/presentation.xml.rels", relation("slide", "slides/slide1.xml").as_bytes());
        }
        FileKind::Xlsx => {
            put("_rels/.rels", relation("officeDocument", "xl/workbook.xml").as_bytes());
            put("xl/workbook.xml", b"<workbook xmlns:r=\"r\"><sheets><sheet name=\"a\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>");
            put("xl/_rels/workbook.xml.rels", relation("worksheet", "worksheets/sheet1.xml").as_bytes());
        }
        FileKind::Epub => put(
            "META-INF/container.xml",
            b"<container><rootfiles><rootfile full-path=\"OEBPS/content.opf\"/></rootfiles></container>",
        ),
        _ => {}
    }
    put(part, xml);
    zip.finish().expect("memory").into_inner()
}
