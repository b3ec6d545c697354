//! A client of Wikipedia: its Action API finds articles, its REST API sums one up.

use std::time::Duration;

use longhaul::Clock;
use reqwest::Url;
use reqwest::header::USER_AGENT;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use service_support::{Cause, Env, OpenError, Provider, ProviderError, refused};

/// A client of a wiki's two APIs.
#[derive(Clone, Debug)]
pub(crate) struct Wikipedia {
    provider: Provider,
    base: Url,
}

/// The part of an answer that is kept with a lesson. Where Wikipedia could not help, the note has the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WikipediaInfo {
    pub(crate) title: Option<String>,
    /// The article's first paragraph or two, in its own words.
    pub(crate) summary: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) thumbnail: Option<String>,
    pub(crate) related_articles: Vec<RelatedArticle>,
    pub(crate) note: Option<String>,
}

/// Another article that the search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RelatedArticle {
    pub(crate) title: String,
    pub(crate) url: String,
    pub(crate) excerpt: String,
}

/// For one call with its reply. A lesson is better without Wikipedia than late.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A summary is a few kilobytes.
const MAX_REPLY_BYTES: usize = 1024 * 1024;
/// The longest search that the Action API takes is 300 bytes.
const MAX_SEARCH_BYTES: usize = 280;
/// One to sum up and four that are related.
const HITS: &str = "5";
const RELATED: usize = 4;
/// Wikimedia asks for a name and a way to reach whoever calls.
const AGENT: &str =
    concat!("longhaul-lessons/", env!("CARGO_PKG_VERSION"), " (", env!("CARGO_PKG_REPOSITORY"), ")");

impl Wikipedia {
    /// Prepares a client of the wiki at `WIKIPEDIA_API_URL`, `https://en.wikipedia.org` by default; nothing is contacted
    /// yet.
    pub(crate) fn from_env(env: &Env, max_wait: Duration, clock: Clock) -> Result<Self, OpenError> {
        let base = env.url("WIKIPEDIA_API_URL")?;
        let base = Url::parse(base.as_deref().unwrap_or("https://en.wikipedia.org"))
            .map_err(|e| refused("WIKIPEDIA_API_URL", e.to_string()))?;
        let provider = Provider::new("Wikipedia", TIMEOUT, MAX_REPLY_BYTES, max_wait, clock)?;
        Ok(Self { provider, base })
    }

    /// Looks a topic up. It never fails: a fault becomes the note, and the error is for the log.
    pub(crate) async fn look_up(&self, subject: &str, topic: &str) -> (WikipediaInfo, Option<ProviderError>) {
        let mut info = WikipediaInfo::default();
        let result = self.fill(&mut info, subject, topic).await;
        let error = result.err();
        if let Some(error) = &error {
            info.note = Some(note(error));
        }
        (info, error)
    }

    async fn fill(&self, info: &mut WikipediaInfo, subject: &str, topic: &str) -> Result<(), ProviderError> {
        let mut hits = self.search(&format!("{subject} {topic}")).await?;
        if hits.is_empty() {
            hits = self.search(topic).await?;
        }
        if hits.is_empty() {
            info.note = Some("Wikipedia has no article that fits".into());
            return Ok(());
        }
        info.related_articles = hits.iter().skip(1).take(RELATED).map(|hit| self.related(hit)).collect();
        for hit in &hits {
            let summary: Summary = self.get(self.summary_url(&hit.title)).await?;
            // A page that lists meanings explains none of them; the next hit is likely to be one of them.
            if summary.kind == "disambiguation" || summary.extract.trim().is_empty() {
                continue;
            }
            let related = hits.iter().filter(|other| other.title != hit.title).take(RELATED);
            info.related_articles = related.map(|hit| self.related(hit)).collect();
            info.url = Some(match summary.content_urls {
                Some(urls) => urls.desktop.page,
                None => self.article_url(&summary.title),
            });
            info.thumbnail = summary.thumbnail.map(|picture| picture.source);
            info.summary = Some(summary.extract.trim().to_owned());
            info.title = Some(summary.title);
            return Ok(());
        }
        info.note = Some("Wikipedia has only lists of meanings that fit".into());
        Ok(())
    }

    async fn search(&self, query: &str) -> Result<Vec<Hit>, ProviderError> {
        let mut url = self.base.clone();
        url.set_path("/w/api.php");
        url.query_pairs_mut().extend_pairs([
            ("action", "query"),
            ("list", "search"),
            ("srsearch", &plain(query)),
            ("srlimit", HITS),
            ("srprop", "snippet"),
            ("format", "json"),
            ("utf8", "1"),
        ]);
        let found: Found = self.get(url).await?;
        match (found.query, found.error) {
            (Some(query), _) => Ok(query.search),
            // The Action API answers 200 to what it refuses.
            (None, Some(error)) => Err(self.provider.bad_reply(format!("{}: {}", error.code, error.info))),
            (None, None) => Err(self.provider.bad_reply("the answer to the search holds no results")),
        }
    }

    async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, ProviderError> {
        let request = self.provider.client().get(url).header(USER_AGENT, AGENT);
        let reply = self.provider.send(request).await?;
        serde_json::from_slice(&reply.body).map_err(|e| self.provider.bad_reply(e))
    }

    fn related(&self, hit: &Hit) -> RelatedArticle {
        let url = self.article_url(&hit.title);
        RelatedArticle { title: hit.title.clone(), url, excerpt: without_markup(&hit.snippet) }
    }

    fn summary_url(&self, title: &str) -> Url {
        self.url(&["api", "rest_v1", "page", "summary"], title)
    }

    fn article_url(&self, title: &str) -> String {
        self.url(&["wiki"], title).into()
    }

    fn url(&self, path: &[&str], title: &str) -> Url {
        let mut url = self.base.clone();
        let title = title.replace(' ', "_");
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path).push(&title);
        }
        url
    }
}

/// The note for readers of a lesson: the event, and nothing of addresses.
fn note(error: &ProviderError) -> String {
    match error.cause {
        Cause::Setup | Cause::Connection => "Wikipedia could not be reached".into(),
        Cause::Timeout => "Wikipedia took too long to answer".into(),
        Cause::Status(404) => "Wikipedia does not have the article (404)".into(),
        Cause::Status(429) => "Wikipedia asked for fewer requests (429)".into(),
        Cause::Status(status) => format!("Wikipedia refused the request ({status})"),
        Cause::TooLarge | Cause::BadReply | Cause::Refused | Cause::Spent => {
            "Wikipedia's answer could not be read".into()
        }
    }
}

/// A search without what its language gives a meaning to: a topic's colon or quotation mark is no operator.
fn plain(query: &str) -> String {
    let keep = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '-' | '+' | '#' | '.' | '&');
    let text: String = query.chars().map(|c| if keep(c) { c } else { ' ' }).collect();
    let mut plain = String::new();
    for word in text.split_whitespace().map(|word| word.trim_start_matches('-')).filter(|w| !w.is_empty()) {
        if plain.len() + word.len() >= MAX_SEARCH_BYTES {
            break;
        }
        if !plain.is_empty() {
            plain.push(' ');
        }
        plain.push_str(word);
    }
    plain
}

/// A snippet without the tags around what was found.
fn without_markup(snippet: &str) -> String {
    let mut text = String::new();
    let mut rest = snippet;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let entities =
        [("&quot;", "\""), ("&#039;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&amp;", "&")];
    for (entity, character) in entities {
        text = text.replace(entity, character);
    }
    text.trim().to_owned()
}

#[derive(Deserialize)]
struct Found {
    query: Option<Hits>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Hits {
    search: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    title: String,
    #[serde(default)]
    snippet: String,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    #[serde(default)]
    info: String,
}

#[derive(Deserialize)]
struct Summary {
    #[serde(rename = "type", default)]
    kind: String,
    title: String,
    #[serde(default)]
    extract: String,
    content_urls: Option<Urls>,
    thumbnail: Option<Picture>,
}

#[derive(Deserialize)]
struct Urls {
    desktop: Desktop,
}

#[derive(Deserialize)]
struct Desktop {
    page: String,
}

#[derive(Deserialize)]
struct Picture {
    source: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_no_search_operator() {
        assert_eq!(
            plain("c++ -insource:/x/ \"a|b\" don't ~ * co-operate"),
            "c++ insource x a b don't co-operate"
        );
        assert!(plain(&"word ".repeat(200)).len() < MAX_SEARCH_BYTES);
    }

    #[test]
    fn a_snippet_is_text() {
        let snippet = "the <span class=\"searchmatch\">verb</span> &quot;to be&quot; &amp;amp; more <b";
        assert_eq!(without_markup(snippet), "the verb \"to be\" &amp; more");
    }

    #[test]
    fn a_title_is_one_part_of_an_address() {
        let env = Env::new(std::path::Path::new("data"), |_| None);
        let wiki = Wikipedia::from_env(&env, Duration::ZERO, Clock::system()).unwrap();
        assert_eq!(wiki.article_url("AC/DC & x?"), "https://en.wikipedia.org/wiki/AC%2FDC_&_x%3F");
        assert_eq!(
            wiki.summary_url("English verbs").as_str(),
            "https://en.wikipedia.org/api/rest_v1/page/summary/English_verbs"
        );
    }
}
