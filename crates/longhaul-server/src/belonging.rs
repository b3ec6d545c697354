//! Jobs and the tables that they belong to.

use service_support::Belongs;

use crate::Result;
use crate::store_url::StoreUrl;

/// A process that sees another database than its fellows finds no row of the jobs that it takes, and ends them.
pub(crate) fn check(belongs: Belongs, store: &StoreUrl, database: &StoreUrl) -> Result<()> {
    match belongs {
        Belongs::Together => Ok(()),
        Belongs::Apart => Err(format!(
            "the jobs in {store} belong to the tables of another database than {database}: set DATABASE_URL or --database to \
             the one that the other servers and workers of these jobs use; where that is a file in a data folder, use a \
             database that all of them reach, or another Redis database, prefix or server for these"
        )
        .into()),
    }
}
