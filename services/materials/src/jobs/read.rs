use std::collections::HashSet;
use std::path::Path;

use longhaul::clock::Stopwatch;
use longhaul::{Context, JobError, JobResult};
use serde::{Deserialize, Serialize};
use service_support::{AiBrain, Cause, Picture, ProviderError, Write};

use super::ROWS_PER_COMMIT;
use super::pieces::{Piece, Pieces};
use super::process::log_detail;
use crate::app::{App, Materials};
use crate::extract::{self, ExtractError, FileKind, PageText, Plan, Shown, ToSee, Warning};
use crate::model::Material;

/// The result of reading a document. The text itself lies in `material_pages` and `material_chunks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) pages: u32,
    pub(crate) chunks: u32,
}

/// The part of the progress that is done when all pages are read.
pub(crate) const READ_PERCENT: f64 = 80.0;
/// The most bytes of pages that are kept in memory before they are stored.
const PENDING_BYTES: usize = 1 << 20;

impl App {
    /// Reads a document page by page and stores its pages, and its text in chunks. A page that OCR has read is stored
    /// at once, so that a crash costs one page and not all of them. A page that cannot be read is a warning, unless
    /// there is no other.
    pub(crate) async fn read_document(
        &self,
        cx: &Context<Materials>,
        material: &Material,
    ) -> JobResult<Read> {
        let started = Stopwatch::start();
        let file = self.local_file(cx, &material.id).await?;
        let path = file.path();
        let Some(kind) = FileKind::from_mime(&material.file_type) else {
            return Err(JobError::fatal(format!("File type {} not allowed", material.file_type)));
        };
        cx.progress(0, "reading the document");
        let plan = extract::inspect(path, kind, &self.limits).await.map_err(|e| refuse(cx, e))?;
        let total = plan.total();
        let stored = self.stored_pages(material).await?;
        let about = PageText { text: String::new(), warnings: plan.warnings.clone() };
        let mut keeper = Keeper::new(self, material, kind);
        keeper.pages.push((0, about));
        let mut first_fault = None;
        for number in 1..=total {
            if started.elapsed() >= self.limits.total_time {
                return Err(refuse(cx, ExtractError::DocumentTimeout { after: self.limits.total_time }));
            }
            if cx.is_cancelled() {
                return Err(JobError::cancel("the processing was cancelled"));
            }
            let is_costly = plan.pages.get(number as usize - 1).is_some_and(extract::PlannedPage::is_costly);
            if is_costly && stored.contains(&number) {
                let text = self.stored_page(material, number).await?;
                keeper.cut(number, &text).await?;
            } else {
                let page = match self.read_page(path, &plan, number).await {
                    Err(Fault::Document(error)) if error.costs_its_page_only() => {
                        log_detail(cx, &error);
                        let page = PageText::unread(&error);
                        first_fault.get_or_insert(error);
                        page
                    }
                    Err(Fault::Document(error)) => return Err(refuse(cx, error)),
                    Err(Fault::Provider(error)) => return Err(error),
                    Ok(page) => page,
                };
                keeper.bytes += page.text.len();
                let limit = self.limits.text_bytes;
                if keeper.bytes as u64 > limit {
                    return Err(refuse(cx, ExtractError::TooMuchText { limit }));
                }
                keeper.cut(number, &page.text).await?;
                let is_paid = is_costly && !page.text.is_empty();
                keeper.keep(number, page).await?;
                if is_paid {
                    keeper.store_pages().await?;
                }
            }
            let percent = READ_PERCENT * f64::from(number) / f64::from(total);
            cx.progress(percent, format!("page {number} of {total}"));
        }
        let chunks = keeper.finish().await?;
        match first_fault {
            // A document without any text must not pass for one that was read.
            Some(fault) if chunks == 0 => Err(refuse(cx, fault)),
            _ => Ok(Read { pages: total, chunks }),
        }
    }

    async fn read_page(&self, path: &Path, plan: &Plan, number: u32) -> Result<PageText, Fault> {
        let limits = &self.limits;
        let Some(brain) = &self.providers.ai_brain else {
            return Ok(extract::page(path, plan, number, limits).await?);
        };
        let attached = extract::attached(path, plan, number, limits).await?;
        let (path, plan, number) = match &attached {
            Some(attached) => (attached.path(), attached.plan.as_ref(), attached.number),
            None => (path, plan, number),
        };
        match extract::to_see(path, plan, number, limits).await? {
            ToSee::Nothing(page) => Ok(page),
            ToSee::File => {
                let text = read_by(brain, Picture::File(path), "picture", plan.kind.mime()).await?;
                Ok(PageText::from(text))
            }
            ToSee::Page { layer } => {
                let Shown { picture, warnings } = match extract::page_png(path, plan, number, limits).await {
                    Ok(shown) => shown,
                    Err(error) if error.costs_its_page_only() && !layer.is_empty() => {
                        return Ok(PageText::unseen(layer, &error));
                    }
                    Err(error) => return Err(error.into()),
                };
                let Some(png) = picture else { return Ok(PageText::from(layer).with(warnings)) };
                let name = format!("page-{number}.png");
                let seen = read_by(brain, Picture::Bytes(png), &name, FileKind::Png.mime()).await?;
                Ok(extract::merged(&layer, &seen).with(warnings))
            }
            ToSee::Pictures { mut text, names } => {
                let mut warnings = Vec::new();
                for name in names {
                    let picture = match extract::picture_in(path, plan, &name, limits).await {
                        Err(error) if error.costs_its_page_only() => {
                            warnings.push(Warning::unread_picture(&name, &error));
                            continue;
                        }
                        picture => picture?,
                    };
                    let Some((kind, bytes)) = picture else { continue };
                    let seen = read_by(brain, Picture::Bytes(bytes), "picture", kind.mime()).await?;
                    text.push_str("\n\n");
                    text.push_str(&seen);
                }
                Ok(PageText::from(text).with(warnings))
            }
        }
    }

    /// The numbers of the pages that an attempt before this one has stored.
    async fn stored_pages(&self, material: &Material) -> JobResult<HashSet<u32>> {
        let sql = "SELECT number FROM material_pages WHERE material_id = $1 AND run = $2";
        let rows = self.db.read(sql, vec![material.id.as_str().into(), material.run.into()]).await?;
        let numbers = rows.iter().map(|row| row.get("number"));
        Ok(numbers.collect::<Result<_, service_support::DbError>>()?)
    }

    async fn stored_page(&self, material: &Material, number: u32) -> JobResult<String> {
        let sql = "SELECT text FROM material_pages WHERE material_id = $1 AND run = $2 AND number = $3";
        let params = vec![material.id.as_str().into(), material.run.into(), number.into()];
        let rows = self.db.read(sql, params).await?;
        Ok(rows.first().map_or_else(|| Ok(String::new()), |row| row.get("text"))?)
    }
}

/// Stores what is read, some of it at a time. Reading the same document twice gives the same pages and chunks, so
/// those of a run that was cut off may stay.
struct Keeper<'a> {
    app: &'a App,
    material: &'a Material,
    pieces: Pieces,
    pages: Vec<(u32, PageText)>,
    chunks: Vec<Piece>,
    /// Chunks stored before those that wait.
    stored_chunks: u32,
    /// Of text in all pages so far.
    bytes: usize,
}

impl<'a> Keeper<'a> {
    fn new(app: &'a App, material: &'a Material, kind: FileKind) -> Self {
        let pieces = if kind.has_pages() { Pieces::Paged } else { Pieces::Running(String::new()) };
        Self { app, material, pieces, pages: Vec::new(), chunks: Vec::new(), stored_chunks: 0, bytes: 0 }
    }

    async fn cut(&mut self, number: u32, text: &str) -> JobResult<()> {
        let (mut pieces, text) = (std::mem::replace(&mut self.pieces, Pieces::Paged), text.to_owned());
        // Cutting a page of many megabytes takes a while: not where requests are answered.
        let cut = tokio::task::spawn_blocking(move || {
            let cut = pieces.add(number, &text);
            (pieces, cut)
        });
        let (pieces, cut) = cut.await?;
        self.pieces = pieces;
        self.chunks.extend(cut);
        if self.chunks.len() >= ROWS_PER_COMMIT {
            self.store_chunks().await?;
        }
        Ok(())
    }

    async fn keep(&mut self, number: u32, page: PageText) -> JobResult<()> {
        self.pages.push((number, page));
        let bytes: usize = self.pages.iter().map(|(_, page)| page.text.len()).sum();
        if bytes >= PENDING_BYTES || self.pages.len() >= ROWS_PER_COMMIT {
            self.store_pages().await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> JobResult<u32> {
        let pieces = std::mem::replace(&mut self.pieces, Pieces::Paged);
        self.chunks.extend(tokio::task::spawn_blocking(move || pieces.finish()).await?);
        self.store_chunks().await?;
        self.store_pages().await?;
        Ok(self.stored_chunks)
    }

    async fn store_pages(&mut self) -> JobResult<()> {
        let pages = std::mem::take(&mut self.pages);
        if pages.is_empty() {
            return Ok(());
        }
        let mut writes = Vec::with_capacity(pages.len());
        for (number, PageText { text, warnings }) in pages {
            // The row of a page has its warning.
            let warnings: Vec<Warning> =
                warnings.into_iter().map(|warning| Warning { page: None, ..warning }).collect();
            writes.push(Write::new(
                "INSERT INTO material_pages (material_id, run, number, text, warnings) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (material_id, run, number) DO UPDATE SET text = excluded.text, warnings = excluded.warnings",
                vec![
                    self.material.id.as_str().into(),
                    self.material.run.into(),
                    number.into(),
                    text.into(),
                    serde_json::to_string(&warnings)?.into(),
                ],
            ));
        }
        self.app.commit_run(&self.material.id, self.material.run, writes).await
    }

    async fn store_chunks(&mut self) -> JobResult<()> {
        let chunks = std::mem::take(&mut self.chunks);
        for batch in chunks.chunks(ROWS_PER_COMMIT) {
            let numbered = (self.stored_chunks..).zip(batch);
            let writes = numbered.map(|(number, piece)| {
                Write::new(
                    "INSERT INTO material_chunks (material_id, run, number, text, page) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (material_id, run, number) DO UPDATE SET text = excluded.text, page = excluded.page",
                    vec![
                        self.material.id.as_str().into(),
                        self.material.run.into(),
                        number.into(),
                        piece.text.as_str().into(),
                        piece.page.into(),
                    ],
                )
            });
            self.app.commit_run(&self.material.id, self.material.run, writes.collect()).await?;
            self.stored_chunks += u32::try_from(batch.len()).unwrap_or(u32::MAX);
        }
        Ok(())
    }
}

enum Fault {
    Document(ExtractError),
    Provider(JobError),
}

impl From<ExtractError> for Fault {
    fn from(error: ExtractError) -> Self {
        Self::Document(error)
    }
}

async fn read_by(brain: &AiBrain, picture: Picture<'_>, name: &str, mime: &str) -> Result<String, Fault> {
    let read = brain.read_text(picture, name, mime).await;
    read.map_err(|error: ProviderError| {
        Fault::Provider(match error.cause {
            Cause::Timeout => {
                JobError::retry(format!("OCR processing timeout after {:.1}s", brain.timeout.as_secs_f64()))
            }
            _ => error.into(),
        })
    })
}

/// The error for a document's owner; the tools' own words go to the job's log.
fn refuse(cx: &Context<Materials>, error: ExtractError) -> JobError {
    log_detail(cx, &error);
    if error.is_final() { JobError::fatal(error) } else { JobError::retry(error) }
}
