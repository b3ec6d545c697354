//! GitHub profile analysis behind a task.
