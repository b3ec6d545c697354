//! The Postgres store of Longhaul.
