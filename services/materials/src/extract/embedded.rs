use std::path::Path;

use super::package::Package;
use super::{ExtractError, FileKind, Limits, PageText, Warning, blocking, image, kind, ocr};

/// A picture within a document that is smaller than this on a side is a bullet, a line or an icon.
const MIN_SIDE: u32 = 48;
/// The most bytes that one may have.
const MAX_BYTES: u64 = 20 << 20;

/// The words in one picture of a document.
pub(super) struct Found {
    text: String,
    warnings: Vec<Warning>,
}

/// Reads a picture within a document by OCR. One that cannot be read costs itself only.
pub(super) async fn read(
    path: &Path,
    kind: FileKind,
    name: &str,
    limits: &Limits,
) -> Result<Found, ExtractError> {
    let seen = async {
        let (path, part, limits_) = (path.to_owned(), name.to_owned(), limits.clone());
        match blocking(move || picture(&path, kind, &part, &limits_)).await? {
            Some((kind, bytes)) => ocr::bytes(bytes, kind, limits).await,
            None => Ok(PageText::default()),
        }
    };
    match seen.await {
        Ok(page) => Ok(Found { text: page.text, warnings: page.warnings }),
        Err(error) if error.costs_its_page_only() => {
            Ok(Found { text: String::new(), warnings: vec![Warning::unread_picture(name, &error)] })
        }
        Err(error) => Err(error),
    }
}

/// A picture's bytes and kind; `None` for one that is too small to say anything.
pub(super) fn picture(
    path: &Path,
    kind: FileKind,
    name: &str,
    limits: &Limits,
) -> Result<Option<(FileKind, Vec<u8>)>, ExtractError> {
    let bytes = Package::open(path, kind, limits)?.bytes(name, MAX_BYTES)?;
    let unreadable = || ExtractError::unreadable(kind, format!("{name} is no picture"));
    let picture = kind::picture(&bytes).ok_or_else(unreadable)?;
    let size = image::size_in(picture, &bytes, limits)?.ok_or_else(unreadable)?;
    Ok((!is_icon(size)).then_some((picture, bytes)))
}

/// True for the size of a picture that is too small to say anything.
pub(super) fn is_icon((width, height): (u32, u32)) -> bool {
    width < MIN_SIDE || height < MIN_SIDE
}

/// The format of a picture that OCR cannot be tried on, by its name; `None` for one that is read.
pub(super) fn unread_format(name: &str) -> Option<String> {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let is_read =
        matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg" | "jpe" | "jfif" | "gif" | "webp"));
    (!is_read).then(|| extension.unwrap_or_else(|| "unknown".to_owned()))
}

impl Found {
    pub(super) fn append_to(self, page: &mut PageText) {
        if !self.text.trim().is_empty() {
            if !page.text.is_empty() {
                page.text.push_str("\n\n");
            }
            page.text.push_str(self.text.trim());
        }
        page.warnings.extend(self.warnings);
    }
}
