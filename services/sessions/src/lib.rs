//! Learning sessions: skills, sessions, and their dispatch to a language model.
