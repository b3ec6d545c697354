//! Text out of documents that strangers upload.
//!
//! [`sniff`] says what a file really is, [`inspect`] reads all that is cheap to read and leaves a [`Plan`] that
//! says which pages are pictures, [`page`] reads one of them. A caller that must not lose paid work stores each
//! page as it comes; [`extract`] is for those that need not.
//!
//! Nothing here trusts a document: each is read by a process of its own, at the lowest priority and within
//! limits of time, memory and output, or by a parser that counts what it unpacks.

mod error;
mod image;
mod kind;
mod limits;
mod ocr;
mod office;
mod package;
mod pdf;
mod plain;
mod tool;
mod xml;

use std::path::{Path, PathBuf};

use longhaul::clock::Stopwatch;

pub use error::ExtractError;
pub use kind::{FileKind, SNIFF_BYTES, sniff, sniff_file};
pub use limits::Limits;
pub use tool::missing_tools;

/// The work of reading a document, and the findings of earlier reads for this plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The kind of the document.
    pub kind: FileKind,
    /// Its pages, in order; slides of a presentation; one for a kind that has no pages.
    pub pages: Vec<PlannedPage>,
}

/// A page as [`inspect`] leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedPage {
    /// Its text is known.
    Text(String),
    /// It has almost no text of its own, so it must be looked at. `layer` is the little that it has: a stamp,
    /// a page number, or nothing.
    Picture {
        /// The text that the page carries.
        layer: String,
    },
}

/// The progress of [`extract`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The page that has just been read, from 1.
    pub number: u32,
    /// Pages in all.
    pub total: u32,
}

impl Plan {
    /// Pages in all.
    #[must_use]
    pub fn total(&self) -> u32 {
        u32::try_from(self.pages.len()).unwrap_or(u32::MAX)
    }

    /// The numbers (from 1) of the pages that only OCR can read, each a second or more of work.
    #[must_use]
    pub fn pictures(&self) -> Vec<u32> {
        let numbered = (1..).zip(&self.pages);
        numbered.filter(|(_, page)| matches!(page, PlannedPage::Picture { .. })).map(|(n, _)| n).collect()
    }

    /// Puts the pages' texts together: a scan (most of its pages are pictures) as `--- Page n ---` blocks, so
    /// that whoever reads a passage can find it on paper; anything else as it was written. Pages without text
    /// leave no trace, so a document of blank pages is an empty text.
    #[must_use]
    pub fn join(&self, texts: &[String]) -> String {
        let is_scan = self.kind == FileKind::Pdf && 2 * self.pictures().len() > self.pages.len();
        let mut joined = String::new();
        for (number, text) in (1..).zip(texts).filter(|(_, text)| !text.trim().is_empty()) {
            if !joined.is_empty() {
                joined.push_str("\n\n");
            }
            if is_scan {
                joined.push_str(&format!("--- Page {number} ---\n"));
            }
            joined.push_str(text.trim());
        }
        joined
    }
}

/// Reads a whole document and calls `progress` after each page.
///
/// # Errors
/// See [`ExtractError`]; also where all pages together take longer than
/// [`total_time`](Limits::total_time).
pub async fn extract(
    path: &Path,
    kind: FileKind,
    limits: &Limits,
    progress: &mut (dyn FnMut(Page) + Send),
) -> Result<String, ExtractError> {
    let started = Stopwatch::start();
    let plan = inspect(path, kind, limits).await?;
    let total = plan.total();
    let mut texts = Vec::with_capacity(plan.pages.len());
    for number in 1..=total {
        if started.elapsed() >= limits.total_time {
            return Err(ExtractError::DocumentTimeout { after: limits.total_time });
        }
        texts.push(page(path, &plan, number, limits).await?);
        progress(Page { number, total });
    }
    let text = plan.join(&texts);
    limits.check_text(text.len())?;
    Ok(text)
}

/// Reads what is cheap: the number of pages and every text that is there as text. A document that breaks a
/// limit is refused here, before any of its pages is rendered.
///
/// # Errors
/// See [`ExtractError`].
pub async fn inspect(path: &Path, kind: FileKind, limits: &Limits) -> Result<Plan, ExtractError> {
    let path = absolute(path)?;
    let length = tokio::fs::metadata(&path).await.map_err(ExtractError::io("find the document"))?.len();
    if length == 0 {
        return Err(ExtractError::Empty);
    }
    let pages = match kind {
        FileKind::Pdf => pdf::inspect(&path, limits).await?,
        FileKind::Docx | FileKind::Pptx => {
            let limits = limits.clone();
            let pages = blocking(move || office::read(&path, kind, &limits)).await?;
            pages.into_iter().map(PlannedPage::Text).collect()
        }
        FileKind::Text | FileKind::Markdown => {
            limits.check_text(usize::try_from(length).unwrap_or(usize::MAX))?;
            let text = blocking(move || plain::read(&path)).await?;
            vec![PlannedPage::Text(text)]
        }
        FileKind::Jpeg | FileKind::Png | FileKind::Gif | FileKind::Webp => {
            let limits = limits.clone();
            blocking(move || image::check(&path, kind, &limits)).await?;
            vec![PlannedPage::Picture { layer: String::new() }]
        }
    };
    Ok(Plan { kind, pages })
}

/// Reads one page (from 1) of a document that was [inspected](inspect). Reading it again gives the same text.
///
/// # Errors
/// See [`ExtractError`]; a page that the plan does not have is [`ExtractError::NoSuchPage`].
pub async fn page(path: &Path, plan: &Plan, number: u32, limits: &Limits) -> Result<String, ExtractError> {
    let layer = match plan.page(number)? {
        PlannedPage::Text(text) => return Ok(text.clone()),
        PlannedPage::Picture { layer } => layer,
    };
    let path = absolute(path)?;
    if plan.kind != FileKind::Pdf {
        return ocr::file(&path, plan.kind, limits).await;
    }
    let Some(picture) = pdf::render(&path, number, limits).await? else { return Ok(layer.clone()) };
    let seen = ocr::picture(picture.bytes, picture.dpi, limits).await?;
    // A layer that is a title or a stamp is on the picture too, but letter for letter right. It only gives way
    // to a page of which it was a small part.
    let more = plain::letters(&seen) > 2 * plain::letters(layer);
    Ok(if more { seen } else { layer.clone() })
}

/// One page of a PDF as a PNG, for an OCR service elsewhere; `None` where there is nothing on it to read.
///
/// # Errors
/// See [`ExtractError`].
pub async fn page_png(
    path: &Path,
    plan: &Plan,
    number: u32,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, ExtractError> {
    plan.page(number)?;
    pdf::render_png(&absolute(path)?, number, limits).await
}

impl Plan {
    fn page(&self, number: u32) -> Result<&PlannedPage, ExtractError> {
        let index = usize::try_from(number).unwrap_or(usize::MAX).checked_sub(1);
        let page = index.and_then(|index| self.pages.get(index));
        page.ok_or(ExtractError::NoSuchPage { number, total: self.total() })
    }
}

/// A tool would take a relative name that begins with `-` for an option.
fn absolute(path: &Path) -> Result<PathBuf, ExtractError> {
    std::path::absolute(path).map_err(ExtractError::io("find the document"))
}

/// Runs what reads files or burns CPU where it holds up no request.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ExtractError> + Send + 'static,
) -> Result<T, ExtractError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|panic| Err(ExtractError::io("read the document")(std::io::Error::other(panic))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(pages: &[&str]) -> Plan {
        let picture = |layer: &&str| match *layer {
            "" => PlannedPage::Picture { layer: String::new() },
            text => PlannedPage::Text(text.to_owned()),
        };
        Plan { kind: FileKind::Pdf, pages: pages.iter().map(picture).collect() }
    }

    #[test]
    fn only_a_scan_is_marked_page_by_page() {
        let texts = ["one".to_owned(), " \n".to_owned(), "three".to_owned()];
        assert_eq!(plan(&["", "", "three"]).join(&texts), "--- Page 1 ---\none\n\n--- Page 3 ---\nthree");
        assert_eq!(plan(&["one", "", "three"]).join(&texts), "one\n\nthree");
        assert_eq!(plan(&["", ""]).join(&[String::new(), "\n".to_owned()]), "");
    }

    #[test]
    fn the_pictures_of_a_plan_are_numbered_from_one() {
        assert_eq!(plan(&["", "two", ""]).pictures(), [1, 3]);
        assert!(plan(&["one"]).page(0).is_err());
        assert!(plan(&["one"]).page(2).is_err());
    }
}
