//! The Redis and Valkey store of Longhaul.
