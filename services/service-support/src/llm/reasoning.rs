use std::sync::LazyLock;

/// Takes the reasoning that a model puts before or into its reply out of the pieces of that reply, as they come.
#[derive(Debug)]
pub(crate) struct Reasoning {
    form: Form,
    /// The text that is not decided yet: it may be the beginning of a mark, or stand within one.
    held: String,
    /// The bytes of it that were looked through for the end of the reasoning.
    searched: usize,
    within: Option<Within>,
    /// The last character that was let through.
    last: Option<char>,
    /// True once more than white space was let through.
    is_begun: bool,
    /// True once a mark closed what nothing had opened: the server's template opens it before the reply begins.
    pub(crate) closes_unopened: bool,
}

/// The form of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Words for people.
    Words,
    /// A JSON document.
    Json,
}

/// The reasoning in which the text stands.
#[derive(Clone, Copy, Debug)]
struct Within {
    opening: &'static str,
    closing: &'static str,
    place: Place,
}

/// The place of an opening mark, which decides what becomes of reasoning that never ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the reply, or on a line of its own: it is reasoning, however it ends.
    Apart,
    /// Within a line: without its end, it is a text that speaks of the mark.
    Inline,
    /// Before the reply began, by the server's template: without its end, there was none.
    Unseen,
}

/// The pairs of marks, from the longest opening.
static TAGS: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let lines = include_str!("reasoning_tags.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.trim().split_once(' ')).collect()
});

impl Reasoning {
    pub(crate) fn new(form: Form) -> Self {
        let (held, within, last) = (String::new(), None, None);
        Self { form, held, searched: 0, within, last, is_begun: false, closes_unopened: false }
    }

    /// For a model whose replies begin within their reasoning.
    pub(crate) fn opened(form: Form) -> Self {
        let within = TAGS.first().map(|(opening, closing)| Within { opening, closing, place: Place::Unseen });
        Self { within, ..Self::new(form) }
    }

    /// Takes the next piece; what may be shown of the text so far comes back.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        let mut shown = String::new();
        loop {
            let progressed = match self.within {
                Some(within) => self.skip(within),
                None => self.show(&mut shown),
            };
            if !progressed {
                return shown;
            }
        }
    }

    /// The rest of the text, once it has ended.
    pub(crate) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        match self.within.take() {
            None => held,
            Some(Within { place: Place::Unseen, .. }) => held,
            Some(within) if within.place == Place::Inline => format!("{}{held}", within.opening),
            // A document may stand after reasoning that was never closed; whoever reads it looks for one that fits.
            Some(_) if self.form == Form::Json && !self.is_begun => held,
            Some(_) => String::new(),
        }
    }

    /// Drops held reasoning up to its closing mark.
    fn skip(&mut self, within: Within) -> bool {
        // A mark may have begun in the bytes that were looked through.
        let from = self.searched.saturating_sub(within.closing.len());
        let Some(at) = find(&self.held.as_bytes()[from..], within.closing) else {
            self.searched = self.held.len();
            return false;
        };
        self.held.drain(..from + at + within.closing.len());
        (self.within, self.searched) = (None, 0);
        true
    }

    /// Lets text through up to the next mark.
    fn show(&mut self, shown: &mut String) -> bool {
        let opening = TAGS
            .iter()
            .filter_map(|tag| Some((find(self.held.as_bytes(), tag.0)?, tag)))
            .min_by_key(|(at, _)| *at);
        let closing = TAGS
            .iter()
            .filter_map(|tag| Some((find(self.held.as_bytes(), tag.1)?, tag.1)))
            .min_by_key(|(at, _)| *at);
        match (opening, closing) {
            (Some((at, (opening, closing))), unopened) if unopened.is_none_or(|(lone, _)| at < lone) => {
                let before = self.held[..at].chars().next_back().or(self.last);
                if before == Some('`') {
                    // Somebody writes about the mark.
                    self.let_through(at + opening.len(), shown);
                    return true;
                }
                let is_apart = !self.is_begun && self.held[..at].trim().is_empty()
                    || before == Some('\n') && self.form == Form::Words;
                self.let_through(at, shown);
                self.held.drain(..opening.len());
                let place = if is_apart { Place::Apart } else { Place::Inline };
                self.within = Some(Within { opening, closing, place });
                true
            }
            (_, Some((at, mark))) if mark != "<|end|>" => {
                if self.held[..at].chars().next_back().or(self.last) == Some('`') {
                    self.let_through(at + mark.len(), shown);
                    return true;
                }
                // All that came before was reasoning; what of it is still here is dropped.
                self.closes_unopened = true;
                self.is_begun = false;
                shown.clear();
                self.held.drain(..at + mark.len());
                true
            }
            _ => {
                let keep = beginning_of_mark(&self.held);
                self.let_through(self.held.len() - keep, shown);
                false
            }
        }
    }

    fn let_through(&mut self, end: usize, shown: &mut String) {
        let text: String = self.held.drain(..end).collect();
        self.last = text.chars().next_back().or(self.last);
        // White space before the first word belongs to the reasoning, or to nobody.
        let text = if self.is_begun { &text } else { text.trim_start() };
        self.is_begun |= !text.is_empty();
        shown.push_str(text);
    }
}

/// The position of a mark, whatever its capitals.
fn find(text: &[u8], mark: &str) -> Option<usize> {
    let mark = mark.as_bytes();
    text.windows(mark.len()).position(|window| window.eq_ignore_ascii_case(mark))
}

/// The bytes at the end of a text that may be the beginning of a mark.
fn beginning_of_mark(text: &str) -> usize {
    let marks = TAGS.iter().flat_map(|(opening, closing)| [*opening, *closing]);
    let begins = |mark: &str| {
        (1..mark.len().min(text.len() + 1)).rev().find(|length| {
            text.as_bytes()[text.len() - length..].eq_ignore_ascii_case(&mark.as_bytes()[..*length])
        })
    };
    let most = marks.filter_map(begins).max().unwrap_or(0);
    // A mark's first byte may be a part of another character.
    (most..=text.len()).find(|keep| text.is_char_boundary(text.len() - keep)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(form: Form, text: &str) -> String {
        let mut whole = Reasoning::new(form);
        let expected = whole.push(text) + &whole.finish();
        // Cut anywhere, it comes out the same.
        let mut pieces = Reasoning::new(form);
        let mut together = String::new();
        for character in text.chars() {
            together.push_str(&pieces.push(&character.to_string()));
        }
        together.push_str(&pieces.finish());
        if !whole.closes_unopened {
            assert_eq!(together, expected, "{text}");
        }
        expected
    }

    #[test]
    fn reasoning_before_a_reply_is_cut_off() {
        for tag in ["think", "thinking", "Thinking", "reasoning", "THOUGHT"] {
            let text = format!("\n<{tag}>Let me {{see}}.\n\nHm.</{tag}>\n\nThe answer.");
            assert_eq!(shown(Form::Words, &text), "The answer.", "{tag}");
        }
        assert_eq!(shown(Form::Words, "[THINK]a[/THINK]<think></think>b"), "b");
        assert_eq!(shown(Form::Words, "<|channel|>analysis<|message|>a<|end|>b"), "b");
    }

    #[test]
    fn reasoning_within_a_reply_is_cut_out() {
        assert_eq!(shown(Form::Words, "One.\n<think>hm</think>Two."), "One.\nTwo.");
        assert_eq!(shown(Form::Json, "{\"a\": \"<think>hm</think>b\"}"), "{\"a\": \"b\"}");
    }

    #[test]
    fn reasoning_that_never_ends_is_never_shown_to_people() {
        assert_eq!(shown(Form::Words, "<think>Let me see"), "");
        assert_eq!(shown(Form::Words, "One.\n<think>Let me see"), "One.\n");
        assert_eq!(shown(Form::Json, "<think>Let me see {x}\n{\"a\": 1}"), "Let me see {x}\n{\"a\": 1}");
    }

    #[test]
    fn a_text_about_a_mark_is_shown() {
        for text in
            ["The `<think>` and `</think>` tags", "The <think> tag is one.", "a < b, <thin air>", "<", "◁"]
        {
            assert_eq!(shown(Form::Words, text), text);
        }
    }

    #[test]
    fn what_stands_before_a_lone_end_is_reasoning_and_later_replies_are_known_to_begin_so() {
        let mut first = Reasoning::new(Form::Words);
        assert_eq!(first.push("Hm, well.\n</think>\n\nYes."), "Yes.");
        assert!(first.closes_unopened);
        let mut next = Reasoning::opened(Form::Words);
        assert_eq!(next.push("Hm. ") + &next.push("Well.</think>Yes"), "Yes");
        let mut without = Reasoning::opened(Form::Words);
        assert_eq!(without.push("Yes.") + &without.finish(), "Yes.");
    }
}
