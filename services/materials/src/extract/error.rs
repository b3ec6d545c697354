use std::io;
use std::time::Duration;

use super::FileKind;

/// The reason why a document could not be read. Its display is for the document's owner.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// It needs a password.
    #[error("{} is encrypted", .0.noun())]
    Encrypted(FileKind),
    /// It is broken, cut short, or not what it says it is.
    #[error("{} cannot be read", .kind.noun())]
    Unreadable {
        /// The kind that it was taken for.
        kind: FileKind,
        /// The fault, for the log: a document's owner can do nothing with a parser's words.
        reason: String,
    },
    /// A form whose pages are made by the programs of one maker.
    #[error("PDF is a form that only Adobe's programs show")]
    DynamicForm,
    /// Its letters are numbers that only a character map explains, and that map is not installed.
    #[error("PDF needs the character map {map}, which is not installed (Debian package poppler-data)")]
    MapMissing {
        /// The map.
        map: String,
    },
    /// A language of [`Limits::languages`](super::Limits::languages) is not installed.
    #[error("failed to read by OCR: language '{language}' is not installed (Debian package {package})")]
    LanguageMissing {
        /// As tesseract names it.
        language: String,
        /// The package that brings it.
        package: String,
    },
    /// It has no bytes at all.
    #[error("File is empty")]
    Empty,
    /// It has more than [`Limits::pages`](super::Limits::pages).
    #[error("Document exceeds {limit} pages")]
    TooManyPages {
        /// The most that it may have.
        limit: u32,
    },
    /// It unpacks to more than [`Limits::expanded_bytes`](super::Limits::expanded_bytes), or to more files than
    /// [`Limits::entries`](super::Limits::entries).
    #[error("Document expands beyond {} MB", .limit >> 20)]
    TooLarge {
        /// The most bytes that it may unpack to.
        limit: u64,
    },
    /// It holds more than [`Limits::text_bytes`](super::Limits::text_bytes) of text.
    #[error("Document has more than {} MB of text", .limit >> 20)]
    TooMuchText {
        /// The most bytes of text that it may have.
        limit: u64,
    },
    /// A picture has more than [`Limits::image_pixels`](super::Limits::image_pixels).
    #[error("Image exceeds {} megapixels", .limit / 1_000_000)]
    ImageTooLarge {
        /// The most pixels that it may have.
        limit: u64,
    },
    /// One page, or the text of one PDF, took longer than [`Limits::page_time`](super::Limits::page_time).
    #[error("OCR processing timeout after {:.1}s", .after.as_secs_f64())]
    PageTimeout {
        /// The time that it was given.
        after: Duration,
    },
    /// All pages together took longer than [`Limits::total_time`](super::Limits::total_time).
    #[error("Document processing timeout after {:.1}s", .after.as_secs_f64())]
    DocumentTimeout {
        /// The time that they were given.
        after: Duration,
    },
    /// The plan has no such page: the caller's fault, not the document's.
    #[error("failed to read page {number}: the document has {total}")]
    NoSuchPage {
        /// The page asked for.
        number: u32,
        /// Pages in all.
        total: u32,
    },
    /// A program that reads documents is not installed, or cannot start.
    #[error("failed to start {tool}: {reason}")]
    ToolUnavailable {
        /// The program.
        tool: &'static str,
        /// The missing thing.
        reason: String,
    },
    /// A program was killed from outside: by an operator, or by a system that ran out of memory.
    #[error("failed to finish {tool}: it was ended by signal {signal}")]
    ToolKilled {
        /// The program.
        tool: &'static str,
        /// The signal that ended it.
        signal: i32,
    },
    /// A file or a pipe failed.
    #[error("failed to {operation}: {source}")]
    Io {
        /// The operation.
        operation: &'static str,
        /// The fault.
        source: io::Error,
    },
}

impl ExtractError {
    /// True if another attempt would end the same way: the document itself is at fault.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Encrypted(_)
            | Self::Unreadable { .. }
            | Self::DynamicForm
            | Self::MapMissing { .. }
            | Self::Empty
            | Self::TooManyPages { .. }
            | Self::TooLarge { .. }
            | Self::TooMuchText { .. }
            | Self::ImageTooLarge { .. }
            | Self::DocumentTimeout { .. }
            | Self::NoSuchPage { .. } => true,
            // A page may be slow because the machine is busy.
            Self::PageTimeout { .. }
            | Self::LanguageMissing { .. }
            | Self::ToolUnavailable { .. }
            | Self::ToolKilled { .. }
            | Self::Io { .. } => false,
        }
    }

    /// True if it is the fault of a page, so that the others can still be read.
    #[must_use]
    pub fn costs_its_page_only(&self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::ImageTooLarge { .. } | Self::PageTimeout { .. })
    }

    pub(super) fn unreadable(kind: FileKind, reason: impl ToString) -> Self {
        Self::Unreadable { kind, reason: reason.to_string() }
    }

    pub(super) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_in_plain_words() {
        let after = Duration::from_secs(300);
        for (error, told) in [
            (ExtractError::Encrypted(FileKind::Pdf), "PDF is encrypted"),
            (ExtractError::unreadable(FileKind::Pdf, "xref"), "PDF cannot be read"),
            (ExtractError::unreadable(FileKind::Docx, "xml"), "Document cannot be read"),
            (ExtractError::TooManyPages { limit: 500 }, "Document exceeds 500 pages"),
            (ExtractError::TooLarge { limit: 200 << 20 }, "Document expands beyond 200 MB"),
            (ExtractError::PageTimeout { after }, "OCR processing timeout after 300.0s"),
        ] {
            assert_eq!(error.to_string(), told);
        }
    }
}
