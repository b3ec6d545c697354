//! Mails with what is attached to them, and pages that were saved in one file.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use materials::extract::{
    Extracted, FileKind, Limits, PlannedPage, WarningCode, extract, inspect, page, sniff_file,
};

use super::{codes, docx, sample};

async fn read(name: &str, source: impl AsRef<[u8]>) -> (FileKind, Extracted) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, source).unwrap();
    let kind = sniff_file(&path, name).unwrap().unwrap();
    (kind, extract(&path, kind, &Limits::default(), &mut |_| {}).await.unwrap())
}

async fn mail(source: impl AsRef<[u8]>) -> Extracted {
    let (kind, read) = read("a.eml", source).await;
    assert_eq!(kind, FileKind::Eml);
    read
}

/// A part with a file, in lines as mail programs write them.
fn attached(name: &str, media: &str, bytes: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(bytes);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!(
        "Content-Type: {media}; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        lines.join("\r\n")
    )
}

const WORD: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

fn word(text: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.docx");
    docx(&path, &format!("<document><p><r><t>{text}</t></r></p></document>"));
    std::fs::read(path).unwrap()
}

/// A mail of these parts.
fn mixed(parts: &[String]) -> String {
    let head = "Return-Path: <ada@example.com>\r\nFrom: =?iso-8859-1?Q?K=E4the?= <kaethe@example.com>\r\n\
                To: ada@example.com\r\nSubject: =?UTF-8?B?R3LDvMOfZQ==?=\r\nDate: Mon, 30 Nov 2026 10:00:00 +0100\r\n\
                MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_outer\"\r\n\r\n\
                This is a multi-part message in MIME format.\r\n";
    let parts: String = parts.iter().map(|part| format!("--=_outer\r\n{part}\r\n")).collect();
    format!("{head}{parts}--=_outer--\r\n")
}

#[tokio::test]
async fn a_mail_is_read_with_its_fields_its_words_once_and_its_attachments() {
    let words = "Content-Type: multipart/alternative; boundary=inner\r\n\r\n--inner\r\n\
                 Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
                 Der B=E4r hei=DFt OTT=\r\nER.\r\n--inner\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
                 <p>Der <b>Bär</b> heißt OTTER.</p>\r\n--inner--\r\n";
    let source = mixed(&[
        words.to_owned(),
        attached("Bericht.docx", WORD, &word("BADGER")),
        attached("notes.txt", "application/octet-stream", "Füchse: LYNX".as_bytes()),
        attached("pack.zip", "application/zip", b"PK\x03\x04 this is no zip that is read"),
    ]);
    let read = mail(source).await;
    let head = "Subject: Grüße\nFrom: Käthe <kaethe@example.com>\nTo: ada@example.com\nDate: 2026-11-30 10:00 +01:00\n\
                Attachments: Bericht.docx, notes.txt, pack.zip";
    let first = format!("{head}\n\nDer Bär heißt OTTER.");
    assert_eq!(read.pages, [first.as_str(), "BADGER", "Füchse: LYNX"]);
    assert_eq!(codes(&read), [WarningCode::AttachmentsLeftOut]);
    assert_eq!(read.warnings[0].message, "attachments were not read (1): pack.zip");
}

#[tokio::test]
async fn a_picture_and_a_pdf_that_are_attached_are_looked_at() {
    let gif = std::fs::read(sample("title.gif")).unwrap();
    let scan = std::fs::read(sample("scanned.pdf")).unwrap();
    let icon = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xFF\xFF\xFF,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
    let source = mixed(&[
        "\r\nSee the files.".to_owned(),
        attached("pixel.gif", "image/gif", icon),
        attached("title.gif", "image/gif", &gif),
        attached("scan.pdf", "application/pdf", &scan),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.eml");
    std::fs::write(&path, source).unwrap();
    let limits = Limits::default();
    let plan = inspect(&path, FileKind::Eml, &limits).await.unwrap();
    assert_eq!((plan.total(), plan.pictures()), (5, vec![2, 3, 4, 5]));
    assert!(matches!(&plan.pages[4], PlannedPage::Attached { place: 2, number: 3, .. }), "{plan:?}");
    let title = page(&path, &plan, 2, &limits).await.unwrap().text;
    assert!(title.contains("Photosynthesis"), "{title}");
    let last = page(&path, &plan, 5, &limits).await.unwrap().text;
    assert!(last.contains("Calvin"), "{last}");
}

#[tokio::test]
async fn an_attachment_that_cannot_be_read_costs_itself_only() {
    let read = mail(mixed(&[
        "\r\nOTTER".to_owned(),
        attached("broken.docx", WORD, &word("x")[..200]),
        attached("locked.pdf", "application/pdf", &std::fs::read(sample("encrypted.pdf")).unwrap()),
        attached("whole.docx", WORD, &word("BADGER")),
    ]))
    .await;
    assert!(read.pages[0].ends_with("OTTER"), "{read:?}");
    assert_eq!(read.pages[1..], ["BADGER"]);
    let told: Vec<&str> = read.warnings.iter().map(|warning| warning.message.as_str()).collect();
    let locked = "the attachment locked.pdf could not be read: PDF is encrypted";
    assert_eq!(told, [locked, "attachments were not read (1): broken.docx"]);
}

#[tokio::test]
async fn a_mail_within_a_mail_is_read_with_its_attachments() {
    let inner = mixed(&["\r\nLYNX".to_owned(), attached("a.docx", WORD, &word("BADGER"))]);
    let forwarded = format!("Content-Type: message/rfc822\r\n\r\n{inner}").replace("=_outer", "=_within");
    let as_file = attached("letter.eml", "application/octet-stream", b"Subject: STOAT\r\n\r\nMARTEN\r\n");
    let read = mail(mixed(&["\r\nOTTER".to_owned(), forwarded, as_file])).await;
    for word in ["OTTER", "LYNX", "STOAT", "MARTEN"] {
        assert_eq!(read.pages[0].matches(word).count(), 1, "{word} in {read:?}");
    }
    assert_eq!(read.pages[1..], ["BADGER"]);
    assert_eq!(read.warnings, []);
}

#[tokio::test]
async fn of_many_attachments_the_first_fifty_are_read() {
    let parts: Vec<String> =
        (0..60).map(|n| attached(&format!("{n}.txt"), "text/plain", format!("WORD{n}").as_bytes())).collect();
    let read = mail(mixed(&parts)).await;
    assert_eq!((read.pages.len(), read.pages[50].as_str()), (51, "WORD49"));
    assert!(
        read.warnings[0].message.starts_with("attachments were not read (10): 50.txt, 51.txt"),
        "{read:?}"
    );
}

#[tokio::test]
async fn a_damaged_mail_loses_no_word() {
    let whole = mixed(&[
        "\r\nOTTER".to_owned(),
        "Content-Type: text/plain; charset=no-such-set\r\n\r\nDer B\u{e4}r h\u{f6}rt den LYNX f\u{fc}r immer"
            .to_owned(),
        attached("a.docx", WORD, &word("BADGER")),
    ]);
    let cut = whole.strip_suffix("--=_outer--\r\n").unwrap();
    let renamed = whole.replacen("boundary=\"=_outer\"", "boundary=other", 1);
    for source in [whole.as_str(), cut, &renamed] {
        let read = mail(source).await;
        assert!(
            read.pages[0].contains("OTTER") && read.pages[0].contains("Der Bär hört den LYNX"),
            "{read:?}"
        );
        assert_eq!(read.pages[1..], ["BADGER"]);
    }
    let latin: Vec<u8> = whole.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert!(mail(&latin).await.pages[0].contains("Der Bär hört den LYNX"));
    let wide: Vec<u8> = format!("\u{FEFF}{whole}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(mail(&wide).await.pages[0].contains("Der Bär hört den LYNX"));
    let bare = "Subject: caf\u{e9}\nContent-Type: multipart/mixed\n\nno parts, OTTER\n";
    assert_eq!(mail(bare).await.pages, ["Subject: café\n\nno parts, OTTER"]);
}

#[tokio::test]
async fn a_page_that_was_saved_in_one_file_is_read() {
    let saved = "From: <Saved by Blink>\r\nSnapshot-Content-Location: https://example.com/leaf\r\nSubject: A leaf\r\n\
                 Date: Mon, 30 Nov 2026 10:00:00 -0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related;\r\n\
                 \ttype=\"text/html\";\r\n\tboundary=\"----MultipartBoundary--x----\"\r\n\r\n\r\n\
                 ------MultipartBoundary--x----\r\nContent-Type: text/html\r\nContent-ID: <frame-1@mhtml.blink>\r\n\
                 Content-Transfer-Encoding: quoted-printable\r\nContent-Location: https://example.com/leaf\r\n\r\n\
                 <!DOCTYPE html><html><head><meta charset=3D\"UTF-8\"><title>A leaf</title></head><body><p>How gr=C3=BCn OTT=\r\n\
                 ER is.</p><img src=3D\"https://example.com/a.png\"></body></html>\r\n\
                 ------MultipartBoundary--x----\r\nContent-Type: text/css\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
                 p { color: SKUNK }\r\n------MultipartBoundary--x----\r\nContent-Type: image/png\r\n\
                 Content-Transfer-Encoding: base64\r\nContent-Location: https://example.com/a.png\r\n\r\niVBORw0KGgo=\r\n\
                 ------MultipartBoundary--x------\r\n";
    for name in ["page.mhtml", "page.mht", "download"] {
        let (kind, read) = read(name, saved).await;
        assert_eq!(
            (kind, read.pages.as_slice()),
            (FileKind::Mht, &["A leaf\n\nHow grün OTTER is.".to_owned()][..])
        );
        assert_eq!(codes(&read), [WarningCode::PictureUnreadable]);
    }
}

#[tokio::test]
async fn a_bomb_that_is_attached_is_refused_with_the_mail() {
    let long = format!("<document><p><t>{}</t></p></document>", "word ".repeat(3_000));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.docx");
    docx(&path, &long);
    let source = mixed(&[attached("a.docx", WORD, &std::fs::read(&path).unwrap())]);
    let path = folder.path().join("a.eml");
    std::fs::write(&path, source).unwrap();
    let limits = Limits { text_bytes: 10 << 10, ..Limits::default() };
    let refused = extract(&path, FileKind::Eml, &limits, &mut |_| {}).await.unwrap_err();
    assert!(refused.is_final(), "{refused}");
    let limits = Limits { expanded_bytes: 10 << 10, ..Limits::default() };
    let refused = extract(&path, FileKind::Eml, &limits, &mut |_| {}).await.unwrap_err();
    assert_eq!(refused.to_string(), "Document expands beyond 0 MB");
}
