//! The URLs that `--store` and `--database` accept.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of jobs or tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A Postgres database.
    Postgres(String),
    /// A Redis or Valkey server, or a cluster of them.
    Redis(String),
    /// A Longhaul server, for commands and workers that are to reach no database.
    Remote(String),
}

impl StoreUrl {
    /// True if services can keep their tables there.
    pub(crate) fn holds_tables(&self) -> bool {
        match self {
            StoreUrl::Sqlite(_) | StoreUrl::Postgres(_) => true,
            StoreUrl::Redis(_) | StoreUrl::Remote(_) => false,
        }
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => {
                let path = url.trim_start_matches("sqlite:");
                // `sqlite:///var/lib/x.db` is how other tools write an absolute path.
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() {
                    return Err("the path is missing: sqlite:PATH".into());
                }
                Ok(StoreUrl::Sqlite(PathBuf::from(path)))
            }
            "postgres" | "postgresql" => {
                longhaul_postgres::PostgresOptions::new(url).map_err(|e| e.to_string())?;
                Ok(StoreUrl::Postgres(url.to_owned()))
            }
            "redis" | "rediss" | "redis+cluster" | "rediss+cluster" | "valkey" | "valkeys" | "unix" => {
                longhaul_redis::RedisOptions::new(url).map_err(|e| e.to_string())?;
                Ok(StoreUrl::Redis(url.to_owned()))
            }
            "http" | "https" => {
                longhaul_http::RemoteStore::new(url, None).map_err(|e| e.to_string())?;
                Ok(StoreUrl::Remote(url.to_owned()))
            }
            _ => Err("use sqlite:PATH, postgres://HOST/DATABASE, redis://HOST:PORT/DATABASE, rediss://… or https://SERVER".into()),
        }
    }
}

/// As it was given, but for the password: this ends up in logs.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            StoreUrl::Postgres(url) | StoreUrl::Redis(url) | StoreUrl::Remote(url) => {
                f.write_str(&without_password(url))
            }
        }
    }
}

fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let name = user.split_once(':').map_or(user, |(name, _)| name);
    format!("{scheme}://{name}{}@{host}", if user.contains(':') { ":…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        url.parse::<StoreUrl>().map_or_else(|error| error, |url| url.to_string())
    }

    #[test]
    fn sqlite_urls_name_relative_and_absolute_paths() {
        assert_eq!(shown("sqlite:jobs.db"), "sqlite:jobs.db");
        assert_eq!(shown("sqlite:/var/lib/jobs.db"), "sqlite:/var/lib/jobs.db");
        assert_eq!(shown("sqlite:///var/lib/jobs.db"), "sqlite:/var/lib/jobs.db");
        assert_eq!(shown("sqlite:"), "the path is missing: sqlite:PATH");
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("redis://ada:secret@127.0.0.1:6379/1"), "redis://ada:…@127.0.0.1:6379/1");
        assert_eq!(shown("redis://127.0.0.1:6379/1"), "redis://127.0.0.1:6379/1");
        assert_eq!(shown("postgres://ada:secret@db/jobs"), "postgres://ada:…@db/jobs");
    }

    #[test]
    fn what_is_no_store_is_refused_with_what_is() {
        for url in ["jobs.db", "mysql://127.0.0.1/jobs"] {
            assert!(shown(url).starts_with("use sqlite:PATH"), "{}", shown(url));
        }
    }
}
