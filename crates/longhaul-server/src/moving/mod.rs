//! `longhaul export` and `longhaul import`

pub(crate) mod export;
mod file;
pub(crate) mod import;
mod lines;
mod marks;

/// What comes over and what does not, for the helps of both commands.
const WHAT_COMES_OVER: &str = "\
What comes over: jobs in every state with their attempts, errors, steps, logs, outputs, labels,
keys, parents, dependencies and waits; settings and pauses of queues and limit keys; schedules,
webhook secrets, idempotency keys, statistics, and the ids of removed jobs. With them the rows of
all services' tables (lessons, courses, materials and what they are searched by, sessions, skills,
curricula, analyses), from the database that a server finds with the same --database, --data and
DATABASE_URL. --only jobs or --only services leaves the other part out.

What does not: workers and their leases (a running job comes over as one that its worker gave
back, at no cost of an attempt); what rates have counted and the turns of fair queues, which begin
anew; uploaded files and the secret of users' tokens. Copy these from the old data folder to the
new one, before a server starts there: cp -a data/files data/jwt-secret NEW/. With STORAGE_URL the
files stay in their bucket.";
