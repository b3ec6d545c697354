//! Lesson plans for a curriculum, module after module.
