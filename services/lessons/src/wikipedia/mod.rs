//! A client of Wikipedia: its Action API finds articles, its REST API sums one up.

mod plain_text;
mod relevance;

use std::time::Duration;

use longhaul::Clock;
use reqwest::Url;
use reqwest::header::USER_AGENT;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_support::{Cause, Env, Language, OpenError, Provider, ProviderError, refused};
use utoipa::ToSchema;

use crate::outline::guide;

/// A client of a wiki's two APIs.
#[derive(Clone, Debug)]
pub(crate) struct Wikipedia {
    provider: Provider,
    /// Its address, in which `{language}` stands for a language's code.
    base: String,
}

/// The part of an answer that is kept with a lesson. Where Wikipedia could not help, the note has the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct WikipediaInfo {
    pub(crate) title: Option<String>,
    /// The article's first paragraph or two, in its own words, without markup and pronunciations.
    pub(crate) summary: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) thumbnail: Option<String>,
    pub(crate) related_articles: Vec<RelatedArticle>,
    pub(crate) note: Option<String>,
}

/// Another article that the search found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
/// The place of a language's code in an address.
const LANGUAGE: &str = "{language}";
/// Wikimedia asks for a name and a contact of its callers.
const AGENT: &str =
    concat!("longhaul-lessons/", env!("CARGO_PKG_VERSION"), " (", env!("CARGO_PKG_REPOSITORY"), ")");

impl Wikipedia {
    /// Prepares a client of the wiki at `WIKIPEDIA_API_URL`, `https://en.wikipedia.org` by default; nothing is contacted
    /// yet. A Wikipedia is asked in the language of the lesson, and so is another wiki whose address says `{language}`.
    pub(crate) fn from_env(env: &Env, max_wait: Duration, clock: Clock) -> Result<Self, OpenError> {
        let base = env.text("WIKIPEDIA_API_URL").unwrap_or_else(|| "https://en.wikipedia.org".into());
        let base = base.trim_end_matches('/').to_owned();
        let parsed = Url::parse(&base.replace(LANGUAGE, Language::En.code()));
        let fault = |reason: String| refused("WIKIPEDIA_API_URL", reason);
        let parsed = parsed.map_err(|e| fault(format!("must be an http or https URL: {e}")))?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(fault(format!("must be an http or https URL, and is '{base}'")).into());
        }
        let host = parsed.host_str().unwrap_or_default();
        let base = match host.split_once('.') {
            Some((code, "wikipedia.org")) => base.replacen(code, LANGUAGE, 1),
            _ => base,
        };
        let provider = Provider::new("Wikipedia", TIMEOUT, MAX_REPLY_BYTES, max_wait, clock)?;
        Ok(Self { provider, base })
    }

    /// Looks a topic up. It never fails: a fault becomes the note, and the error is for the log.
    pub(crate) async fn look_up(
        &self,
        subject: &str,
        topic: &str,
        language: Language,
    ) -> (WikipediaInfo, Option<ProviderError>) {
        let mut info = WikipediaInfo::default();
        let asked = Asked { subject, topic, language };
        let result = self.fill(&mut info, asked).await;
        let error = result.err();
        if let Some(error) = &error {
            info.note = Some(note(error, language));
        }
        (info, error)
    }

    async fn fill(&self, info: &mut WikipediaInfo, asked: Asked<'_>) -> Result<(), ProviderError> {
        let Asked { subject, topic, language } = asked;
        let mut seen: Vec<String> = Vec::new();
        let (mut only_meanings, mut queries) = (false, vec![format!("{subject} {topic}")]);
        queries.extend(Some(topic.to_owned()).filter(|topic| plain(topic) != plain(&queries[0])));
        for query in queries {
            let hits = self.search(&query, language).await?;
            if info.related_articles.is_empty() {
                info.related_articles = self.related_to(&hits, None, asked);
            }
            for hit in &hits {
                if seen.contains(&hit.title) {
                    continue;
                }
                seen.push(hit.title.clone());
                let summary: Summary = match self.get(self.summary_url(&hit.title, language)).await {
                    Ok(summary) => summary,
                    // It was deleted, and is still in the search index.
                    Err(error) if error.cause == Cause::Status(404) => continue,
                    Err(error) => return Err(error),
                };
                // A page that lists meanings explains none of them; the next hit is likely to be one of them.
                if summary.kind.as_deref() == Some("disambiguation") {
                    only_meanings = true;
                    continue;
                }
                let title = plain_text::of(&summary.title);
                let extract = plain_text::of(&summary.extract.unwrap_or_default());
                let redirect = hit.redirecttitle.as_deref();
                if extract.is_empty() || !relevance::fits(topic, &title, redirect, &extract, language) {
                    continue;
                }
                info.related_articles = self.related_to(&hits, Some(&hit.title), asked);
                // Neither is worth the article: what is odd about them costs themselves.
                let text = |text: &Value| text.as_str().map(str::to_owned);
                let url = text(&summary.content_urls["desktop"]["page"]);
                info.url = Some(url.unwrap_or_else(|| self.article_url(&summary.title, language)));
                info.thumbnail = text(&summary.thumbnail["source"]);
                info.summary = Some(extract);
                info.title = Some(title);
                return Ok(());
            }
        }
        let nothing = if only_meanings { "note.meanings" } else { "note.none" };
        info.note = Some(guide(language).get(nothing).into());
        Ok(())
    }

    async fn search(&self, query: &str, language: Language) -> Result<Vec<Hit>, ProviderError> {
        let query = plain(query);
        if query.is_empty() {
            return Ok(Vec::new());
        }
        let mut url = self.url(&["w", "api.php"], language);
        url.query_pairs_mut().extend_pairs([
            ("action", "query"),
            ("list", "search"),
            ("srsearch", &query),
            ("srlimit", HITS),
            ("srprop", "snippet|redirecttitle"),
            ("format", "json"),
            ("utf8", "1"),
        ]);
        let found: Found = self.get(url).await?;
        match (found.query, found.error) {
            (Some(query), _) => {
                let hits = query.search.into_iter().filter_map(|hit| serde_json::from_value(hit).ok());
                Ok(hits.collect())
            }
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

    /// The other articles that have to do with the topic.
    fn related_to(&self, hits: &[Hit], read: Option<&str>, asked: Asked<'_>) -> Vec<RelatedArticle> {
        let others = hits.iter().filter(|hit| Some(hit.title.as_str()) != read);
        let shown = others.map(|hit| RelatedArticle {
            title: plain_text::of(&hit.title),
            url: self.article_url(&hit.title, asked.language),
            excerpt: plain_text::of(hit.snippet.as_deref().unwrap_or_default()),
        });
        let fits =
            |it: &RelatedArticle| relevance::fits(asked.topic, &it.title, None, &it.excerpt, asked.language);
        shown.filter(fits).take(RELATED).collect()
    }

    fn summary_url(&self, title: &str, language: Language) -> Url {
        self.url(&["api", "rest_v1", "page", "summary", &title.replace(' ', "_")], language)
    }

    fn article_url(&self, title: &str, language: Language) -> String {
        self.url(&["wiki", &title.replace(' ', "_")], language).into()
    }

    fn url(&self, path: &[&str], language: Language) -> Url {
        let base = self.base.replace(LANGUAGE, language.code());
        // It was parsed when the server started.
        let mut url = Url::parse(&base).unwrap_or_else(|e| unreachable!("{base}: {e}"));
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

/// A request for an article.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    subject: &'a str,
    topic: &'a str,
    language: Language,
}

/// The note for readers of a lesson: the event, and nothing of addresses.
fn note(error: &ProviderError, language: Language) -> String {
    let guide = guide(language);
    let is_busy = ["maxlag", "ratelimited", "readonly"].iter().any(|code| error.message.starts_with(code));
    let name = match error.cause {
        Cause::BadReply if is_busy => "note.busy",
        Cause::Setup | Cause::Connection => "note.connection",
        Cause::Timeout => "note.timeout",
        Cause::Status(404) => "note.missing",
        Cause::Status(429) => "note.limit",
        Cause::Status(status) => return guide.fill("note.refused", &[("status", &status.to_string())]),
        Cause::TooLarge | Cause::BadReply | Cause::Refused | Cause::Spent => "note.unreadable",
    };
    guide.get(name).to_owned()
}

/// A search without what its language gives a meaning to: a topic's colon or quotation mark is no operator.
fn plain(query: &str) -> String {
    let keep = |c: char| !c.is_control() && (!c.is_ascii() || c.is_alphanumeric() || "'-+#.&/".contains(c));
    let text: String = query.chars().map(|c| if keep(c) { c } else { ' ' }).collect();
    let mut plain = String::new();
    for word in text.split_whitespace().map(|word| word.trim_start_matches(['-', '/', '.'])) {
        if plain.len() + word.len() >= MAX_SEARCH_BYTES {
            break;
        }
        // `insource:/x/` has lost its colon; what is left of a pattern is no word.
        let word = word.trim_end_matches('/');
        if !word.is_empty() {
            plain.extend((!plain.is_empty()).then_some(' '));
            plain.push_str(word);
        }
    }
    plain
}

#[derive(Deserialize)]
struct Found {
    query: Option<Hits>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Hits {
    /// Each is read by itself: an odd one costs none of the others.
    search: Vec<Value>,
}

#[derive(Deserialize)]
struct Hit {
    title: String,
    snippet: Option<String>,
    /// The title by which it was found, where that is another one.
    redirecttitle: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    #[serde(default)]
    info: String,
}

/// Null is as good as absent.
#[derive(Deserialize)]
struct Summary {
    #[serde(rename = "type")]
    kind: Option<String>,
    title: String,
    extract: Option<String>,
    #[serde(default)]
    content_urls: Value,
    #[serde(default)]
    thumbnail: Value,
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
        assert_eq!(plain("9/11: intitle:AC/DC?"), "9/11 intitle AC/DC");
        assert_eq!(plain("प्रकाश संश्लेषण 🎓"), "प्रकाश संश्लेषण 🎓");
        assert!(plain(&"word ".repeat(200)).len() < MAX_SEARCH_BYTES);
    }

    fn wiki(base: Option<&'static str>) -> Wikipedia {
        let env = Env::new(std::path::Path::new("data"), move |_| base.map(str::to_owned));
        Wikipedia::from_env(&env, Duration::ZERO, Clock::system()).unwrap()
    }

    #[test]
    fn a_title_is_one_part_of_an_address() {
        let wiki = wiki(None);
        let en = Language::En;
        assert_eq!(wiki.article_url("AC/DC & x?", en), "https://en.wikipedia.org/wiki/AC%2FDC_&_x%3F");
        assert_eq!(
            wiki.summary_url("English verbs", en).as_str(),
            "https://en.wikipedia.org/api/rest_v1/page/summary/English_verbs"
        );
        let long = "é".repeat(127);
        for title in ["50% +1", "'\"#&", "C++", "..", ".", "🎓", "a\\b", &long] {
            let url = wiki.summary_url(title, en);
            let parts: Vec<&str> = url.path_segments().unwrap().collect();
            // A title with `.` or `..` would be resolved as a path; there is no such article.
            let count = if title.starts_with('.') { 4 } else { 5 };
            assert_eq!(parts.len(), count, "{title}: {url}");
            assert_eq!((url.host_str(), url.query(), url.fragment()), (Some("en.wikipedia.org"), None, None));
        }
    }

    #[test]
    fn a_wiki_is_asked_in_the_language_of_the_lesson() {
        let url = |base, language| wiki(base).article_url("X", language);
        assert_eq!(url(None, Language::De), "https://de.wikipedia.org/wiki/X");
        assert_eq!(url(Some("https://fr.wikipedia.org/"), Language::Es), "https://es.wikipedia.org/wiki/X");
        assert_eq!(url(Some("http://wiki.school/{language}/"), Language::Hi), "http://wiki.school/hi/wiki/X");
        assert_eq!(url(Some("http://{language}.wiki.school"), Language::Fr), "http://fr.wiki.school/wiki/X");
        assert_eq!(
            url(Some("http://127.0.0.1:9"), Language::De),
            "http://127.0.0.1:9/wiki/X",
            "it has one only"
        );
        for wrong in ["x", "ftp://x", "http://"] {
            let env = Env::new(std::path::Path::new("data"), move |_| Some(wrong.to_owned()));
            assert!(Wikipedia::from_env(&env, Duration::ZERO, Clock::system()).is_err(), "{wrong}");
        }
    }
}
