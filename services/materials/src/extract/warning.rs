use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ExtractError;

/// Something that the reader of a document could not take as text, or took with doubt: it is told, not hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// The page that it is about, from 1; `None` where it is about the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Its kind, for programs.
    pub code: WarningCode,
    /// The same for people.
    pub message: String,
}

/// The kinds of warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// Bytes or characters that are no part of a text were left out.
    OddCharacters,
    /// A page could not be read; the others were.
    PageUnreadable,
    /// A part of an Office document or a book is missing or damaged; the rest was read.
    PartUnreadable,
    /// A picture within a page could not be read.
    PictureUnreadable,
    /// A picture is cut short or damaged; what is there of it was read.
    PictureDamaged,
    /// A character map of a PDF is not installed, so some of its text is missing.
    MapMissing,
    /// The text that a PDF carries is unlike any language.
    LayerDoubtful,
    /// OCR was not sure of its words.
    OcrDoubtful,
    /// The document counts pages that are not in it.
    PagesMissing,
    /// Of an animation only the first picture was read.
    FramesLeftOut,
    /// Files within the document were not read.
    AttachmentsLeftOut,
    /// Slides, rows or sheets that are hidden were read too.
    HiddenRead,
}

impl Warning {
    pub(super) fn new(code: WarningCode, message: impl Into<String>) -> Self {
        Self { page: None, code, message: message.into() }
    }

    /// A picture within a document that could not be read.
    #[must_use]
    pub fn unread_picture(name: &str, error: &ExtractError) -> Self {
        let message = format!("the picture {name} could not be read: {error}");
        Self::new(WarningCode::PictureUnreadable, message)
    }

    /// The same, about page `number`.
    #[must_use]
    pub fn on(self, number: u32) -> Self {
        Self { page: Some(number), ..self }
    }
}
