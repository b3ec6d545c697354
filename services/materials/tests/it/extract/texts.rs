//! Texts in any encoding, and with bytes that are no text.

use materials::extract::WarningCode;

use super::{codes, read_document, text_of};

#[tokio::test]
async fn text_is_decoded_whatever_its_encoding() {
    for name in [
        "utf8-bom.txt",
        "utf16le-bom.txt",
        "utf16be-bom.txt",
        "utf16le-nobom.txt",
        "utf32le-bom.txt",
        "windows-1252.txt",
    ] {
        let read = read_document(name).await;
        assert_eq!(read.pages, ["Café crème — it’s late. The word is QUOKKA."], "{name}");
        assert_eq!(read.warnings, [], "{name}");
    }
    assert_eq!(text_of("latin-1.txt").await, "Grüße aus Köln. QUOKKA.");
    assert_eq!(text_of("shift-jis.txt").await, "光合成は植物のはたらきです。");
}

#[tokio::test]
async fn the_encoding_is_found_from_a_byte_after_pages_of_ascii() {
    assert!(text_of("late-1252.txt").await.ends_with("Café QUOKKA"));
}

#[tokio::test]
async fn odd_bytes_are_left_out_and_told() {
    for (name, text) in [
        ("one-nul.txt", "Good text then QUOKKA."),
        ("one-bad-byte.txt", "Good text before.  Good text after QUOKKA."),
        ("dos-eof.txt", "Old text file QUOKKA"),
        ("ansi-colours.txt", "red log line QUOKKA"),
    ] {
        let read = read_document(name).await;
        assert_eq!(read.pages, [text], "{name}");
        assert_eq!(codes(&read), [WarningCode::OddCharacters], "{name}");
        assert_eq!(read.warnings[0].page, Some(1), "{name}");
    }
    let lines = read_document("nel.txt").await;
    assert_eq!((lines.pages[0].as_str(), codes(&lines)), ("line one\nline two QUOKKA", vec![]));
}

#[tokio::test]
async fn a_text_of_spaces_is_an_empty_one() {
    assert_eq!(text_of("spaces.txt").await, "");
}

#[tokio::test]
async fn words_of_macintosh_and_dos_are_whole_words() {
    let german = "Die Schüler üben größere Aufgaben über Wärmelehre für die Prüfung.";
    for (name, text) in [
        (
            "macroman.txt",
            "Les élèves étudient la géologie près du château. Où êtes-vous allés? Voilà l’œuvre: “naïve”.",
        ),
        ("mac-only.txt", "¿Qué lección sigue mañana? El niño leyó español y caminó"),
        ("mac-de.txt", german),
        ("dos850.txt", german),
    ] {
        let read = read_document(name).await;
        assert_eq!((read.pages.as_slice(), codes(&read)), (&[text.to_owned()][..], vec![]), "{name}");
    }
}
