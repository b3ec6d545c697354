//! Pictures in every form that cameras and programs give them.

use materials::extract::WarningCode;

use super::{codes, read_document, recall, text_of, words};

const PARAGRAPH: &str = "The mitochondria is the powerhouse of the cell. Chlorophyll absorbs light in the thylakoid. \
    Zanzibar is a word that stands only here.";

#[tokio::test]
async fn a_picture_is_turned_as_its_camera_was_held() {
    for name in
        (0..10).map(|turn| format!("exif-{turn}.jpg")).chain(["exif-6.png".into(), "exif-6.webp".into()])
    {
        assert_eq!(text_of(&name).await, "Exam on Friday", "{name}");
    }
}

#[tokio::test]
async fn three_words_are_read_whichever_way_up() {
    for name in ["upside-down.png", "sideways.png"] {
        assert_eq!(text_of(name).await, "Exam on Friday", "{name}");
    }
}

#[tokio::test]
async fn wide_capitals_stay_upright() {
    assert_eq!(words(&text_of("wide-capitals.png").await), ["diploma", "anna", "hohn"]);
}

#[tokio::test]
async fn pictures_of_every_depth_and_colour_are_read() {
    for name in [
        "cmyk.jpg",
        "grey.jpg",
        "progressive.jpg",
        "palette.png",
        "one-bit.png",
        "sixteen-bit.png",
        "inverted.png",
        "alpha-black-text.png",
        "alpha-white-text.png",
        "alpha-white-text.webp",
    ] {
        let text = text_of(name).await;
        assert!(recall(PARAGRAPH, &text) > 0.95, "{name}: {text}");
    }
    assert_eq!(text_of("tiny-text.png").await, "tiny words at 60 dpi");
}

#[tokio::test]
async fn of_an_animation_the_first_picture_is_read_and_that_is_told() {
    for name in ["animated.gif", "animated.webp"] {
        let read = read_document(name).await;
        assert_eq!(read.pages, ["First frame ALPHA"], "{name}");
        assert_eq!(codes(&read), [WarningCode::FramesLeftOut], "{name}");
    }
}

#[tokio::test]
async fn a_picture_of_nothing_is_an_empty_text() {
    for name in ["one-pixel.png", "white.png"] {
        assert_eq!(text_of(name).await, "", "{name}");
    }
}

#[tokio::test]
async fn of_a_picture_that_is_cut_short_what_is_there_is_read_and_that_is_told() {
    let read = read_document("truncated.jpg").await;
    assert!(recall(PARAGRAPH, &read.pages[0]) > 0.5, "{read:?}");
    assert_eq!(codes(&read), [WarningCode::PictureDamaged]);
}
