use crate::model::{Condition, JobFilter, JobId, State, Term};
use crate::store::{Error, Result};

impl JobFilter {
    /// Adds what a person types into a search: words, all of which must fit.
    ///
    /// `queue:` `kind:` `state:` `id:` `parent:` `key:` `label.NAME:` `args.PATH:` and `error:` look at that field, and
    /// `id:PREFIX*` at the prefix of the id; any other word is looked for in the id, the kind, the args and the last error. `"…"` keeps blanks together, also after a colon,
    /// with `\"` and `\\` for what they are; a `-` before a word turns it round.
    ///
    /// # Errors
    /// [`Error::Invalid`] of the field `q` for a state that there is not, and for a qualifier without a value.
    pub fn with_query(mut self, query: &str) -> Result<Self> {
        for word in words(query)? {
            let term = word.term()?;
            self.add(term);
        }
        Ok(self)
    }

    /// Adds a condition, where it can be in a form that stores have an index for.
    fn add(&mut self, term: Term) {
        match term {
            Term { condition: Condition::Id(id), negated: false } if self.ids.is_empty() => self.ids.push(id),
            Term { condition: Condition::State(state), negated: false } if self.states.is_empty() => {
                self.states.push(state);
            }
            Term { condition: Condition::Kind(kind), negated: false } if self.kinds.is_empty() => {
                self.kinds.push(kind);
            }
            Term { condition: Condition::Queue(queue), negated: false } if self.queues.is_empty() => {
                self.queues.push(queue);
            }
            Term { condition: Condition::Parent(parent), negated: false } if self.parents.is_empty() => {
                self.parents.push(parent);
            }
            Term { condition: Condition::Label { name, value }, negated: false } => {
                self.labels.push((name, value));
            }
            term => self.terms.push(term),
        }
    }
}

/// A word of a query.
#[derive(Debug, Default, PartialEq, Eq)]
struct Word {
    negated: bool,
    /// The text before the first colon outside of quotation marks.
    qualifier: Option<String>,
    text: String,
}

impl Word {
    fn term(self) -> Result<Term> {
        let Self { negated, qualifier, text } = self;
        let condition = match qualifier.as_deref() {
            None => Condition::Text(text),
            Some(qualifier) if is_known(qualifier) && text.is_empty() => {
                return Err(invalid(format!("must have a value after '{qualifier}:'")));
            }
            // No id has a star.
            Some("id") => match text.strip_suffix('*') {
                Some("") => return Err(invalid("must have a prefix before the star of 'id:'".into())),
                Some(prefix) => Condition::IdPrefix(prefix.to_owned()),
                None => Condition::Id(JobId::from_store(text)),
            },
            Some("parent") => Condition::Parent(JobId::from_store(text)),
            Some("state") => Condition::State(text.parse::<State>().map_err(invalid)?),
            Some("kind") => Condition::Kind(text),
            Some("queue") => Condition::Queue(text),
            Some("key") => Condition::Key(text),
            Some("error") => Condition::Error(text),
            Some(qualifier) => match (qualifier.strip_prefix("label."), qualifier.strip_prefix("args.")) {
                (Some(name), _) if !name.is_empty() => Condition::Label { name: name.into(), value: text },
                (_, Some(path)) if !path.is_empty() => Condition::Args { path: path.into(), value: text },
                // Not a qualifier: `https://…`, or an id with colons.
                _ => Condition::Text(format!("{qualifier}:{text}")),
            },
        };
        Ok(Term { condition, negated })
    }
}

fn is_known(qualifier: &str) -> bool {
    matches!(qualifier, "id" | "parent" | "state" | "kind" | "queue" | "key" | "error")
        || ["label.", "args."]
            .iter()
            .any(|start| qualifier.len() > start.len() && qualifier.starts_with(start))
}

/// Cuts a query into words.
fn words(query: &str) -> Result<Vec<Word>> {
    if query.contains('\0') {
        return Err(invalid("must not hold a NUL character".to_owned()));
    }
    let mut words = Vec::new();
    let mut letters = query.trim_start().chars().peekable();
    while letters.peek().is_some() {
        let negated = letters.next_if_eq(&'-').is_some();
        let mut word = Word { negated, ..Word::default() };
        let (mut is_quoted, mut was_quoted) = (false, false);
        while let Some(letter) = letters.next() {
            match letter {
                '"' => (is_quoted, was_quoted) = (!is_quoted, true),
                '\\' if is_quoted => word.text.push(letters.next().unwrap_or('\\')),
                letter if letter.is_whitespace() && !is_quoted => break,
                // An escaped or a quoted colon is a part of the text.
                ':' if !is_quoted && !was_quoted && word.qualifier.is_none() => {
                    word.qualifier = Some(std::mem::take(&mut word.text));
                }
                letter => word.text.push(letter),
            }
        }
        // An open quotation mark reaches to the end, as it does while the query is being typed.
        if !word.text.is_empty() || word.qualifier.is_some() {
            words.push(word);
        } else if word.negated {
            words.push(Word { text: "-".into(), ..Word::default() });
        }
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
    }
    Ok(words)
}

fn invalid(reason: String) -> Error {
    Error::Invalid { field: "q".into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> JobFilter {
        JobFilter::default().with_query(text).unwrap()
    }

    fn not(condition: Condition) -> Term {
        Term { condition, negated: true }
    }

    fn yes(condition: Condition) -> Term {
        Term { condition, negated: false }
    }

    #[test]
    fn qualifiers_become_the_fields_that_stores_have_an_index_for() {
        let filter = query("queue:emails kind:send state:failed id:a:b parent:p label.env:test late");
        let expected = JobFilter {
            ids: vec![JobId::from_store("a:b".into())],
            states: vec![State::Failed],
            kinds: vec!["send".into()],
            queues: vec!["emails".into()],
            parents: vec![JobId::from_store("p".into())],
            labels: vec![("env".into(), "test".into())],
            text: None,
            terms: vec![yes(Condition::Text("late".into()))],
        };
        assert_eq!(filter, expected);
        assert_eq!(query(" \t "), JobFilter::default());
    }

    #[test]
    fn what_no_index_knows_becomes_terms() {
        let filter =
            query(r#"-state:failed id:0199:a* key:openai args.user.id:7 error:"timed out" one two -three"#);
        let expected = [
            not(Condition::State(State::Failed)),
            yes(Condition::IdPrefix("0199:a".into())),
            yes(Condition::Key("openai".into())),
            yes(Condition::Args { path: "user.id".into(), value: "7".into() }),
            yes(Condition::Error("timed out".into())),
            yes(Condition::Text("one".into())),
            yes(Condition::Text("two".into())),
            not(Condition::Text("three".into())),
        ];
        assert_eq!(filter.terms, expected);
        let both = query("state:failed state:completed");
        assert_eq!(
            (both.states, both.terms),
            (vec![State::Failed], vec![yes(Condition::State(State::Completed))])
        );
    }

    #[test]
    fn quoted_text_is_taken_as_it_is() {
        let texts = [
            (r#""state:failed now""#, "state:failed now"),
            (r#""a \"b\" \\""#, r#"a "b" \"#),
            ("https://example.org/x", "https://example.org/x"),
            (r#""never closed"#, "never closed"),
            ("-", "-"),
            ("label.:x", "label.:x"),
        ];
        for (typed, text) in texts {
            assert_eq!(query(typed).terms, [yes(Condition::Text(text.into()))], "{typed}");
        }
        assert_eq!(query(r#"kind:"a b""#).kinds, ["a b"]);
        assert_eq!(query(r#"-"a b""#).terms, [not(Condition::Text("a b".into()))]);
    }

    #[test]
    fn a_state_that_there_is_not_and_a_missing_value_are_refused() {
        for typed in ["state:done", "kind:", "id:*", "args.x:", "a\0b"] {
            let refused = JobFilter::default().with_query(typed).unwrap_err();
            assert!(matches!(&refused, Error::Invalid { field, .. } if field == "q"), "{refused}");
        }
    }
}
