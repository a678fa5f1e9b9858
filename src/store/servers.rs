//! The servers that `database.url` names, of which one can be written to.
//!
//! Several are written as libpq takes them (PostgreSQL 15 manual, 34.1.1.2): `postgres://user@a:5432,[2001:db8::1],%2Frun%2Fpg/database`.
//! The first is used that lets us in and can be written to (`target_session_attrs=read-write`), beginning with the one that was
//! used last: after a failover it is the other one, and nobody has to be told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor, Row};

use super::StoreError;

/// A server that has not let us in after this long is not there: what routers swallow is otherwise noticed after minutes.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// What every connection of ours is set to. Time-outs of the role or the database are not for us: we give up in our own time, and a
/// statement that is always stopped would be tried without end. The server ends sessions of ours that it no longer hears of, so that
/// they do not keep their locks; the settings of TCP have no effect on a Unix socket.
const SETTINGS: &str = "SET statement_timeout = 0; SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'; \
     SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = '25s'; \
     SET client_min_messages = warning";

/// See the module. Cheap to clone; clones share which one was used last.
#[derive(Clone)]
pub struct Servers {
    all: Arc<[PgConnectOptions]>,
    address: Arc<Address>,
    /// Index of the one that was used last.
    last: Arc<AtomicUsize>,
    patience: Duration,
}

/// The same servers, as the programs that come with PostgreSQL take them. Names and values are percent-encoded, as in a URL.
#[derive(Clone)]
struct Address {
    user: String,
    password: Option<String>,
    hosts: String,
    database: String,
    parameters: String,
}

/// What the programs are told as we do it: of several servers, that one.
const READ_WRITE: &str = "target_session_attrs=read-write";

/// A parameter of our URL as libpq names it (PostgreSQL 15 manual, 34.1.2); `None` for what it does not take, and for the password.
fn for_libpq(parameter: &str) -> Option<String> {
    let (name, value) = parameter.split_once('=')?;
    let name = match name {
        "password" | "dbname" | "statement-cache-capacity" => return None,
        name if name.starts_with("options[") => return None,
        "ssl-mode" => "sslmode",
        "ssl-root-cert" | "ssl-ca" => "sslrootcert",
        "ssl-cert" => "sslcert",
        "ssl-key" => "sslkey",
        other => other,
    };
    Some(format!("{name}={value}"))
}

/// Why none of them can be written to, and one that can be read where there is one.
struct Unwritable {
    readable: Option<PgConnection>,
    why: StoreError,
}

impl Servers {
    /// Reads a database URL.
    ///
    /// # Errors
    /// It is none. The error does not repeat it, since it may hold a password.
    pub fn from_url(url: &str) -> Result<Servers, StoreError> {
        let wrong = |what: &str| StoreError::Url(what.to_owned());
        let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| wrong("the scheme is not postgres"))?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let mut patience = CONNECT_PATIENCE;
        let mut parameters = Vec::new();
        for parameter in query.split('&').filter(|p| !p.is_empty()) {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("target_session_attrs", "read-write" | "primary") => {}
                ("target_session_attrs", _) => {
                    return Err(wrong("target_session_attrs can only be read-write, since tocsin writes"));
                }
                ("connect_timeout", seconds) => {
                    let seconds = seconds.parse().ok().filter(|s| (1..=3600).contains(s));
                    patience = Duration::from_secs(seconds.ok_or_else(|| wrong("connect_timeout is no number of seconds"))?);
                }
                ("host" | "hostaddr" | "port", value) if hosts.contains(',') || value.contains(',') => {
                    return Err(wrong("several hosts are named before the path, as in postgres://user@a:5432,b:5433/database"));
                }
                _ => parameters.push(parameter),
            }
        }
        let mut tail = path.to_owned();
        if !parameters.is_empty() {
            tail = format!("{tail}?{}", parameters.join("&"));
        }
        let several = hosts.contains(',');
        let (name, password) =
            user.trim_end_matches('@').split_once(':').map_or((user.trim_end_matches('@'), None), |(u, p)| (u, Some(p)));
        let in_query = |name: &str| parameters.iter().find_map(|parameter| parameter.strip_prefix(name));
        let address = Address {
            user: name.to_owned(),
            password: in_query("password=").or(password).map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned()),
            hosts: hosts.to_owned(),
            database: in_query("dbname=").unwrap_or(path.trim_start_matches('/')).to_owned(),
            parameters: parameters.iter().filter_map(|p| for_libpq(p)).fold(READ_WRITE.to_owned(), |all, one| all + "&" + &one),
        };
        let options = hosts.split(',').enumerate().map(|(i, host)| {
            let at = if several { format!("host {} of the list: ", i + 1) } else { String::new() };
            if several && (host.is_empty() || host.starts_with(':')) {
                return Err(StoreError::Url(format!("{at}it has no name")));
            }
            let options = format!("postgres://{user}{host}{tail}").parse::<PgConnectOptions>();
            options.map_err(|error| {
                let why = match error {
                    sqlx::Error::Configuration(why) => why.to_string(),
                    other => other.to_string(),
                };
                StoreError::Url(at + &why)
            })
        });
        Ok(Servers::of(options.collect::<Result<_, _>>()?, address, patience))
    }

    fn of(all: Vec<PgConnectOptions>, address: Address, patience: Duration) -> Servers {
        let ours = |options: PgConnectOptions| options.application_name("tocsin").log_statements(tracing::log::LevelFilter::Off);
        Servers { all: all.into_iter().map(ours).collect(), address: Arc::new(address), last: Arc::default(), patience }
    }

    /// The same servers, but another database on them.
    pub(super) fn in_database(&self, name: &str) -> Servers {
        let all = self.all.iter().map(|options| options.clone().database(name)).collect();
        let database = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        Servers::of(all, Address { database, ..(*self.address).clone() }, self.patience)
    }

    /// The address that `pg_dump` and its like take, and the password that it does without.
    pub(super) fn for_programs(&self) -> (String, Option<&str>) {
        let Address { user, password, hosts, database, parameters } = &*self.address;
        let at = if user.is_empty() { "" } else { "@" };
        (format!("postgres://{user}{at}{hosts}/{database}?{parameters}"), password.as_deref())
    }

    /// A connection to the one that can be written to.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn connect(&self) -> Result<PgConnection, StoreError> {
        self.reach().await.map_err(|unwritable| unwritable.why)
    }

    /// The same, or one to a server that can only be read, where none can be written to.
    ///
    /// # Errors
    /// None lets us in.
    pub(super) async fn connect_to_read(&self) -> Result<PgConnection, StoreError> {
        self.reach().await.or_else(|unwritable| unwritable.readable.ok_or(unwritable.why))
    }

    async fn reach(&self) -> Result<PgConnection, Unwritable> {
        let (count, first) = (self.all.len(), self.last.load(Ordering::Relaxed));
        let (mut readable, mut tried) = (None, Vec::new());
        for i in (first..first + count).map(|i| i % count) {
            let opened = tokio::time::timeout(self.patience, open(&self.all[i])).await;
            let error = match opened.unwrap_or(Err(StoreError::Late)) {
                Ok((connection, true)) => {
                    if self.last.swap(i, Ordering::Relaxed) != i {
                        tracing::warn!(server = name(&self.all[i]), "another server of database.url is used from now on");
                    }
                    return Ok(connection);
                }
                Ok((connection, false)) => {
                    readable.get_or_insert(connection);
                    StoreError::ReadOnly
                }
                Err(error) => error,
            };
            tried.push((name(&self.all[i]), error));
        }
        let why = match (tried.len(), tried.pop()) {
            (1, Some((_, error))) => error,
            (_, last) => StoreError::NoServer { tried: tried.into_iter().chain(last).collect() },
        };
        Err(Unwritable { readable, why })
    }
}

impl From<PgConnectOptions> for Servers {
    /// A server without a password, such as the private one.
    fn from(only: PgConnectOptions) -> Servers {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let host = match only.get_socket() {
            Some(socket) => encoded(&socket.to_string_lossy()),
            None => only.get_host().to_owned(),
        };
        let address = Address {
            user: encoded(only.get_username()),
            password: None,
            hosts: format!("{host}:{}", only.get_port()),
            database: encoded(only.get_database().unwrap_or_default()),
            parameters: READ_WRITE.to_owned(),
        };
        Servers::of(vec![only], address, CONNECT_PATIENCE)
    }
}

impl fmt::Debug for Servers {
    /// Without the passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(name)).finish()
    }
}

/// A connection, and whether it can be written to.
async fn open(options: &PgConnectOptions) -> Result<(PgConnection, bool), StoreError> {
    let mut connection = PgConnection::connect_with(options).await.map_err(StoreError::connecting)?;
    connection.execute(SETTINGS).await.map_err(StoreError::at("set up a connection"))?;
    let row = sqlx::raw_sql("SELECT current_setting('transaction_read_only')").fetch_one(&mut connection).await;
    let read_only: String = row.and_then(|row| row.try_get(0)).map_err(StoreError::at("ask whether the server is read-only"))?;
    Ok((connection, read_only == "off"))
}

/// A server as people write it.
fn name(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(path) => path.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgSslMode;

    use super::*;

    #[test]
    fn lists_of_hosts_are_read_as_libpq_reads_them() {
        for (url, want) in [
            ("postgres://u@db/d", &["db:5432"][..]),
            ("postgresql://db", &["db:5432"]),
            ("postgres://u:p@a:5433,b:5434,c/d", &["a:5433", "b:5434", "c:5432"]),
            ("postgres://u:a%2Cb%40c@a,b/d?sslmode=verify-full", &["a:5432", "b:5432"]),
            ("postgres://u@[::1]:6000,[2001:db8::7]/d", &["[::1]:6000", "[2001:db8::7]:5432"]),
            ("postgres://u@%2Frun%2Fpostgresql,db:1/d", &["/run/postgresql", "db:1"]),
            ("postgres://u@db/d?host=/run/postgresql", &["/run/postgresql"]),
            ("postgres://u@a,b/d?target_session_attrs=read-write&connect_timeout=3", &["a:5432", "b:5432"]),
        ] {
            let servers = Servers::from_url(url).unwrap_or_else(|e| panic!("{url}: {e}"));
            assert_eq!(servers.all.iter().map(name).collect::<Vec<_>>(), want, "{url}");
        }
        let servers = Servers::from_url("postgres://m%40x:secret@a,b:1/d%2De?sslmode=verify-full&connect_timeout=3").unwrap();
        assert_eq!(servers.patience, Duration::from_secs(3));
        for options in servers.all.iter() {
            assert_eq!((options.get_username(), options.get_database()), ("m@x", Some("d-e")));
            assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyFull));
        }
        assert!(!format!("{servers:?}").contains("secret"));
        let of_another = servers.in_database("scratch-1");
        let (address, password) = of_another.for_programs();
        assert_eq!(address, "postgres://m%40x@a,b:1/scratch%2D1?target_session_attrs=read-write&sslmode=verify-full");
        assert_eq!(password, Some("secret"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_its_password() {
        for (url, want) in [
            ("mysql://u:secret@a/d", "the scheme is not postgres"),
            ("postgres://u:secret@a:x/d", "invalid port number"),
            ("postgres://u:secret@a,b:70000/d", "host 2 of the list: invalid port number"),
            ("postgres://u:secret@a,,b/d", "host 2 of the list: it has no name"),
            ("postgres://u:secret@a,:5433/d", "host 2 of the list: it has no name"),
            ("postgres://u:secret@a,[::1/d", "host 2 of the list: invalid IPv6 address"),
            ("postgres://u:secret@a,b/d?target_session_attrs=any", "target_session_attrs can only be read-write"),
            ("postgres://u:secret@a/d?connect_timeout=soon", "connect_timeout is no number"),
            ("postgres://u:secret@a/d?host=a,b", "several hosts are named before the path"),
            ("postgres://u:secret@a,b/d?port=5433", "several hosts are named before the path"),
            ("postgres://u:sec/ret@a/d", "invalid port number"),
        ] {
            let error = Servers::from_url(url).map(|_| ()).unwrap_err().in_one_line();
            assert!(error.contains(want) && !error.contains("secret"), "{url}: {error}");
        }
    }
}
