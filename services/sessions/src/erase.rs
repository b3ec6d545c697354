//! The data of a user in this service: skills, the sessions that the user hosts, and the user's seats in sessions of
//! others.

use std::collections::BTreeSet;

use longhaul::Job;
use service_support::{Candidate, EraseError, Erased, Erasure, Rows, user_label};

use crate::app::App;
use crate::jobs::Dispatch;

const HOSTED: &str = "host_id = $1";

impl App {
    /// A session goes with those who have joined it, as when its host deletes it. A dispatch that is late finds no session, and
    /// writes nothing.
    pub(crate) async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        let mut erased = Erased::default();
        let sessions = erasure.ids("sessions", "id", HOSTED).await?;
        let skills = erasure.ids("skills", "id", "user_id = $1").await?;
        let label = user_label(erasure.user());
        let is_own = |job: &Candidate<'_>| job.has(&label) || job.is_of("session", &sessions);
        erasure.jobs(&mut erased, &[Dispatch::KIND], is_own).await?;
        erasure.turns(&mut erased, &self.turns).await?;
        let told: BTreeSet<String> = sessions.union(&skills).cloned().collect();
        erasure.answers_about(&mut erased, &told).await?;
        let joined = "user_id = $1 AND role = 'participant'";
        let joined = erasure.ids("session_members", "session_id", joined).await?;
        let why = "they are their hosts', who see one participant less";
        erased.stays("sessions of others that the user had joined", joined.len() as u64, why);
        let members = "user_id = $1 OR session_id IN (SELECT id FROM sessions WHERE host_id = $1)";
        let all = [
            Rows { table: "session_members", key: "session_id, user_id", condition: members },
            Rows { table: "sessions", key: "id", condition: HOSTED },
            Rows { table: "skills", key: "id", condition: "user_id = $1" },
        ];
        for rows in all {
            erasure.rows(&mut erased, rows).await?;
        }
        Ok(erased)
    }
}
