use std::path::PathBuf;
use std::time::Duration;

use longhaul::{Error, Result};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

/// The address of a store's server, and the bounds of its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// The server, the database and how to log in. With [`SslMode::Require`] connections are made over TLS, and the
    /// server's certificate must be for its name; with any other mode they are not.
    pub config: Config,
    /// A PEM file of the authorities that may have signed the server's certificate; the public ones if `None`.
    pub ca_file: Option<PathBuf>,
    /// The schema of all tables, made where it is missing; stores with different ones know nothing of each other. 1 to
    /// 48 characters of `a–z 0–9 _`, by default `longhaul`.
    pub schema: String,
    /// The longest that a connection may take to be made: 5 s by default.
    pub connect_timeout: Duration,
    /// The longest that a call may take before it fails as unavailable, and a transaction before its connection is given up:
    /// 10 s by default.
    pub response_timeout: Duration,
    /// The most connections of the pool that reads, and that services share: 6 by default. Three more write, and one listens.
    pub pool_size: usize,
    /// The interval at which waiting claims look for jobs by themselves, because a notification may be lost: 200 ms by
    /// default.
    pub look_every: Duration,
}

impl PostgresOptions {
    /// Reads a URL: `postgres://[user[:password]@]host[:port][/database][?parameters]`, or the same with `postgresql://`.
    /// `schema=NAME` among the parameters sets the schema, `response_timeout=SECONDS` and `pool_size=N` the fields of
    /// these names; the others are those of libpq, `connect_timeout=SECONDS` among them. `sslmode=require`, `verify-ca`
    /// and `verify-full` all ask for TLS with a certificate that is verified in full, `sslrootcert=FILE` names who may
    /// have signed it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is none of these.
    pub fn new(url: &str) -> Result<Self> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(invalid("url", "must begin with postgres:// or postgresql://"));
        }
        let (address, ours) = split_parameters(url);
        let config: Config = address.parse().map_err(|error: tokio_postgres::Error| {
            let source = std::error::Error::source(&error).map(|e| format!(": {e}")).unwrap_or_default();
            invalid("url", format!("{error}{source}"))
        })?;
        let connect_timeout = config.get_connect_timeout().copied().unwrap_or(Duration::from_secs(5));
        let options = Self {
            config,
            // libpq's word for the authorities that are public anyway.
            ca_file: ours.ca_file.filter(|file| file != "system").map(PathBuf::from),
            schema: ours.schema.unwrap_or_else(|| "longhaul".into()),
            connect_timeout,
            response_timeout: Duration::from_secs(
                number("response_timeout", ours.response_timeout)?.unwrap_or(10),
            ),
            pool_size: number("pool_size", ours.pool_size)?.unwrap_or(6) as usize,
            look_every: Duration::from_millis(200),
        };
        options.check()?;
        Ok(options)
    }

    /// The same with another schema.
    #[must_use]
    pub fn schema(self, schema: impl Into<String>) -> Self {
        Self { schema: schema.into(), ..self }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if !(1..=48).contains(&self.schema.len()) || !self.schema.bytes().all(is_plain) {
            return Err(invalid("schema", "must be 1 to 48 characters of a-z 0-9 _"));
        }
        if self.pool_size == 0 {
            return Err(invalid("pool_size", "must be at least 1"));
        }
        Ok(())
    }

    /// The parameters of a connection: every statement finds the store's tables by their names alone.
    pub(crate) fn connecting(&self, purpose: Purpose) -> Config {
        let mut config = self.config.clone();
        let given = config.get_options().map(|given| format!("{given} ")).unwrap_or_default();
        let more = match purpose {
            Purpose::Listen => String::new(),
            Purpose::Read => READING.to_owned(),
            Purpose::Write => {
                let silence = self.response_timeout.min(LONGEST_SILENCE).as_millis();
                let statement = self.response_timeout.as_millis();
                format!(
                    "{WRITING} -c idle_in_transaction_session_timeout={silence} -c statement_timeout={statement}"
                )
            }
        };
        config.options(format!("{given}-c search_path=\"{}\"{more}", self.schema));
        config.connect_timeout(self.connect_timeout);
        // A machine that has gone without a word is noticed, by those who only listen too.
        config.tcp_user_timeout(self.response_timeout).keepalives_idle(KEEPALIVE_AFTER);
        if config.get_application_name().is_none() {
            config.application_name("longhaul");
        }
        if config.get_ssl_mode() != SslMode::Require {
            config.ssl_mode(SslMode::Disable);
        }
        config
    }

    /// The channel of the store's notifications.
    pub(crate) fn channel(&self) -> String {
        format!("{}_news", self.schema)
    }
}

/// Statements are planned once and for tables of any size: always by their indexes. A call that has waited for another
/// transaction's lock for longer than this waits by itself.
const WRITING: &str = " -c lock_timeout=250ms -c synchronous_commit=on -c enable_seqscan=off -c enable_bitmapscan=off \
    -c enable_hashjoin=off -c enable_mergejoin=off -c plan_cache_mode=force_generic_plan -c jit=off";
/// A page of a list reads rows in the order of an index and ends once it is full. Where the server has counted too few of them, it would
/// gather all and sort them.
const READING: &str = " -c enable_seqscan=off -c enable_bitmapscan=off -c jit=off";
/// The longest that a process may be silent in the middle of a transaction: one that was stopped or cut off there would otherwise
/// keep its rows and keys from the others until the server notices that it is gone, which may take hours.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);
/// A silent connection is tried after this.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);

/// The use of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
    Listen,
}

fn invalid(field: &str, reason: impl Into<String>) -> Error {
    Error::Invalid { field: field.into(), reason: reason.into() }
}

/// The parameters of a URL that the client does not know.
#[derive(Default)]
struct OurParameters {
    schema: Option<String>,
    ca_file: Option<String>,
    response_timeout: Option<String>,
    pool_size: Option<String>,
}

/// The longest response timeout in seconds, and the largest pool.
const LARGEST: u64 = 3_600;

fn number(field: &str, value: Option<String>) -> Result<Option<u64>> {
    let Some(value) = value else { return Ok(None) };
    let number = value.parse().ok().filter(|number| (1..=LARGEST).contains(number));
    number.map(Some).ok_or_else(|| invalid(field, format!("must be a whole number from 1 to {LARGEST}")))
}

/// Takes our parameters out of a URL's query, and leaves the rest, in words that the client knows, to it.
fn split_parameters(url: &str) -> (String, OurParameters) {
    let mut ours = OurParameters::default();
    let Some((address, query)) = url.split_once('?') else { return (url.to_owned(), ours) };
    let mut rest = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match (&*name, &*value) {
            ("schema", _) => ours.schema = Some(value.into_owned()),
            ("response_timeout", _) => ours.response_timeout = Some(value.into_owned()),
            ("pool_size", _) => ours.pool_size = Some(value.into_owned()),
            ("sslrootcert", _) => ours.ca_file = Some(value.into_owned()),
            // The client has one mode with TLS, in which we always verify in full.
            ("sslmode", "verify-ca" | "verify-full") => {
                rest.append_pair("sslmode", "require");
            }
            _ => {
                rest.append_pair(&name, &value);
            }
        }
    }
    // The client takes a plus sign for itself.
    let rest = rest.finish().replace('+', "%20");
    let address = if rest.is_empty() { address.to_owned() } else { format!("{address}?{rest}") };
    (address, ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_a_schema() {
        let options =
            PostgresOptions::new("postgresql://ada@db:5433/shop?schema=jobs&sslmode=require").unwrap();
        assert_eq!(options.schema, "jobs");
        assert_eq!(options.config.get_dbname(), Some("shop"));
        assert_eq!(options.config.get_ports(), [5433]);
        assert_eq!(options.connecting(Purpose::Read).get_ssl_mode(), SslMode::Require);
        let plain = PostgresOptions::new("postgres://db").unwrap();
        assert_eq!(plain.schema, "longhaul");
        assert_eq!(plain.connecting(Purpose::Write).get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn a_url_sets_how_long_to_wait_and_how_many_connections_there_may_be() {
        let usual = PostgresOptions::new("postgres://db").unwrap();
        assert_eq!((usual.connect_timeout.as_secs(), usual.response_timeout.as_secs()), (5, 10));
        let url = "postgres://db/?connect_timeout=2&response_timeout=30&pool_size=16";
        let options = PostgresOptions::new(url).unwrap();
        assert_eq!((options.connect_timeout.as_secs(), options.response_timeout.as_secs()), (2, 30));
        assert_eq!(options.pool_size, 16);
    }

    #[test]
    fn every_mode_that_verifies_asks_for_tls() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let url =
                format!("postgres://db/?sslmode={mode}&sslrootcert=%2Fetc%2Fours.pem&application_name=a%20b");
            let options = PostgresOptions::new(&url).unwrap();
            assert_eq!(options.config.get_ssl_mode(), SslMode::Require);
            assert_eq!(options.config.get_application_name(), Some("a b"));
            assert_eq!(options.ca_file.unwrap().to_str(), Some("/etc/ours.pem"));
        }
        assert_eq!(PostgresOptions::new("postgres://db/?sslrootcert=system").unwrap().ca_file, None);
    }

    #[test]
    fn what_is_no_url_or_no_schema_is_refused() {
        for url in [
            "db",
            "http://db",
            "postgres://db?schema=",
            "postgres://db?schema=Ab",
            "postgres://db?schema=a\"b",
            "postgres://db?response_timeout=0",
            "postgres://db?pool_size=many",
        ] {
            assert!(matches!(PostgresOptions::new(url), Err(Error::Invalid { .. })), "{url}");
        }
    }
}
