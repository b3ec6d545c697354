//! Mails (RFC 5322), and web pages that were saved with all that they show (MHTML, RFC 2557).
//!
//! The words are the first pages, the attachments the pages behind them. An attachment that needs a program of its own is
//! written to a file when its page is read.

mod head;
mod message;
mod transfer;

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::Path;
use std::sync::Arc;

use tempfile::{NamedTempFile, TempPath};

use message::{Attachment, Message};

use super::tidy::{parts, tidy};
use super::{
    ExtractError, FileKind, Limits, Plan, PlannedPage, Warning, WarningCode, blocking, embedded, image,
    inspect_file, page_of, plain, sniff_file,
};

/// The most attachments that are read, over all mails within a mail.
const MAX_ATTACHMENTS: usize = 50;

/// A page of an attachment, which has a file of its own for as long as this lives.
#[derive(Debug)]
pub struct Attached {
    /// The plan of the attachment.
    pub plan: Arc<Plan>,
    /// The page of that plan, from 1.
    pub number: u32,
    file: TempPath,
}

impl Attached {
    /// The attachment's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file
    }
}

/// Reads a mail, and inspects its attachments. One that cannot be read costs itself only, unless it breaks a limit.
pub(super) async fn inspect(path: &Path, kind: FileKind, limits: &Limits) -> Result<Plan, ExtractError> {
    let message = read(path, kind, limits).await?;
    let text = tidy(&message.text);
    let mut mail = Mail {
        plan: Plan {
            kind,
            pages: parts(&text).into_iter().map(PlannedPage::Text).collect(),
            warnings: Vec::new(),
        },
        limits: limits.clone(),
        bytes: text.len(),
    };
    limits.check_text(mail.bytes)?;
    mail.plan.warnings = message.warnings;
    let (mut read, mut left_out) = (0, message.left_out);
    for (place, Attachment { name, bytes }) in message.attachments.into_iter().enumerate() {
        if bytes.is_empty() {
            continue;
        }
        let opened = if read < MAX_ATTACHMENTS { open(&name, bytes, limits).await? } else { Opened::Unknown };
        match opened {
            Opened::Unknown => left_out.push(name),
            Opened::Icon => {}
            Opened::Document(file, kind) => {
                read += 1;
                mail.add(place, &name, &file, kind).await?;
            }
        }
    }
    if !left_out.is_empty() {
        let shown = left_out.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
        let message = format!("attachments were not read ({}): {shown}", left_out.len());
        mail.plan.warnings.push(Warning::new(WarningCode::AttachmentsLeftOut, message));
    }
    Ok(mail.plan)
}

/// Writes an attachment, by its place among all of them, to a file of its own.
pub(super) async fn attached(
    path: &Path,
    kind: FileKind,
    (place, plan, number): (usize, &Arc<Plan>, u32),
    limits: &Limits,
) -> Result<Attached, ExtractError> {
    let mut message = read(path, kind, limits).await?;
    if place >= message.attachments.len() {
        return Err(ExtractError::unreadable(kind, format!("it has no attachment {place}")));
    }
    let attachment = message.attachments.swap_remove(place);
    let file = blocking(move || written(&attachment.bytes)).await?;
    Ok(Attached { plan: Arc::clone(plan), number, file })
}

/// A mail that is being read.
struct Mail {
    plan: Plan,
    /// What is left for the attachments that follow.
    limits: Limits,
    /// Of text so far.
    bytes: usize,
}

impl Mail {
    async fn add(
        &mut self,
        place: usize,
        name: &str,
        file: &Path,
        kind: FileKind,
    ) -> Result<(), ExtractError> {
        let attachment = match inspect_file(file, kind, &self.limits).await {
            Ok(attachment) => Arc::new(attachment),
            Err(error @ (ExtractError::TooLarge { .. } | ExtractError::TooMuchText { .. })) => {
                return Err(error);
            }
            Err(error) if error.is_final() || error.costs_its_page_only() => {
                let message = format!("the attachment {name} could not be read: {error}");
                self.plan.warnings.push(Warning::new(WarningCode::PartUnreadable, message));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if kind.has_pages() {
            self.limits.pages = self.limits.pages.saturating_sub(attachment.total());
        }
        let before = self.plan.total();
        for warning in &attachment.warnings {
            self.warn(name, warning, warning.page.map(|page| before + page));
        }
        for (number, page) in (1..).zip(&attachment.pages) {
            let page = match page {
                PlannedPage::Text(text) => PlannedPage::Text(text.clone()),
                PlannedPage::Part(_) => {
                    let part = page_of(file, &attachment, number, &self.limits).await?;
                    for warning in &part.warnings {
                        self.warn(name, warning, Some(before + number));
                    }
                    PlannedPage::Text(part.text)
                }
                PlannedPage::Picture { .. } | PlannedPage::Pictured { .. } | PlannedPage::Attached { .. } => {
                    PlannedPage::Attached { place, plan: Arc::clone(&attachment), number }
                }
            };
            if let PlannedPage::Text(text) = &page {
                self.bytes += text.len();
                self.limits.check_text(self.bytes)?;
            }
            self.plan.pages.push(page);
        }
        Ok(())
    }

    fn warn(&mut self, name: &str, warning: &Warning, page: Option<u32>) {
        let message = format!("{name}: {}", warning.message);
        self.plan.warnings.push(Warning { page, code: warning.code, message });
    }
}

async fn read(path: &Path, kind: FileKind, limits: &Limits) -> Result<Message, ExtractError> {
    let (path, limits) = (path.to_owned(), limits.clone());
    blocking(move || {
        let mut bytes = std::fs::read(path).map_err(ExtractError::io("read the document"))?;
        // Some programs of Windows save every text as UTF-16.
        if matches!(bytes.first_chunk::<2>(), Some([0xFF, 0xFE] | [0xFE, 0xFF])) {
            bytes = plain::whole(&bytes, kind)?.text.into_bytes();
        }
        message::read(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes), kind, &limits)
    })
    .await
}

enum Opened {
    Document(TempPath, FileKind),
    /// A picture that is too small to say anything.
    Icon,
    /// A file of a kind that is not read.
    Unknown,
}

async fn open(name: &str, bytes: Vec<u8>, limits: &Limits) -> Result<Opened, ExtractError> {
    let (name, limits) = (name.to_owned(), limits.clone());
    blocking(move || {
        let file = written(&bytes)?;
        let kind = sniff_file(&file, &name).map_err(ExtractError::io("read an attachment"))?;
        Ok(match kind {
            // A mail that is one is read with the mail that it is attached to, as deep as that goes.
            None | Some(FileKind::Eml | FileKind::Mht) => Opened::Unknown,
            Some(kind) if kind.is_image() && is_icon(&file, kind, &limits)? => Opened::Icon,
            Some(kind) => Opened::Document(file, kind),
        })
    })
    .await
}

fn is_icon(path: &Path, kind: FileKind, limits: &Limits) -> Result<bool, ExtractError> {
    let file = File::open(path).map_err(ExtractError::io("open an attachment"))?;
    match image::size_within(kind, &mut BufReader::new(file), limits) {
        Ok(size) => Ok(size.is_some_and(embedded::is_icon)),
        // What is wrong with it is told where it is read.
        Err(error) if error.costs_its_page_only() => Ok(false),
        Err(error) => Err(error),
    }
}

fn written(bytes: &[u8]) -> Result<TempPath, ExtractError> {
    let write = || {
        let (mut file, path) = NamedTempFile::with_prefix("attachment-")?.into_parts();
        file.write_all(bytes)?;
        Ok(path)
    };
    write().map_err(ExtractError::io("write an attachment to a file"))
}
