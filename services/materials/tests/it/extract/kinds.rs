//! The kind of a file, wherever its header begins.

use materials::extract::{FileKind, sniff_file};

use super::{document, text_of};

fn kind(name: &str, as_name: &str) -> Option<FileKind> {
    sniff_file(&document(name), as_name).unwrap()
}

#[tokio::test]
async fn a_pdf_is_read_though_bytes_stand_before_or_behind_it() {
    for name in ["junk-before.pdf", "junk-after.pdf", "no-startxref.pdf"] {
        assert_eq!(kind(name, "a"), Some(FileKind::Pdf), "{name}");
        assert!(text_of(name).await.contains("FLAMINGO"), "{name}");
    }
}

#[tokio::test]
async fn an_office_file_is_known_by_the_table_at_its_end() {
    for name in ["streamed.docx", "odd-order.docx", "template.dotx"] {
        assert_eq!(kind(name, "download.bin"), Some(FileKind::Docx), "{name}");
        assert!(text_of(name).await.contains("OTTER"), "{name}");
    }
    assert_eq!(kind("just-a-zip.docx", "a.docx"), None);
}
