//! The configuration: defaults, then the file, then the environment (`TOCSIN_HTTP__LISTEN`), then flags.
//!
//! [`load`] returns a [`Config`] in which every value is valid, or every [`Problem`] at once, with file, line and key.

mod backup;
mod file;
mod formats;
mod key_file;
mod keys;
mod memory;
mod retention;
pub mod rules;
mod service_levels;
mod units;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub use backup::Backup;
pub use file::Problem;
pub use key_file::Keys;
pub use keys::{KEYS, Key, Kind, address};
pub use memory::{Memory, Part, under_way_bytes};
pub use retention::{Keep, Retention, TimeOfDay};
pub use service_levels::{ServiceLevel, ServiceLevels};
pub use units::{Bytes, Span};

use crate::casework;
use crate::detect;
use crate::http::api::limits;
use crate::listen::accept;
use crate::parse::own::Description;
use crate::record::incident::Detector;
use crate::tail::ReadFrom;

/// The whole configuration. Fields are named and explained as in `config/tocsin.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Config {
    pub state_dir: PathBuf,
    pub log: Log,
    pub limits: Limits,
    pub database: Database,
    pub keys: Keys,
    pub http: Http,
    pub journal: Journal,
    pub clock: Clock,
    pub syslog: Vec<Syslog>,
    pub files: Vec<Files>,
    pub webhook: Vec<Webhook>,
    pub format: Vec<Description>,
    pub detect: Detect,
    pub backup: Backup,
    pub retention: Retention,
    pub service_levels: ServiceLevels,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Log {
    pub level: String,
    pub format: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Limits {
    pub memory: Bytes,
}

/// Where the database is. [`Database::secret_url`] is the only way to its password.
#[derive(Clone, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    url: Option<String>,
    url_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Http {
    pub listen: String,
    pub max_body_bytes: Bytes,
    pub max_head_bytes: Bytes,
    pub max_connections: usize,
    pub max_connections_per_peer: Option<usize>,
    pub head_timeout: Span,
    pub body_timeout: Span,
    pub api_requests_per_minute: u32,
    pub api_burst: u32,
    pub api_sign_ins_per_minute: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Journal {
    pub max_bytes: Bytes,
    pub segment_bytes: Bytes,
    pub sync_interval: Span,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Clock {
    pub max_past: Span,
    pub max_future: Span,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Syslog {
    pub name: String,
    pub udp: Option<String>,
    pub tcp: Option<String>,
    pub timezone: String,
    pub format: Option<String>,
    pub max_frame_bytes: Bytes,
    pub max_connections: usize,
    pub max_connections_per_peer: Option<usize>,
    pub idle_timeout: Span,
    pub frame_timeout: Span,
    pub receive_buffer: Bytes,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Files {
    pub name: String,
    pub paths: Vec<String>,
    pub read_from: ReadFrom,
    pub timezone: String,
    pub format: Option<String>,
    pub max_line_bytes: Bytes,
    pub poll_interval: Span,
}

/// A webhook. Its secrets are reached through [`Webhook::token`] and [`Webhook::hmac_secret`] only.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Webhook {
    pub name: String,
    token: Option<String>,
    pub token_file: Option<PathBuf>,
    hmac_secret: Option<String>,
    hmac_secret_file: Option<PathBuf>,
    pub signature_header: Option<String>,
    pub unauthenticated: bool,
    pub timezone: String,
    pub format: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Detect {
    pub rules: Option<PathBuf>,
    pub lateness: Span,
    pub max_keys: Option<usize>,
    pub max_evidence: usize,
    pub login_failures: Rule,
    pub brute_force: Rule,
    pub account_compromise: Rule,
    pub login_spike: Rule,
    pub high_severity_cluster: Rule,
}

/// What can be changed about a detector; what is absent keeps the detector's own default.
#[derive(Debug, Clone, Copy, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Rule {
    pub enabled: Option<bool>,
    pub threshold: Option<u32>,
    pub window: Option<Span>,
}

const fn secs(n: u64) -> Span {
    Span(Duration::from_secs(n))
}

impl Default for Config {
    fn default() -> Config {
        Config {
            state_dir: default_state_dir(),
            log: Log::default(),
            limits: Limits::default(),
            database: Database::default(),
            keys: Keys::default(),
            http: Http::default(),
            journal: Journal::default(),
            clock: Clock::default(),
            syslog: Vec::new(),
            files: Vec::new(),
            webhook: Vec::new(),
            format: Vec::new(),
            detect: Detect::default(),
            backup: Backup::default(),
            retention: Retention::default(),
            service_levels: ServiceLevels::default(),
        }
    }
}

impl Config {
    /// What casework is to know of it.
    pub fn casework(&self) -> casework::Settings {
        let key_file = self.keys.path(&self.state_dir);
        casework::Settings {
            backups: self.backup.policy(&self.state_dir, &key_file),
            key_file,
            retention: self.retention.options(),
            levels: self.service_levels.levels(),
        }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log { level: "info".into(), format: "text".into() }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory: Bytes(512 << 20) }
    }
}

impl Default for Http {
    fn default() -> Http {
        Http {
            listen: "127.0.0.1:8080".into(),
            max_body_bytes: Bytes(16 << 20),
            max_head_bytes: Bytes(16 << 10),
            max_connections: 256,
            max_connections_per_peer: None,
            head_timeout: secs(30),
            body_timeout: secs(30),
            api_requests_per_minute: 600,
            api_burst: 120,
            api_sign_ins_per_minute: 20,
        }
    }
}

impl Http {
    /// How many connections there may be.
    pub fn connections(&self) -> accept::Limits {
        connections(self.max_connections, self.max_connections_per_peer)
    }

    /// How often somebody may ask.
    pub fn api_limits(&self) -> limits::Options {
        limits::Options {
            requests_per_minute: self.api_requests_per_minute,
            burst: self.api_burst,
            sign_ins_per_minute: self.api_sign_ins_per_minute,
        }
    }
}

impl Syslog {
    /// How many connections there may be.
    pub fn connections(&self) -> accept::Limits {
        connections(self.max_connections, self.max_connections_per_peer)
    }
}

fn connections(all: usize, per_peer: Option<usize>) -> accept::Limits {
    let limits = accept::Limits::new(all);
    accept::Limits { per_peer: per_peer.unwrap_or(limits.per_peer), ..limits }
}

impl Default for Journal {
    fn default() -> Journal {
        Journal { max_bytes: Bytes(4 << 30), segment_bytes: Bytes(64 << 20), sync_interval: Span(Duration::from_millis(100)) }
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { max_past: secs(10_950 * 86_400), max_future: secs(86_400) }
    }
}

impl Default for Syslog {
    fn default() -> Syslog {
        Syslog {
            name: String::new(),
            udp: None,
            tcp: None,
            timezone: "local".into(),
            format: None,
            max_frame_bytes: Bytes(1 << 20),
            max_connections: 1024,
            max_connections_per_peer: None,
            idle_timeout: secs(600),
            frame_timeout: secs(60),
            receive_buffer: Bytes(8 << 20),
        }
    }
}

impl Default for Files {
    fn default() -> Files {
        Files {
            name: String::new(),
            paths: Vec::new(),
            read_from: ReadFrom::Beginning,
            timezone: "local".into(),
            format: None,
            max_line_bytes: Bytes(1 << 20),
            poll_interval: secs(2),
        }
    }
}

impl Default for Webhook {
    fn default() -> Webhook {
        Webhook {
            name: String::new(),
            token: None,
            token_file: None,
            hmac_secret: None,
            hmac_secret_file: None,
            signature_header: None,
            unauthenticated: false,
            timezone: "local".into(),
            format: None,
        }
    }
}

impl Default for Detect {
    fn default() -> Detect {
        Detect {
            rules: None,
            lateness: secs(300),
            max_keys: None,
            max_evidence: 1_000,
            login_failures: Rule::default(),
            brute_force: Rule::default(),
            account_compromise: Rule::default(),
            login_spike: Rule::default(),
            high_severity_cluster: Rule::default(),
        }
    }
}

impl Detect {
    /// The detectors with what is changed about them; how much they may remember, [`Memory`] tells.
    fn options(&self) -> detect::Options {
        let mut options = detect::Options {
            lateness_micros: self.lateness.as_micros(),
            evidence_per_change: self.max_evidence,
            ..detect::Options::default()
        };
        for detector in Detector::ALL {
            let changed = self.rule(detector);
            let rule = match detector {
                Detector::LoginFailures => &mut options.login_failures,
                Detector::BruteForce => &mut options.brute_force,
                Detector::AccountCompromise => &mut options.account_compromise,
                Detector::LoginSpike => &mut options.login_spike,
                Detector::HighSeverityCluster => &mut options.high_severity_cluster,
            };
            rule.enabled = changed.enabled.unwrap_or(rule.enabled);
            rule.threshold = changed.threshold.unwrap_or(rule.threshold);
            rule.window_micros = changed.window.map_or(rule.window_micros, Span::as_micros);
        }
        options
    }

    /// The changes to one detector.
    pub fn rule(&self, detector: Detector) -> Rule {
        match detector {
            Detector::LoginFailures => self.login_failures,
            Detector::BruteForce => self.brute_force,
            Detector::AccountCompromise => self.account_compromise,
            Detector::LoginSpike => self.login_spike,
            Detector::HighSeverityCluster => self.high_severity_cluster,
        }
    }
}

impl Database {
    /// The URL with its password; `None` means the private PostgreSQL.
    ///
    /// # Errors
    /// `url_file` cannot be read.
    pub fn secret_url(&self) -> Result<Option<String>, String> {
        secret(self.url.as_deref(), self.url_file.as_deref())
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("url", &self.url.as_ref().map(|_| "…")).field("url_file", &self.url_file).finish()
    }
}

impl Webhook {
    /// A webhook that takes whoever shows the token in a file.
    pub fn with_token_file(name: &str, token_file: PathBuf) -> Webhook {
        Webhook { name: name.to_owned(), token_file: Some(token_file), ..Webhook::default() }
    }

    /// The bearer token, if one is configured.
    ///
    /// # Errors
    /// Its file cannot be read, or is empty.
    pub fn token(&self) -> Result<Option<String>, String> {
        secret(self.token.as_deref(), self.token_file.as_deref())
    }

    /// The secret of the signature, if one is configured.
    ///
    /// # Errors
    /// Its file cannot be read, or is empty.
    pub fn hmac_secret(&self) -> Result<Option<String>, String> {
        secret(self.hmac_secret.as_deref(), self.hmac_secret_file.as_deref())
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

fn secret(value: Option<&str>, file: Option<&Path>) -> Result<Option<String>, String> {
    let text = match (value, file) {
        (Some(value), _) => value.to_owned(),
        (None, Some(file)) => {
            std::fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?.trim().to_owned()
        }
        (None, None) => return Ok(None),
    };
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(Some(text)) }
}

/// Where state goes unless configured: `/var/lib/tocsin` for root, else `$XDG_STATE_HOME/tocsin` or `~/.local/state/tocsin`
/// (XDG Base Directory Specification 0.8, which tells to ignore relative paths).
pub fn default_state_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/tocsin");
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    base.unwrap_or_else(std::env::temp_dir).join("tocsin")
}

/// Reads the file, if one is given, and the environment.
///
/// # Errors
/// Everything that is wrong, in the order in which it stands in the file.
pub fn load(path: Option<&Path>) -> Result<Config, Vec<Problem>> {
    load_from(path, std::env::vars().collect())
}

fn load_from(path: Option<&Path>, environment: HashMap<String, String>) -> Result<Config, Vec<Problem>> {
    let nowhere = Path::new("");
    let text = match path {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path).map_err(|e| {
            vec![Problem { file: Some(path.to_owned()), line: 0, key: String::new(), what: format!("cannot be read: {e}") }]
        })?,
    };
    let (lines, mut problems) = file::check(path.unwrap_or(nowhere), &text);
    let (environment, wrong) = settings_in(environment);
    problems.extend(wrong);
    if !problems.is_empty() {
        problems.sort_by_key(|p| p.line);
        return Err(problems);
    }
    let built = ::config::Config::builder()
        .add_source(::config::File::from_str(&text, ::config::FileFormat::Toml))
        .add_source(
            ::config::Environment::with_prefix("TOCSIN")
                .prefix_separator("_")
                .separator("__")
                .try_parsing(true)
                .source(Some(environment)),
        )
        .build()
        .and_then(::config::Config::try_deserialize::<Config>)
        .map_err(|e| vec![Problem { file: path.map(Path::to_owned), line: 0, key: String::new(), what: e.to_string() }])?;
    let mut problems = whole(&built, &lines);
    problems.sort_by_key(|p| p.line);
    if problems.is_empty() { Ok(built) } else { Err(problems) }
}

/// The settings among the environment's variables, and what is wrong with them. A name without two underscores that is no key is none
/// of ours: others make such names, as container platforms do for a service called tocsin.
fn settings_in(environment: HashMap<String, String>) -> (HashMap<String, String>, Vec<Problem>) {
    let (mut settings, mut problems) = (HashMap::new(), Vec::new());
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix("TOCSIN_") else { continue };
        let key = rest.to_ascii_lowercase().replace("__", ".");
        let problem = |what| Problem { file: None, line: 0, key: name.clone(), what };
        match KEYS.iter().find(|k| k.path == file::known_pattern(&key)) {
            Some(known) => {
                let typed = match known.kind {
                    Kind::Number(..) => value.parse().map(toml::Value::Integer).ok(),
                    Kind::Flag => value.parse().map(toml::Value::Boolean).ok(),
                    _ => None,
                };
                match known.kind.check(&typed.unwrap_or_else(|| toml::Value::String(value.clone()))) {
                    Ok(()) => drop(settings.insert(name, value)),
                    Err(what) => problems.push(problem(what)),
                }
            }
            None if rest.contains("__") => problems.push(problem(file::unknown(&key))),
            None => {}
        }
    }
    (settings, problems)
}

/// What no single value tells: names given twice, things left out, secrets that cannot be read.
fn whole(config: &Config, lines: &file::Lines<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (i, s) in config.syslog.iter().enumerate() {
        if s.udp.is_none() && s.tcp.is_none() {
            problems.push(
                lines.problem(&format!("syslog[{i}]"), "listens nowhere: add udp = \"0.0.0.0:5514\" or tcp = \"0.0.0.0:5514\""),
            );
        }
    }
    for (i, f) in config.files.iter().enumerate() {
        if f.paths.is_empty() {
            problems.push(lines.problem(&format!("files[{i}]"), "reads nothing: add paths = [\"/var/log/auth.log*\"]"));
        }
    }
    for (i, w) in config.webhook.iter().enumerate() {
        let at = format!("webhook[{i}]");
        let mut credentials = 0;
        for (key, secret) in [("token_file", w.token()), ("hmac_secret_file", w.hmac_secret())] {
            match secret {
                Ok(found) => credentials += usize::from(found.is_some()),
                Err(what) => problems.push(lines.problem(&format!("{at}.{key}"), what)),
            }
        }
        if w.signature_header.as_ref().is_some_and(|name| name.parse::<axum::http::HeaderName>().is_err()) {
            problems.push(lines.problem(&format!("{at}.signature_header"), "is no name of a header"));
        }
        if credentials == 0 && !w.unauthenticated && w.token_file.is_none() && w.hmac_secret_file.is_none() {
            problems
                .push(lines.problem(&at, "lets everybody in: add token_file or hmac_secret_file, or say unauthenticated = true"));
        }
    }
    match config.database.secret_url() {
        Ok(Some(url)) => {
            if let Err(e) = crate::store::Servers::from_url(&url) {
                problems.push(lines.problem("database.url", e.to_string()));
            }
        }
        Ok(None) => {}
        Err(what) => problems.push(lines.problem("database.url_file", what)),
    }
    if let Err(e) = tracing_subscriber::EnvFilter::try_new(&config.log.level) {
        problems.push(lines.problem("log.level", format!("{:?} is no level: {e}", config.log.level)));
    }
    if let Err(errors) = config.detect.options().validate() {
        problems.extend(errors.iter().map(|e| lines.problem(&format!("detect.{}", e.key), e.to_string())));
    }
    problems.extend(formats::problems(config).into_iter().map(|(key, what)| lines.problem(&key, what)));
    problems.extend(config.backup.problems().into_iter().map(|(key, what)| lines.problem(&key, what)));
    problems.extend(config.retention.problem().map(|(key, what)| lines.problem(key, what)));
    problems.extend(config.service_levels.problems().into_iter().map(|(key, what)| lines.problem(&key, what)));
    problems.extend(memory::problems(config).into_iter().map(|(key, what)| lines.problem(&key, what)));
    let every = (config.syslog.iter().map(|s| &s.name).enumerate().map(|(i, n)| (format!("syslog[{i}]"), n)))
        .chain(config.files.iter().map(|f| &f.name).enumerate().map(|(i, n)| (format!("files[{i}]"), n)))
        .chain(config.webhook.iter().map(|w| &w.name).enumerate().map(|(i, n)| (format!("webhook[{i}]"), n)));
    for (at, given) in every {
        if given.is_empty() {
            problems.push(lines.problem(&at, "has no name: add name = \"…\"; it becomes logs.source"));
        } else if names.contains(&given.as_str()) {
            problems.push(
                lines
                    .problem(&format!("{at}.name"), format!("{given:?} is taken by another input; each needs a name of its own")),
            );
        }
        names.push(given);
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn load_text(text: &str) -> Result<Config, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        std::fs::write(&path, text).unwrap();
        let strip = |p: Problem| p.to_string().replace(&format!("{}/", dir.path().display()), "");
        load_from(Some(&path), HashMap::new()).map_err(|all| all.into_iter().map(strip).collect())
    }

    #[test]
    fn every_error_at_once_with_line_and_nearest_name() {
        let got = load_text(
            "stat_dir = \"/x\"\n[http]\nlisten = 5\n[[syslog]]\nname = \"a b\"\nudpp = \"0.0.0.0:1\"\n\
             [detect.brute_forse]\nthreshold = 5\n[detect.brute_force]\nthreshold = 1\nwindow = \"60\"\n",
        )
        .unwrap_err();
        assert_eq!(
            got,
            [
                "t.toml:1: stat_dir: no such key; did you mean \"state_dir\"?",
                "t.toml:3: http.listen: takes text in quotes, not 5",
                "t.toml:5: syslog[0].name: takes up to 64 letters, digits, '.', '_' or '-', not \"a b\"",
                "t.toml:6: syslog[0].udpp: no such key; did you mean \"syslog.udp\"?",
                "t.toml:7: detect.brute_forse: no such key; did you mean \"detect.brute_force\"?",
                "t.toml:10: detect.brute_force.threshold: takes a whole number from 2 to 1000, not 1",
                "t.toml:11: detect.brute_force.window: \"60\" is no length of time: give a whole number and a unit, such as \
                 \"100 ms\", \"5 s\", \"10 m\", \"24 h\" or \"7 d\"",
            ]
        );
    }

    #[test]
    fn a_format_that_there_is_not_is_told() {
        let got = load_text("[[syslog]]\nname = \"a\"\ntcp = \"127.0.0.1:0\"\nformat = \"cisco-asa\"\n").unwrap_err();
        assert!(got[0].starts_with("t.toml:4: syslog[0].format: no such format; did you mean \"cisco_asa\"?"), "{}", got[0]);
        let own =
            "[[format]]\nname = \"till\"\npattern = \"^x\"\n[[syslog]]\nname = \"a\"\ntcp = \"127.0.0.1:0\"\nformat = \"till\"\n";
        load_text(own).unwrap();
    }

    #[test]
    fn what_the_whole_must_be() {
        let got = load_text("[[syslog]]\nname = \"a\"\n[[files]]\nname = \"a\"\npaths = [\"/x\"]\n[[webhook]]\nname = \"w\"\n")
            .unwrap_err();
        assert_eq!(got.len(), 3, "{got:?}");
        assert!(got[0].starts_with("t.toml:1: syslog[0]: listens nowhere"), "{}", got[0]);
        assert!(got[1].starts_with("t.toml:4: files[0].name: \"a\" is taken"), "{}", got[1]);
        assert!(got[2].starts_with("t.toml:6: webhook[0]: lets everybody in"), "{}", got[2]);
        assert!(load_text("[[syslog]\n").unwrap_err()[0].starts_with("t.toml:1: "));
    }

    #[test]
    fn nobody_can_be_given_no_time_and_no_room() {
        let nothing = "[http]\nhead_timeout = \"0 s\"\nbody_timeout = \"0 ms\"\nmax_head_bytes = \"0 B\"\nmax_connections = 0\n\
                       max_connections_per_peer = 0\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\nframe_timeout = \"0 s\"\n\
                       idle_timeout = \"0 s\"\nreceive_buffer = \"0 B\"\n[[files]]\nname = \"auth\"\npaths = [\"/x\"]\n\
                       poll_interval = \"0 s\"\n";
        assert_eq!(
            load_text(nothing).unwrap_err(),
            [
                "t.toml:2: http.head_timeout: takes a time from 100 ms to 1 h, not 0 ms",
                "t.toml:3: http.body_timeout: takes a time from 100 ms to 1 h, not 0 ms",
                "t.toml:4: http.max_head_bytes: takes a size from 8 KiB to 1 MiB, not 0 B",
                "t.toml:5: http.max_connections: takes a whole number from 1 to 1000000, not 0",
                "t.toml:6: http.max_connections_per_peer: takes a whole number from 1 to 1000000, not 0",
                "t.toml:10: syslog[0].frame_timeout: takes a time from 100 ms to 1 d, not 0 ms",
                "t.toml:11: syslog[0].idle_timeout: takes a time from 1 s to 30 d, not 0 ms",
                "t.toml:12: syslog[0].receive_buffer: takes a size from 4 KiB to 1 GiB, not 0 B",
                "t.toml:16: files[0].poll_interval: takes a time from 10 ms to 1 h, not 0 ms",
            ]
        );
        let least = "[http]\nhead_timeout = \"100 ms\"\n[journal]\nsync_interval = \"0 s\"\n[clock]\nmax_past = \"1 d\"\n";
        assert_eq!(load_text(least).unwrap().http.head_timeout, Span(Duration::from_millis(100)));
    }

    #[test]
    fn what_other_rooms_would_refuse_is_refused_here() {
        let got = load_text(
            "[database]\nurl = \"mysql://h/d\"\n[log]\nlevel = \"a=b=c\"\n[detect.account_compromise]\nthreshold = 500\n\
             [[webhook]]\nname = \"w\"\nunauthenticated = true\nsignature_header = \"not a name\"\n",
        );
        let got = got.unwrap_err();
        let at: Vec<&str> = got.iter().map(|p| p.split(": ").next().unwrap()).collect();
        assert_eq!(at, ["t.toml:2", "t.toml:4", "t.toml:6", "t.toml:10"], "{got:#?}");
    }

    #[test]
    fn secrets_do_not_show() {
        let config =
            load_text("[database]\nurl = \"postgres://u:hunter2@h/d\"\n[[webhook]]\nname = \"w\"\ntoken = \"hunter2\"\n")
                .unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.webhook[0].token().unwrap().as_deref(), Some("hunter2"));
    }

    #[test]
    fn the_environment_overrules_the_file() {
        let vars = [("TOCSIN_HTTP__LISTEN", "127.0.0.1:0"), ("TOCSIN_DETECT__BRUTE_FORCE__THRESHOLD", "7"), ("PATH", "/")];
        let vars = vars.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect();
        let config = load_from(None, vars).unwrap();
        assert_eq!((config.http.listen.as_str(), config.detect.brute_force.threshold), ("127.0.0.1:0", Some(7)));
        let others = [("TOCSIN_SERVICE_HOST".to_owned(), "x".to_owned())].into_iter().collect();
        assert!(load_from(None, others).is_ok());
        let absurd = [("TOCSIN_DETECT__BRUTE_FORCE__THRESHOLD".to_owned(), "1".to_owned())].into_iter().collect();
        assert!(load_from(None, absurd).unwrap_err()[0].to_string().contains("from 2 to 1000"));
        let wrong = [("TOCSIN_HTTP__LISTE".to_owned(), "x".to_owned())].into_iter().collect();
        assert!(load_from(None, wrong).unwrap_err()[0].to_string().contains("did you mean \"http.listen\""));
    }

    #[test]
    fn the_shipped_file_shows_every_key_and_is_right() {
        let shipped = include_str!("../../config/tocsin.toml");
        // Every commented-out setting, taken at its word: "# key = value" becomes "key = value".
        let uncommented: String = shipped
            .lines()
            .map(|l| l.strip_prefix("#:").unwrap_or(l).trim_start())
            .fold(String::new(), |all, line| all + line + "\n");
        let (lines, problems) = file::check(Path::new("tocsin.toml"), &uncommented);
        assert_eq!(problems, []);
        for key in KEYS {
            // A format has a pattern or members: it takes two to show all of it.
            let is_shown = ["[0]", "[1]"].iter().any(|index| {
                let shown = key.path.replacen("[]", index, 1).replace("[]", "[0]").replace('*', "brute_force");
                let at = lines.problem(&shown, "");
                let last = key.path.rsplit('.').next().unwrap();
                at.line > 0 && uncommented.lines().nth(at.line - 1).unwrap().contains(last)
            });
            assert!(is_shown, "{} is not shown", key.path);
        }
    }
}
