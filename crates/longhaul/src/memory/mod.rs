//! The store that keeps everything in memory: for tests, and the model that other stores are compared with.
