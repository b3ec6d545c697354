//! The words that select jobs: the dashboard's search, and a flag for each field.

use std::ffi::OsString;

use clap::Args;
use longhaul::access::CREATED_BY;
use longhaul::{JobId, State};
use serde_json::{Map, Value, json};

use crate::client::encoded;
use crate::run::by_name;
use crate::{Coded, Result, USAGE};

/// The jobs that are meant: those that fit everything that is given.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct Fields {
    /// In one of these states: blocked, scheduled, available, running, completed, failed, cancelled
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',')]
    states: Vec<State>,
    /// Of one of these kinds
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    kinds: Vec<String>,
    /// In one of these queues
    #[arg(long = "queue", value_name = "QUEUE", value_delimiter = ',')]
    queues: Vec<String>,
    /// That belong to one of these jobs: the children of a batch
    #[arg(long = "parent", value_name = "ID", value_delimiter = ',', value_parser = id)]
    parents: Vec<JobId>,
    /// With this label, and every other one given
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// With this text in the id, the kind, the args or the last error
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Enqueued with the token of this id, as `longhaul tokens` lists it
    #[arg(long, value_name = "TOKEN")]
    created_by: Option<String>,
}

/// A search: fields and words.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Search {
    fields: Fields,
    words: Vec<String>,
}

/// Help on the words of a search, for the end of a command's own.
pub(crate) const WORDS: &str = "\
A search is words, all of which must fit: queue: kind: state: id: parent: key: label.NAME: args.PATH: error:,
\"quoted text\" and free text; a - before a word turns it round. They are the words of the dashboard's search box.";

/// The qualifiers of words; those that end in a dot have a name of the caller's.
const QUALIFIERS: [&str; 9] =
    ["queue:", "kind:", "state:", "id:", "parent:", "key:", "error:", "label.", "args."];

/// Stands for the `-` of a word on its way through the parser of flags.
const MINUS: char = '\u{2212}';

/// Makes words like `-label.env:test` pass for words, which are flags to every parser of command lines.
pub(crate) fn protected(args: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    args.map(|arg| match arg.to_str().and_then(|text| text.strip_prefix('-')) {
        Some(word) if has_qualifier(word) => format!("{MINUS}{word}").into(),
        _ => arg,
    })
}

/// Reads a word of a search back that was [protected].
pub(crate) fn word(text: &str) -> Result<String, String> {
    let word = match text.strip_prefix(MINUS) {
        Some(rest) if has_qualifier(rest) => format!("-{rest}"),
        _ => text.to_owned(),
    };
    if word.trim().is_empty() { Err("a word is empty; leave it out".into()) } else { Ok(word) }
}

/// True for what is a word of a search, and no id.
pub(crate) fn is_search(word: &str) -> bool {
    has_qualifier(word.strip_prefix('-').unwrap_or(word))
        || word.contains(['"', ' '])
        || word.starts_with('-')
}

fn has_qualifier(word: &str) -> bool {
    QUALIFIERS.iter().any(|qualifier| word.starts_with(qualifier)) && word.contains(':')
}

impl Fields {
    /// Refuses a label that is given twice: no job has both values, and an action would be told of one of them alone.
    pub(crate) fn check(&self) -> Result<(), Coded> {
        by_name("--label", &self.labels).map(drop).map_err(|message| Coded(USAGE, message))
    }

    /// The failed jobs of a queue.
    pub(crate) fn failed_of(queue: &str) -> Self {
        Self { queues: vec![queue.to_owned()], states: vec![State::Failed], ..Self::default() }
    }
}

impl Search {
    pub(crate) fn new(mut fields: Fields, words: Vec<String>) -> Self {
        fields.labels.extend(fields.created_by.take().map(|token| (CREATED_BY.to_owned(), token)));
        Self { fields, words }
    }

    /// True where every job fits.
    pub(crate) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The parameters of a list, each with its `&`.
    pub(crate) fn query(&self) -> String {
        let Fields { states, kinds, queues, parents, labels, .. } = &self.fields;
        let mut query = String::new();
        let mut add = |name: &str, value: &str| query.push_str(&format!("&{name}={}", encoded(value)));
        states.iter().for_each(|state| add("state", state.as_str()));
        kinds.iter().for_each(|kind| add("kind", kind));
        queues.iter().for_each(|queue| add("queue", queue));
        parents.iter().for_each(|parent| add("parent", parent.as_str()));
        labels.iter().for_each(|(name, value)| add("label", &format!("{name}:{value}")));
        if let Some(words) = self.joined() {
            add("q", &words);
        }
        query
    }

    /// The filter of an action.
    pub(crate) fn filter(&self) -> Value {
        let Fields { states, kinds, queues, parents, labels, .. } = &self.fields;
        let mut filter = Map::new();
        let lists = [
            ("state", states.iter().map(|state| state.as_str().to_owned()).collect::<Vec<_>>()),
            ("kind", kinds.clone()),
            ("queue", queues.clone()),
            ("parent", parents.iter().map(ToString::to_string).collect()),
        ];
        for (name, values) in lists.into_iter().filter(|(_, values)| !values.is_empty()) {
            filter.insert(name.into(), json!(values));
        }
        if !labels.is_empty() {
            let labels: Map<String, Value> =
                labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            filter.insert("labels".into(), labels.into());
        }
        if let Some(words) = self.joined() {
            filter.insert("q".into(), words.into());
        }
        filter.into()
    }

    /// The words as the contract's `q` has them. The shell has taken their quotes away.
    fn joined(&self) -> Option<String> {
        let words = self.words.iter().map(|word| requoted(word));
        let text = self.fields.text.iter().map(|text| quoted(text));
        let all: Vec<String> = words.chain(text).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }
}

/// A word with the quotes that it needs. What has quotes of its own, or holds several words with qualifiers, is a whole
/// search that was quoted for the shell.
fn requoted(word: &str) -> String {
    let is_whole = word.contains('"') || word.split_whitespace().filter(|part| is_search(part)).count() > 1;
    if is_whole || !word.contains(char::is_whitespace) {
        return word.to_owned();
    }
    let start = if has_qualifier(word.strip_prefix('-').unwrap_or(word)) {
        word.find(':').map_or(0, |colon| colon + 1)
    } else {
        usize::from(word.starts_with('-'))
    };
    format!("{}{}", &word[..start], quoted(&word[start..]))
}

fn quoted(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    if is_plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn id(text: &str) -> Result<JobId, String> {
    JobId::new(text).map_err(|error| error.to_string())
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(words: &[&str]) -> String {
        let words = words.iter().map(|word| word.to_string()).collect();
        Search::new(Fields::default(), words).joined().unwrap_or_default()
    }

    #[test]
    fn words_get_the_quotes_back_that_the_shell_took() {
        assert_eq!(
            joined(&["queue:emails", "state:failed", "timed out", "-label.env:test", "args.user:7"]),
            "queue:emails state:failed \"timed out\" -label.env:test args.user:7"
        );
        assert_eq!(
            joined(&["error:timed out", "-label.team:a b"]),
            "error:\"timed out\" -label.team:\"a b\""
        );
        assert_eq!(
            joined(&["queue:emails state:failed \"timed out\""]),
            "queue:emails state:failed \"timed out\""
        );
        assert_eq!(joined(&["queue:emails state:failed"]), "queue:emails state:failed");
    }

    #[test]
    fn a_text_is_searched_for_as_it_is() {
        let search = |text: &str| {
            let fields = Fields { text: Some(text.into()), ..Fields::default() };
            Search::new(fields, Vec::new()).joined().unwrap_or_default()
        };
        assert_eq!(search("provider"), "provider");
        assert_eq!(search("provider is \"down\""), "\"provider is \\\"down\\\"\"");
        assert_eq!(search("queue:x"), "\"queue:x\"");
    }

    #[test]
    fn a_word_that_is_turned_round_is_no_flag() {
        let args = ["jobs", "-label.env:test", "--json", "-state:failed", "-h"].map(OsString::from);
        let words: Vec<String> =
            protected(args.into_iter()).map(|arg| arg.into_string().expect("UTF-8")).collect();
        assert_eq!(words[2..3], ["--json"]);
        assert_eq!(words[4], "-h");
        assert_eq!(word(&words[1]), Ok("-label.env:test".to_owned()));
        assert_eq!(word(&words[3]), Ok("-state:failed".to_owned()));
    }

    #[test]
    fn an_id_is_no_search() {
        assert!(!is_search("materials-0199c1f2") && !is_search("a:b") && !is_search("timed"));
        assert!(
            is_search("queue:x")
                && is_search("-args.a.b:1")
                && is_search("timed out")
                && is_search("label.a:b")
        );
    }

    #[test]
    fn a_filter_carries_fields_and_words() {
        let fields = Fields {
            queues: vec!["mail".into()],
            labels: vec![("a".into(), "b".into())],
            ..Fields::default()
        };
        let search = Search::new(fields, vec!["state:failed".into()]);
        assert_eq!(search.query(), "&queue=mail&label=a%3Ab&q=state%3Afailed");
        assert_eq!(search.filter(), json!({"queue": ["mail"], "labels": {"a": "b"}, "q": "state:failed"}));
        let fields = Fields { created_by: Some("tok_1".into()), ..Fields::default() };
        assert!(Search::new(Fields::default(), Vec::new()).is_everything());
        let search = Search::new(fields, Vec::new());
        assert!(!search.is_everything());
        assert_eq!(search.query(), "&label=longhaul.created_by%3Atok_1");
        assert_eq!(search.filter(), json!({"labels": {"longhaul.created_by": "tok_1"}}));
    }

    #[test]
    fn a_label_that_is_given_twice_is_refused() {
        let of = |names: [&str; 2]| Fields {
            labels: names.map(|name| (name.to_owned(), "x".to_owned())).to_vec(),
            ..Fields::default()
        };
        assert!(of(["a", "b"]).check().is_ok());
        let Coded(code, message) = of(["a", "a"]).check().unwrap_err();
        assert_eq!((code, message.as_str()), (USAGE, "--label a is given twice"));
    }
}
