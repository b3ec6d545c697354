//! Hidden values of jobs: a view of a store in which they are `[redacted]`, and cannot be searched for either.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use longhaul::testing::{Answer, Call, Intercept};
use longhaul::{
    Acted, Action, Condition, Event, EventBody, JobFilter, JobId, JobPage, JobRecord, Json, Lookup, Page,
    Payloads, Result, Store,
};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The paths of values that are not to be shown: `args.password,output.token,args.*.secret`.
///
/// A path begins with `args`, `output`, `progress` (the data of a progress report), `chunk` or `step`; by itself, such a word is
/// all of it. `*` is any name and any place of an array; a place may also be left out, so that `args.pages.title` is the title of
/// every page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    paths: Arc<[HiddenPath]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct HiddenPath {
    part: Part,
    names: Vec<String>,
}

/// The part of a job that a path is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Args,
    Output,
    Progress,
    Chunk,
    Step,
}

const REDACTED: &str = "[redacted]";
/// A shorter secret is not looked for in texts: it would be found in many that have nothing to do with it.
const SHORTEST_SECRET: usize = 4;
/// The most jobs that a page of a search looks at.
const LOOKED_AT: u64 = 10_000;
/// Jobs that an action is done to at once.
const AT_ONCE: usize = 500;

/// The same store, as people are to see it: what it answers about jobs and their events has no hidden value, and a search finds
/// nothing by one. What workers claim must not come from here.
#[must_use]
pub fn redacted(store: Arc<dyn Store>, redaction: Redaction) -> Arc<dyn Store> {
    if redaction.is_empty() {
        return store;
    }
    Arc::new(Intercept::over(store, move |store, call| {
        let redaction = redaction.clone();
        async move { redaction.answer(&*store, call).await }
    }))
}

impl FromStr for Redaction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let path = |word: &str| {
            let mut names = word.split('.').map(str::to_owned);
            let part = match names.next().as_deref() {
                Some("args") => Part::Args,
                Some("output") => Part::Output,
                Some("progress") => Part::Progress,
                Some("chunk") => Part::Chunk,
                Some("step") => Part::Step,
                _ => {
                    return Err(format!(
                        "'{word}' must begin with args, output, progress, chunk or step, as in args.password"
                    ));
                }
            };
            let names: Vec<String> = names.collect();
            if names.iter().any(String::is_empty) {
                return Err(format!("'{word}' has an empty name between two dots"));
            }
            Ok(HiddenPath { part, names })
        };
        Ok(Self { paths: words.map(path).collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} paths", self.paths.len())
    }
}

/// The texts of hidden values, to be taken out of what jobs have said in words.
#[derive(Debug, Default)]
struct Secrets(BTreeSet<String>);

impl Redaction {
    /// True where everything is shown.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The args of a job that is not in the store yet.
    pub(crate) fn args(&self, args: &Json) -> Json {
        self.hide(Part::Args, args, &mut Secrets::default())
    }

    /// True where the word for a hidden value stands in the place of one: what was shown is being given back.
    pub(crate) fn holds_placeholder(&self, args: &Json) -> bool {
        let mut given = Secrets::default();
        self.hide(Part::Args, args, &mut given);
        given.0.contains(REDACTED)
    }

    async fn answer(&self, store: &dyn Store, call: Call) -> Result<Answer> {
        Ok(match call {
            Call::Get(ids) => {
                let mut lookups = store.get(&ids).await?;
                for lookup in &mut lookups {
                    if let Lookup::Found(job) = lookup {
                        self.job(job);
                    }
                }
                Answer::Lookups(lookups)
            }
            Call::List(filter, page) => Answer::Page(self.list(store, &filter, page).await?),
            Call::Events(id, after, limit, wait) => {
                let mut events = store.events(&id, after, limit, wait).await?;
                if let Some(events) = events.as_mut().filter(|events| !events.is_empty()) {
                    let secrets = self.secrets_of(store, &id).await?;
                    events.iter_mut().for_each(|event| self.event(event, &secrets));
                }
                Answer::Events(events)
            }
            Call::Steps(id) => {
                let mut steps = store.steps(&id).await?;
                for step in steps.iter_mut().flatten() {
                    let hide = |output: &Json| self.hide(Part::Step, output, &mut Secrets::default());
                    step.output = step.output.as_ref().map(hide);
                }
                Answer::Steps(steps)
            }
            Call::Act(filter, action, limit) if looks_inside(&filter) => {
                Answer::Acted(self.act(store, &filter, action, limit).await?)
            }
            call => call.on(store).await?,
        })
    }

    /// Searches in the values that the caller may see: a search by the store would find hidden values, and even the end
    /// of a page would show that it did.
    async fn list(&self, store: &dyn Store, filter: &JobFilter, page: Page) -> Result<JobPage> {
        let mut outside = filter.clone();
        outside.text = None;
        outside.terms.retain(|term| !is_inside(&term.condition));
        let mut all = JobPage { next: page.cursor.clone(), ..JobPage::default() };
        loop {
            let limit = page.limit - all.jobs.len();
            let piece = Page { cursor: all.next.take(), limit, payloads: Payloads::Whole };
            let found = store.list(&outside, piece).await?;
            all.searched += found.searched;
            all.next = found.next;
            for mut job in found.jobs {
                self.job(&mut job);
                if !filter.fits(&job) {
                    continue;
                }
                if page.payloads == Payloads::Short {
                    job.shorten();
                }
                all.jobs.push(job);
            }
            let is_done = !looks_inside(filter) || all.jobs.len() >= page.limit || all.searched >= LOOKED_AT;
            if all.next.is_none() || is_done {
                return Ok(all);
            }
        }
    }

    async fn act(
        &self,
        store: &dyn Store,
        filter: &JobFilter,
        action: Action,
        limit: usize,
    ) -> Result<Acted> {
        let (mut acted, mut cursor) = (Acted::default(), None);
        loop {
            let left = limit.saturating_sub(usize::try_from(acted.done).unwrap_or(limit));
            let page = Page { cursor, limit: left.clamp(1, AT_ONCE), payloads: Payloads::Whole };
            let page = self.list(store, filter, page).await?;
            if !page.jobs.is_empty() {
                let ids = page.jobs.iter().map(|job| job.id.clone()).collect();
                let states = filter.states.clone();
                let these = JobFilter { ids, states, ..JobFilter::default() };
                let done = store.act(&these, action.clone(), left).await?;
                acted.matched += done.matched;
                acted.done += done.done;
            }
            cursor = page.next;
            acted.complete = cursor.is_none();
            if acted.complete || acted.done >= limit as u64 {
                return Ok(acted);
            }
        }
    }

    async fn secrets_of(&self, store: &dyn Store, id: &JobId) -> Result<Secrets> {
        let mut secrets = Secrets::default();
        if let Some(Lookup::Found(job)) = store.get(std::slice::from_ref(id)).await?.pop() {
            self.hide(Part::Args, &job.args, &mut secrets);
            job.output.as_ref().map(|output| self.hide(Part::Output, output, &mut secrets));
        }
        Ok(secrets)
    }

    fn job(&self, job: &mut JobRecord) {
        let mut secrets = Secrets::default();
        job.args = self.hide(Part::Args, &job.args, &mut secrets);
        job.output = job.output.as_ref().map(|output| self.hide(Part::Output, output, &mut secrets));
        if let Some(progress) = &mut job.progress {
            progress.data = progress.data.as_ref().map(|data| self.hide(Part::Progress, data, &mut secrets));
            secrets.take_out_of(&mut progress.message);
        }
        job.errors.iter_mut().for_each(|error| secrets.take_out_of(&mut error.message));
    }

    fn event(&self, event: &mut Event, secrets: &Secrets) {
        let mut own = Secrets::default();
        match &mut event.body {
            EventBody::State { error: Some(error), .. } => secrets.take_out_of(&mut error.message),
            EventBody::Progress(progress) => {
                progress.data = progress.data.as_ref().map(|data| self.hide(Part::Progress, data, &mut own));
                secrets.take_out_of(&mut progress.message);
            }
            EventBody::Log { message, .. } => secrets.take_out_of(message),
            EventBody::Chunk { data } => *data = self.hide(Part::Chunk, data, &mut own),
            EventBody::Output { output } => *output = self.hide(Part::Output, output, &mut own),
            EventBody::State { .. } | EventBody::Gap | EventBody::Reset => {}
        }
    }

    fn hide(&self, part: Part, json: &Json, secrets: &mut Secrets) -> Json {
        let paths: Vec<&[String]> =
            self.paths.iter().filter(|path| path.part == part).map(|path| path.names.as_slice()).collect();
        // What is written here is JSON again; were it not, nothing of it may be shown.
        match hidden(json.as_str(), &paths, secrets) {
            Some(text) => Json::parse(text).unwrap_or_else(|_| Json::null()),
            None => json.clone(),
        }
    }
}

/// True for a filter that looks into what a job holds or has said.
fn looks_inside(filter: &JobFilter) -> bool {
    filter.text.is_some() || filter.terms.iter().any(|term| is_inside(&term.condition))
}

fn is_inside(condition: &Condition) -> bool {
    matches!(condition, Condition::Args { .. } | Condition::Error(_) | Condition::Text(_))
}

/// The members of an object in their order, each as it was written: numbers keep their digits.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder).map(Members)
    }
}

/// The JSON without what stands at the paths; none where there is nothing of it.
fn hidden(json: &str, paths: &[&[String]], secrets: &mut Secrets) -> Option<String> {
    if paths.is_empty() {
        return None;
    }
    if paths.iter().any(|path| path.is_empty()) {
        secrets.learn(json);
        return Some(format!("\"{REDACTED}\""));
    }
    let mut is_changed = false;
    let mut part = |value: &RawValue, paths: &[&[String]]| match hidden(value.get(), paths, secrets) {
        Some(text) => {
            is_changed = true;
            text
        }
        None => value.get().to_owned(),
    };
    let text = match json.trim_start().as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(json).ok()?;
            let members = members.into_iter().map(|(name, value)| {
                let rest: Vec<&[String]> = paths.iter().filter_map(|path| after_name(path, &name)).collect();
                format!("{}:{}", Value::from(name.as_str()), part(value, &rest))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            let items = items.into_iter().enumerate().map(|(place, item)| {
                let place = place.to_string();
                let mut rest: Vec<&[String]> =
                    paths.iter().filter_map(|path| after_name(path, &place)).collect();
                if item.get().starts_with(['{', '[']) {
                    rest.extend(paths);
                }
                part(item, &rest)
            });
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }
        _ => return None,
    };
    is_changed.then_some(text)
}

/// The rest of a path behind a name. A name may hold dots itself.
fn after_name<'a>(path: &'a [String], name: &str) -> Option<&'a [String]> {
    let length = if path.first()? == "*" { 1 } else { name.matches('.').count() + 1 };
    let (first, rest) = path.split_at_checked(length)?;
    (first == ["*"] || first.join(".") == name).then_some(rest)
}

impl Secrets {
    /// Notes every text and number of a hidden value.
    fn learn(&mut self, json: &str) {
        fn leaves(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::String(text) => drop(found.insert(text.clone())),
                Value::Number(number) => drop(found.insert(number.to_string())),
                Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
                Value::Object(members) => members.values().for_each(|value| leaves(value, found)),
                Value::Bool(_) | Value::Null => {}
            }
        }
        if let Ok(value) = serde_json::from_str(json) {
            leaves(&value, &mut self.0);
        }
    }

    fn take_out_of(&self, text: &mut String) {
        // The longest first, for one may be part of another.
        let mut secrets: Vec<&String> =
            self.0.iter().filter(|secret| secret.len() >= SHORTEST_SECRET).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), REDACTED);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hide(paths: &str, args: &str) -> String {
        let redaction: Redaction = paths.parse().unwrap();
        redaction.args(&Json::parse(args.into()).unwrap()).as_str().to_owned()
    }

    #[test]
    fn what_stands_at_a_path_is_hidden_and_all_else_is_as_it_was_written() {
        let args = r#"{"user": {"password": "hunter2", "id": 12345678901234567890}, "rate": 1.10}"#;
        let shown = hide("args.user.password", args);
        assert_eq!(shown, r#"{"user":{"password":"[redacted]","id":12345678901234567890},"rate":1.10}"#);
        assert_eq!(hide("args.other, output.user", args), args);
        assert_eq!(hide("args", "[1]"), r#""[redacted]""#);
        let inside = r#"{"user":{"password":"hunter2","id":"[redacted]"},"rate":1.10}"#;
        assert_eq!(hide("args.*.id", args), inside);
        assert_eq!(hide("args.user", args), r#"{"user":"[redacted]","rate":1.10}"#);
    }

    #[test]
    fn a_path_goes_through_lists_and_names_with_dots() {
        let pages = r#"{"pages":[{"title":"a"},{"title":"b"}],"x.y":{"z":1}}"#;
        let titles = r#"{"pages":[{"title":"[redacted]"},{"title":"[redacted]"}],"x.y":{"z":1}}"#;
        assert_eq!(hide("args.pages.title", pages), titles);
        assert_eq!(hide("args.pages.*.title", pages), titles);
        assert_eq!(
            hide("args.pages.1.title", pages),
            r#"{"pages":[{"title":"a"},{"title":"[redacted]"}],"x.y":{"z":1}}"#
        );
        assert!(hide("args.x.y.z", pages).ends_with(r#""x.y":{"z":"[redacted]"}}"#));
    }

    #[test]
    fn a_path_of_no_part_is_refused() {
        for text in ["password", "argspassword", "args..a", "args.", "label.a"] {
            assert!(text.parse::<Redaction>().is_err(), "{text}");
        }
        assert_eq!(" ".parse::<Redaction>(), Ok(Redaction::default()));
    }
}
