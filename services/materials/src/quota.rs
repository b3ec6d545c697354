use service_support::{ConfigError, DbError, Env, Write};

use crate::app::App;
use crate::model::Material;

/// The most bytes of files that a user, and that a course, may hold; `None` is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// `MATERIALS_QUOTA`.
    user: Option<u64>,
    /// `MATERIALS_COURSE_QUOTA`.
    course: Option<u64>,
}

// The sums are of NUMERIC on Postgres, which compares with no BIGINT parameter.
const HELD_BY_USER: &str = "(SELECT CAST(coalesce(sum(m.file_size), 0) AS BIGINT) FROM materials m \
    JOIN courses c ON c.id = m.course_id WHERE c.owner = $1)";
const HELD_BY_COURSE: &str =
    "(SELECT CAST(coalesce(sum(m.file_size), 0) AS BIGINT) FROM materials m WHERE m.course_id = $1)";

impl Quota {
    /// Reads the variables.
    ///
    /// # Errors
    /// Fails if one is no number of bytes.
    pub(crate) fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self { user: env.bytes("MATERIALS_QUOTA")?, course: env.bytes("MATERIALS_COURSE_QUOTA")? })
    }

    /// Refuses the commit that these end, and with it the row of `material`, where the row takes its user or its course
    /// over a quota. A part of the commit, so that uploads side by side cannot pass it together.
    pub(crate) fn guards(self, user: &str, material: &Material) -> Vec<Write> {
        let bounds =
            [(self.user, HELD_BY_USER, user), (self.course, HELD_BY_COURSE, material.course_id.as_str())];
        let guard = |(most, held, holder): (Option<u64>, &str, &str)| {
            let sql = format!("UPDATE materials SET file_size = file_size WHERE id = $2 AND {held} <= $3");
            Some(Write::guarded(sql, vec![holder.into(), material.id.as_str().into(), most?.into()]))
        };
        bounds.into_iter().filter_map(guard).collect()
    }
}

impl App {
    /// The bytes that a user may still upload to a course.
    pub(crate) async fn room(&self, user: &str, course_id: &str) -> Result<u64, DbError> {
        let mut room = u64::MAX;
        for (most, held, holder) in
            [(self.quota.user, HELD_BY_USER, user), (self.quota.course, HELD_BY_COURSE, course_id)]
        {
            let Some(most) = most else { continue };
            let rows = self.db.read(format!("SELECT {held} AS held"), vec![holder.into()]).await?;
            let held: u64 = rows.first().map_or(Ok(0), |row| row.get("held"))?;
            room = room.min(most.saturating_sub(held));
        }
        Ok(room)
    }
}
