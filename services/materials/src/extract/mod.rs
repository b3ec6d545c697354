//! Text out of documents that strangers upload.
//!
//! [`sniff_file`] says what a file really is, [`inspect`] reads all that is cheap to read and leaves a [`Plan`] that
//! says which pages have to be looked at, [`page`] reads one of them. A caller that must not lose paid work stores
//! each page as it comes; [`extract`] is for those that need not. A page that cannot be read costs its own text only,
//! and is named by a [`Warning`].
//!
//! Nothing here trusts a document: each is read by a process of its own, at the lowest priority and within
//! limits of time, memory and output, or by a parser that counts what it unpacks.

mod dos;
mod embedded;
mod encoding;
mod epub;
mod error;
mod format;
mod formula;
mod grey;
mod html;
mod image;
mod kind;
mod language;
mod layer;
mod limits;
mod mail;
mod numbering;
mod ocr;
mod odf;
mod office;
mod package;
mod pdf;
mod plain;
mod recoded;
mod rtf;
mod sheet;
mod tidy;
mod tool;
mod warning;
mod writer;
mod xml;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use longhaul::clock::Stopwatch;

pub use error::ExtractError;
pub use kind::{FileKind, SNIFF_BYTES, TAKEN, may_be_taken, sniff_file};
pub use language::{is_list_of_languages, missing_parts};
pub use limits::Limits;
pub use mail::Attached;
pub use plain::Part;
pub use tool::missing_tools;
pub use warning::{Warning, WarningCode};

/// The work of reading a document, and the findings of earlier reads for this plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The kind of the document.
    pub kind: FileKind,
    /// Its pages, in order; slides of a presentation; parts of some length for a kind that has no pages.
    pub pages: Vec<PlannedPage>,
    /// The warnings about the document as a whole.
    pub warnings: Vec<Warning>,
}

/// A page as [`inspect`] leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedPage {
    /// Its text is known.
    Text(String),
    /// A part of a text file, which is read when its turn comes.
    Part(Part),
    /// Its text may not be all that it shows, so it must be looked at. `layer` is the text that it has: a stamp, a page
    /// number, or nothing.
    Picture {
        /// The text that the page carries.
        layer: String,
    },
    /// A text with pictures in it, each by its name in the document.
    Pictured {
        /// The text around the pictures.
        text: String,
        /// The names.
        pictures: Vec<String>,
    },
    /// A page of an attachment that has to be looked at: [`attached`] gives it.
    Attached {
        /// The place of the attachment among all of them.
        place: usize,
        /// The attachment's own plan.
        plan: Arc<Plan>,
        /// The page of that plan, from 1.
        number: u32,
    },
}

/// The text of a page, with warnings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageText {
    /// The text.
    pub text: String,
    /// The warnings about what was left out, or is doubtful.
    pub warnings: Vec<Warning>,
}

/// A page as it is shown, for eyes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown<T> {
    /// Its picture; `None` where there is nothing on it to read.
    pub picture: Option<T>,
    /// The parts of it that are damaged.
    pub warnings: Vec<Warning>,
}

/// The progress of [`extract`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The page that has just been read, from 1.
    pub number: u32,
    /// Pages in all.
    pub total: u32,
}

/// A document that was read whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// The texts of its pages, in order.
    pub pages: Vec<String>,
    /// The warnings about it.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// Pages in all.
    #[must_use]
    pub fn total(&self) -> u32 {
        u32::try_from(self.pages.len()).unwrap_or(u32::MAX)
    }

    /// The numbers (from 1) of the pages that have to be looked at, each a second or more of work.
    #[must_use]
    pub fn pictures(&self) -> Vec<u32> {
        let numbered = (1..).zip(&self.pages);
        numbered.filter(|(_, page)| page.is_costly()).map(|(n, _)| n).collect()
    }

    fn page(&self, number: u32) -> Result<&PlannedPage, ExtractError> {
        let index = usize::try_from(number).unwrap_or(usize::MAX).checked_sub(1);
        let page = index.and_then(|index| self.pages.get(index));
        page.ok_or(ExtractError::NoSuchPage { number, total: self.total() })
    }
}

impl PlannedPage {
    /// True if reading it takes seconds, so that its text is worth keeping at once.
    #[must_use]
    pub fn is_costly(&self) -> bool {
        matches!(self, Self::Picture { .. } | Self::Pictured { .. } | Self::Attached { .. })
    }
}

impl PageText {
    /// The place of a page that could not be read.
    #[must_use]
    pub fn unread(error: &ExtractError) -> Self {
        let message = format!("the page could not be read: {error}");
        Self { text: String::new(), warnings: vec![Warning::new(WarningCode::PageUnreadable, message)] }
    }

    /// A page of which only the text that it carries could be read.
    #[must_use]
    pub fn unseen(layer: String, error: &ExtractError) -> Self {
        let message =
            format!("only the text that the page carries could be read, not what it shows: {error}");
        Self { text: layer, warnings: vec![Warning::new(WarningCode::PageUnreadable, message)] }
    }

    /// The same with more warnings.
    #[must_use]
    pub fn with(mut self, warnings: Vec<Warning>) -> Self {
        self.warnings.extend(warnings);
        self
    }
}

impl From<String> for PageText {
    fn from(text: String) -> Self {
        Self { text, warnings: Vec::new() }
    }
}

/// Reads a whole document and calls `progress` after each page.
///
/// # Errors
/// See [`ExtractError`]; also where all pages together take longer than
/// [`total_time`](Limits::total_time), and where not one of them could be read.
pub async fn extract(
    path: &Path,
    kind: FileKind,
    limits: &Limits,
    progress: &mut (dyn FnMut(Page) + Send),
) -> Result<Extracted, ExtractError> {
    let started = Stopwatch::start();
    let plan = inspect(path, kind, limits).await?;
    let total = plan.total();
    let mut extracted = Extracted { pages: Vec::new(), warnings: plan.warnings.clone() };
    let (mut bytes, mut first_fault) = (0, None);
    for number in 1..=total {
        if started.elapsed() >= limits.total_time {
            return Err(ExtractError::DocumentTimeout { after: limits.total_time });
        }
        let page = match page(path, &plan, number, limits).await {
            Err(error) if error.costs_its_page_only() => {
                let page = PageText::unread(&error);
                first_fault.get_or_insert(error);
                page
            }
            page => page?,
        };
        bytes += page.text.len();
        limits.check_text(bytes)?;
        extracted.warnings.extend(page.warnings.into_iter().map(|warning| warning.on(number)));
        extracted.pages.push(page.text);
        progress(Page { number, total });
    }
    match first_fault {
        Some(fault) if bytes == 0 => Err(fault),
        _ => Ok(extracted),
    }
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
    match kind {
        FileKind::Eml | FileKind::Mht => mail::inspect(&path, kind, limits).await,
        kind => inspect_file(&path, kind, limits).await,
    }
}

/// The same of a document that has no attachments.
async fn inspect_file(path: &Path, kind: FileKind, limits: &Limits) -> Result<Plan, ExtractError> {
    if kind == FileKind::Pdf {
        return pdf::inspect(path, limits).await;
    }
    let (path, limits) = (path.to_owned(), limits.clone());
    blocking(move || match kind {
        FileKind::Text | FileKind::Markdown | FileKind::Csv => {
            let length = std::fs::metadata(&path).map_err(ExtractError::io("find the document"))?.len();
            limits.check_text(usize::try_from(length).unwrap_or(usize::MAX))?;
            Ok(Plan { kind, pages: plain::inspect(&path, kind)?, warnings: Vec::new() })
        }
        kind if kind.is_image() => {
            let warnings = image::check(&path, kind, &limits)?;
            Ok(Plan { kind, pages: vec![PlannedPage::Picture { layer: String::new() }], warnings })
        }
        FileKind::Html | FileKind::Rtf => {
            let bytes = std::fs::read(&path).map_err(ExtractError::io("read the document"))?;
            let page = if kind == FileKind::Rtf { rtf::read(&bytes) } else { html::page(&bytes)? };
            limits.check_text(page.text.len())?;
            let pages = tidy::parts(&page.text).into_iter().map(PlannedPage::Text).collect();
            Ok(Plan { kind, pages, warnings: page.warnings })
        }
        FileKind::Xlsx => sheet::inspect(&path, &limits),
        FileKind::Odt | FileKind::Ods | FileKind::Odp => odf::inspect(&path, kind, &limits),
        FileKind::Fodt | FileKind::Fods | FileKind::Fodp => odf::inspect_flat(&path, kind, &limits),
        FileKind::Epub => epub::inspect(&path, &limits),
        kind => office::inspect(&path, kind, &limits),
    })
    .await
}

/// Reads one page (from 1) of a document that was [inspected](inspect). Reading it again gives the same text.
///
/// # Errors
/// See [`ExtractError`]; a page that the plan does not have is [`ExtractError::NoSuchPage`].
pub async fn page(path: &Path, plan: &Plan, number: u32, limits: &Limits) -> Result<PageText, ExtractError> {
    match attached(path, plan, number, limits).await? {
        Some(within) => page_of(within.path(), &within.plan, within.number, limits).await,
        None => page_of(path, plan, number, limits).await,
    }
}

/// The page of an attachment that stands for a page (from 1) of the plan; `None` where the page is the document's own.
///
/// # Errors
/// See [`ExtractError`].
pub async fn attached(
    path: &Path,
    plan: &Plan,
    number: u32,
    limits: &Limits,
) -> Result<Option<Attached>, ExtractError> {
    let PlannedPage::Attached { place, plan: within, number } = plan.page(number)? else { return Ok(None) };
    let path = absolute(path)?;
    mail::attached(&path, plan.kind, (*place, within, *number), limits).await.map(Some)
}

/// Reads a page of the document itself.
async fn page_of(path: &Path, plan: &Plan, number: u32, limits: &Limits) -> Result<PageText, ExtractError> {
    let path = absolute(path)?;
    match to_see(&path, plan, number, limits).await? {
        ToSee::Nothing(page) => Ok(page),
        ToSee::Page { layer } => {
            let seen = async {
                let Shown { picture, warnings } = pdf::render(&path, number, limits).await?;
                let seen = match picture {
                    Some(picture) => Some(ocr::grey(picture.grey, Some(picture.dpi), limits).await?),
                    None => None,
                };
                Ok::<_, ExtractError>((seen, warnings))
            };
            match seen.await {
                Ok((seen, warnings)) => {
                    let page = seen.map(|seen| layer::merge(&layer, &seen));
                    Ok(page.unwrap_or_else(|| PageText::from(layer)).with(warnings))
                }
                Err(error) if error.costs_its_page_only() && !layer.is_empty() => {
                    Ok(PageText::unseen(layer, &error))
                }
                Err(error) => Err(error),
            }
        }
        ToSee::File => ocr::file(&path, plan.kind, limits).await,
        ToSee::Pictures { text, names } => {
            let mut page = PageText::from(text);
            for name in names {
                embedded::read(&path, plan.kind, &name, limits).await?.append_to(&mut page);
            }
            Ok(page)
        }
    }
}

/// The parts of a page that only eyes can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToSee {
    /// Its text was there.
    Nothing(PageText),
    /// The page itself, which [`page_png`] renders; `layer` is the text that it carries.
    Page {
        /// The text that the page carries.
        layer: String,
    },
    /// The file is a picture.
    File,
    /// The pictures of these names in the document, which [`picture_in`] gives.
    Pictures {
        /// The text around them.
        text: String,
        /// Their names.
        names: Vec<String>,
    },
}

/// Reads of a page (from 1) what needs no OCR, and says what does.
///
/// # Errors
/// See [`ExtractError`]. A page of an attachment is none of the document's: [`attached`] comes first.
pub async fn to_see(path: &Path, plan: &Plan, number: u32, limits: &Limits) -> Result<ToSee, ExtractError> {
    match plan.page(number)? {
        PlannedPage::Text(text) => Ok(ToSee::Nothing(PageText::from(text.clone()))),
        PlannedPage::Part(part) => {
            let (path, part) = (absolute(path)?, part.clone());
            blocking(move || plain::part(&path, &part)).await.map(ToSee::Nothing)
        }
        PlannedPage::Pictured { text, pictures } => {
            Ok(ToSee::Pictures { text: text.clone(), names: pictures.clone() })
        }
        PlannedPage::Attached { .. } => Err(ExtractError::NoSuchPage { number, total: plan.total() }),
        PlannedPage::Picture { .. } if plan.kind != FileKind::Pdf => Ok(ToSee::File),
        PlannedPage::Picture { layer } => {
            let path = absolute(path)?;
            let is_told = layer::is_trusted(layer)
                && match pdf::is_explained(&path, number, limits).await {
                    Err(error) if error.costs_its_page_only() => false,
                    told => told?,
                };
            let layer = layer.clone();
            Ok(if is_told { ToSee::Nothing(PageText::from(layer)) } else { ToSee::Page { layer } })
        }
    }
}

/// One page of a PDF as a PNG, for an OCR service elsewhere.
///
/// # Errors
/// See [`ExtractError`].
pub async fn page_png(
    path: &Path,
    plan: &Plan,
    number: u32,
    limits: &Limits,
) -> Result<Shown<Vec<u8>>, ExtractError> {
    plan.page(number)?;
    pdf::render_png(&absolute(path)?, number, limits).await
}

/// A picture within a document, as it is kept there, with its kind; `None` where it is too small to say anything.
///
/// # Errors
/// See [`ExtractError`].
pub async fn picture_in(
    path: &Path,
    plan: &Plan,
    name: &str,
    limits: &Limits,
) -> Result<Option<(FileKind, Vec<u8>)>, ExtractError> {
    let (path, kind, name, limits) = (absolute(path)?, plan.kind, name.to_owned(), limits.clone());
    blocking(move || embedded::picture(&path, kind, &name, &limits)).await
}

/// The text of a page that carries `layer` and shows `seen`.
#[must_use]
pub fn merged(layer: &str, seen: &str) -> PageText {
    layer::merge(layer, &ocr::Seen::sure(seen))
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

    #[test]
    fn the_pictures_of_a_plan_are_numbered_from_one() {
        let picture = PlannedPage::Picture { layer: String::new() };
        let pages = vec![picture.clone(), PlannedPage::Text("two".to_owned()), picture];
        let plan = Plan { kind: FileKind::Pdf, pages, warnings: Vec::new() };
        assert_eq!(plan.pictures(), [1, 3]);
        assert!(plan.page(0).is_err());
        assert!(plan.page(4).is_err());
    }
}
