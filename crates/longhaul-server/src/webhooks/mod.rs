//! `longhaul deliveries` and `longhaul webhook-secrets`

pub(crate) mod deliveries;
pub(crate) mod secrets;
