//! For an application's tests.
