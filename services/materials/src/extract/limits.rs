use std::time::Duration;

use super::ExtractError;

/// The bounds for the reading of one document, and the languages in which OCR looks for words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pages or slides; more are refused before any is read. 500.
    pub pages: u32,
    /// Bytes that a zip may unpack to, or that a tool may write about a PDF. 200 MiB.
    pub expanded_bytes: u64,
    /// Bytes of text in UTF-8. 50 MiB, so that a text file that was small enough to upload is small enough here.
    pub text_bytes: u64,
    /// Files in a zip. 10,000.
    pub entries: usize,
    /// Pixels of a picture. 100 million.
    pub image_pixels: u64,
    /// For one page's OCR, or for one tool to read a PDF's whole text. 5 minutes.
    pub page_time: Duration,
    /// For all of [`extract`](super::extract). One hour: 500 scanned pages take about twenty minutes.
    pub total_time: Duration,
    /// Address space of one tool, in bytes. 2 GiB.
    pub memory_bytes: u64,
    /// The languages that OCR knows, as tesseract's `-l` takes them: `eng`, `eng+deu`. `eng`.
    pub languages: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pages: 500,
            expanded_bytes: 200 << 20,
            text_bytes: 50 << 20,
            entries: 10_000,
            image_pixels: 100_000_000,
            page_time: Duration::from_secs(300),
            total_time: Duration::from_secs(3600),
            memory_bytes: 2 << 30,
            languages: "eng".to_owned(),
        }
    }
}

impl Limits {
    pub(super) fn check_pages(&self, pages: usize) -> Result<(), ExtractError> {
        let within = u32::try_from(pages).is_ok_and(|pages| pages <= self.pages);
        within.then_some(()).ok_or(ExtractError::TooManyPages { limit: self.pages })
    }

    pub(super) fn check_text(&self, bytes: usize) -> Result<(), ExtractError> {
        let within = u64::try_from(bytes).is_ok_and(|bytes| bytes <= self.text_bytes);
        within.then_some(()).ok_or(ExtractError::TooMuchText { limit: self.text_bytes })
    }

    pub(super) fn too_large(&self) -> ExtractError {
        ExtractError::TooLarge { limit: self.expanded_bytes }
    }
}
