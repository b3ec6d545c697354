use std::collections::HashMap;
use std::path::Path;

use longhaul::clock::Stopwatch;
use longhaul::{Context, JobError, JobResult};
use serde::{Deserialize, Serialize};
use service_support::{AiBrain, Cause, Picture, ProviderError, Write};

use super::ROWS_PER_COMMIT;
use super::process::log_detail;
use crate::app::{App, Materials};
use crate::extract::{self, ExtractError, FileKind, Plan, PlannedPage};
use crate::model::Material;
use crate::text;

/// The result of reading a document. The text itself lies in `material_chunks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) pages: u32,
    pub(crate) chunks: u32,
}

/// The part of the progress that is done when all pages are read.
pub(crate) const READ_PERCENT: f64 = 80.0;

impl App {
    /// Reads a document page by page and stores its text in chunks. A page that OCR has read is stored at once, so
    /// that a crash costs one page and not all of them.
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
        let mut stored = self.stored_pages(material).await?;
        let mut texts = Vec::with_capacity(plan.pages.len());
        for number in 1..=total {
            if started.elapsed() >= self.limits.total_time {
                return Err(refuse(cx, ExtractError::DocumentTimeout { after: self.limits.total_time }));
            }
            let text = match (&plan.pages[texts.len()], stored.remove(&number)) {
                (PlannedPage::Text(text), _) => text.clone(),
                (PlannedPage::Picture { .. }, Some(text)) => text,
                (PlannedPage::Picture { layer }, None) => {
                    let text = self.read_picture(cx, path, &plan, number, layer).await?;
                    self.store_page(material, number, &text).await?;
                    text
                }
            };
            texts.push(text);
            let percent = READ_PERCENT * f64::from(number) / f64::from(total);
            cx.progress(percent, format!("page {number} of {total}"));
        }
        let limit = self.limits.text_bytes;
        let chunks = tokio::task::spawn_blocking(move || {
            let joined = plan.join(&texts);
            let fits = u64::try_from(joined.len()).is_ok_and(|bytes| bytes <= limit);
            if fits { Ok(text::chunks(&joined)) } else { Err(ExtractError::TooMuchText { limit }) }
        });
        let chunks = chunks.await?.map_err(|e| refuse(cx, e))?;
        self.store_chunks(material, &chunks).await?;
        Ok(Read { pages: total, chunks: u32::try_from(chunks.len()).unwrap_or(u32::MAX) })
    }

    async fn read_picture(
        &self,
        cx: &Context<Materials>,
        path: &Path,
        plan: &Plan,
        number: u32,
        layer: &str,
    ) -> JobResult<String> {
        let Some(brain) = &self.providers.ai_brain else {
            return extract::page(path, plan, number, &self.limits).await.map_err(|e| refuse(cx, e));
        };
        if plan.kind.is_image() {
            let picture = Picture::File(path);
            return read_by(brain, picture, "picture", plan.kind.mime()).await;
        }
        let picture = extract::page_png(path, plan, number, &self.limits).await.map_err(|e| refuse(cx, e))?;
        match picture {
            Some(png) => {
                let name = format!("page-{number}.png");
                read_by(brain, Picture::Bytes(png), &name, FileKind::Png.mime()).await
            }
            None => Ok(layer.to_owned()),
        }
    }

    async fn stored_pages(&self, material: &Material) -> JobResult<HashMap<u32, String>> {
        let sql = "SELECT number, text FROM material_pages WHERE material_id = $1 AND run = $2";
        let rows = self.db.read(sql, vec![material.id.as_str().into(), material.run.into()]).await?;
        let pages = rows.iter().map(|row| Ok((row.get("number")?, row.get("text")?)));
        Ok(pages.collect::<Result<_, service_support::DbError>>()?)
    }

    async fn store_page(&self, material: &Material, number: u32, text: &str) -> JobResult<()> {
        let write = Write::new(
            "INSERT INTO material_pages (material_id, run, number, text) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (material_id, run, number) DO NOTHING",
            vec![material.id.as_str().into(), material.run.into(), number.into(), text.into()],
        );
        self.commit_run(&material.id, material.run, vec![write]).await
    }

    /// Reading the same document twice gives the same chunks, so those of a run that was cut off may stay.
    async fn store_chunks(&self, material: &Material, chunks: &[String]) -> JobResult<()> {
        for (batch, texts) in chunks.chunks(ROWS_PER_COMMIT).enumerate() {
            let numbered = (batch * ROWS_PER_COMMIT..).zip(texts);
            let writes = numbered.map(|(number, text)| {
                Write::new(
                    "INSERT INTO material_chunks (material_id, run, number, text) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (material_id, run, number) DO UPDATE SET text = excluded.text",
                    vec![
                        material.id.as_str().into(),
                        material.run.into(),
                        number.into(),
                        text.as_str().into(),
                    ],
                )
            });
            self.commit_run(&material.id, material.run, writes.collect()).await?;
        }
        Ok(())
    }
}

async fn read_by(brain: &AiBrain, picture: Picture<'_>, name: &str, mime: &str) -> JobResult<String> {
    brain.read_text(picture, name, mime).await.map_err(|error: ProviderError| match error.cause {
        Cause::Timeout => {
            JobError::retry(format!("OCR processing timeout after {:.1}s", brain.timeout.as_secs_f64()))
        }
        _ => error.into(),
    })
}

/// The error for a document's owner; the tools' own words go to the job's log.
fn refuse(cx: &Context<Materials>, error: ExtractError) -> JobError {
    log_detail(cx, &error);
    if error.is_final() { JobError::fatal(error) } else { JobError::retry(error) }
}
