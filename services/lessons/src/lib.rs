//! Lesson generation with Wikipedia and a language model.
