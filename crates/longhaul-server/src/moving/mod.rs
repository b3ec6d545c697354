//! `longhaul export` and `longhaul import`

pub(crate) mod export;
mod file;
pub(crate) mod import;

/// What comes over and what does not, for the helps of both commands.
const WHAT_COMES_OVER: &str = "\
What comes over: jobs in every state with their attempts, errors, steps, logs, outputs, labels, keys, parents,
dependencies and waits; settings and pauses of queues and limit keys; schedules, webhook secrets, idempotency keys,
statistics, and the ids of removed jobs.

What does not: workers and their leases (a running job comes over as one that its worker gave back, at no cost of
an attempt); what rates have counted and the turns of fair queues, which begin anew; the services' own tables and
files, and what is in S3. Those stay where --database and --data say: copy them with their own tools
(sqlite3 .backup, pg_dump, cp).";
