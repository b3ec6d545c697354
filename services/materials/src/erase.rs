//! The data of a user in this service: courses with their materials, files and chats.

use std::collections::BTreeSet;

use longhaul::{Job, JobFilter, State};
use service_support::{Candidate, Commit, Deed, EraseError, Erased, Erasure, Rows, Write, user_label};

use crate::app::App;
use crate::jobs::{Embed, Index, Process, Purge, PurgeCourse};

const COURSES: &str = "owner = $1";
const OF_COURSES: &str = "course_id IN (SELECT id FROM courses WHERE owner = $1)";
const OF_MATERIALS: &str =
    "material_id IN (SELECT m.id FROM materials m JOIN courses c ON c.id = m.course_id WHERE c.owner = $1)";
/// The rows of a material beside its own, and their primary keys.
const PARTS: [(&str, &str); 4] = [
    ("material_pages", "material_id, run, number"),
    ("material_chunks", "material_id, run, number"),
    ("material_terms", "material_id, run, node, part"),
    ("material_vectors", "material_id, run, model, number"),
];

impl App {
    pub(crate) async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        let mut erased = Erased::default();
        let courses = erasure.ids("courses", "id", COURSES).await?;
        let materials = erasure.ids("materials", "id", OF_COURSES).await?;
        if erasure.deed() == Deed::Erase {
            // A run that is late finds that its material has begun another one, and writes nothing.
            let sql = format!("UPDATE materials SET run = run + 1 WHERE {OF_COURSES}");
            erasure.write(sql, vec![erasure.user().into()]).await?;
        }
        let label = user_label(erasure.user());
        let is_own = |job: &Candidate<'_>| {
            job.has(&label) || job.is_of("course", &courses) || is_about(job, &materials)
        };
        let kinds = [Process::KIND, Embed::KIND, Index::KIND, Purge::KIND, PurgeCourse::KIND];
        if erasure.deed() == Deed::Erase {
            self.purge_at_once(erasure).await?;
        }
        erasure.jobs(&mut erased, &kinds, is_own).await?;
        erasure.turns(&mut erased, &self.turns).await?;
        let told: BTreeSet<String> = courses.union(&materials).cloned().collect();
        erasure.answers_about(&mut erased, &told).await?;
        for id in &materials {
            let is_there = self.storage.read(id).await?.is_some();
            if erasure.deed() == Deed::Erase {
                self.storage.remove(id).await?;
            }
            erased.add("files", u64::from(is_there));
        }
        for (table, key) in PARTS {
            erasure.rows(&mut erased, Rows { table, key, condition: OF_MATERIALS }).await?;
        }
        self.erase_materials(erasure, &mut erased, &materials).await?;
        erasure.rows(&mut erased, Rows { table: "course_chats", key: "id", condition: OF_COURSES }).await?;
        // A course with a new upload or question is left to the next pass.
        let empty = "owner = $1 AND NOT EXISTS (SELECT 1 FROM materials WHERE course_id = courses.id) \
                     AND NOT EXISTS (SELECT 1 FROM course_chats WHERE course_id = courses.id)";
        let condition = if erasure.deed() == Deed::Count { COURSES } else { empty };
        erasure.rows(&mut erased, Rows { table: "courses", key: "id", condition }).await?;
        Ok(erased)
    }

    /// The row and what a new run has written since, in one commit: what comes after it finds no row.
    async fn erase_materials(
        &self,
        erasure: &Erasure,
        erased: &mut Erased,
        materials: &BTreeSet<String>,
    ) -> Result<(), EraseError> {
        if erasure.deed() == Deed::Count {
            erased.add("materials", materials.len() as u64);
            return Ok(());
        }
        for id in materials {
            let parts = PARTS.iter().map(|(table, _)| (*table, "material_id"));
            let tables: Vec<(&str, &str)> = parts.chain([("materials", "id")]).collect();
            let delete = |(table, column): &(&str, &str)| {
                Write::new(format!("DELETE FROM {table} WHERE {column} = $1"), vec![id.as_str().into()])
            };
            if let Commit::Done(done) = self.db.commit(tables.iter().map(delete).collect(), vec![]).await? {
                erased.add("materials", done.changed.last().copied().unwrap_or(0));
            }
        }
        Ok(())
    }

    /// Removes at once what waits for its removal: its rows are deleted, so that nothing shows whose it was.
    async fn purge_at_once(&self, erasure: &Erasure) -> Result<(), EraseError> {
        let filter = JobFilter {
            kinds: vec![Purge::KIND.into(), PurgeCourse::KIND.into()],
            states: State::ALL.into_iter().filter(|state| *state != State::Completed).collect(),
            ..JobFilter::default()
        };
        for id in erasure.find_jobs_of(filter, &|_: &Candidate<'_>| true).await? {
            let Some(job) = self.longhaul.get(&id).await?.found() else { continue };
            if job.kind == Purge::KIND {
                let Ok(Purge { material_id, keep_from_run, file }) = job.args.to() else { continue };
                if let Some(file) = file {
                    self.storage.remove(&file).await?;
                }
                self.purge(&material_id, keep_from_run.unwrap_or(u32::MAX)).await?;
            } else if let Ok(PurgeCourse { materials }) = job.args.to() {
                for material in materials {
                    self.storage.remove(&material).await?;
                    self.purge(&material, u32::MAX).await?;
                }
            }
        }
        Ok(())
    }
}

/// Jobs that carry no label, and name their material in their args.
fn is_about(job: &Candidate<'_>, materials: &BTreeSet<String>) -> bool {
    #[derive(serde::Deserialize)]
    struct About {
        material_id: String,
    }
    job.args.to::<About>().is_ok_and(|about| materials.contains(&about.material_id))
}
