use service_support::Message;

/// A question to be answered from sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) aim: Aim,
    /// The messages before, where the text leans on them.
    pub(crate) before: String,
    /// The conversation before it, oldest first.
    pub(crate) history: Vec<Message>,
    /// The passages to answer from, best first.
    pub(crate) sources: Vec<Source>,
}

/// The aim of a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Aim {
    /// An answer that stands in the sources.
    #[default]
    Answer,
    /// The subject of the sources, as a whole.
    Summary,
}

/// A passage, or a whole document, to answer from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The name of its document, for people.
    pub(crate) name: String,
    pub(crate) page: Option<u32>,
    pub(crate) text: String,
}
