//! From the configuration to the parts: each room's options from the settings, each input from its options.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderName;
use tracing::info;

use super::{DaemonError, network_sources, source};
use crate::config::{Config, Syslog, Webhook, address};
use crate::detect::Rules;
use crate::http::server::{self, Server};
use crate::journal::{self, Journal};
use crate::listen::refused::Refusals;
use crate::listen::{tcp, udp, webhook};
use crate::record::{Timestamp, Zone};
use crate::stats::Stats;
use crate::store::{Saved, SavedPosition};
use crate::tail::{self, Tail};
use crate::{pipeline, random};

/// Without any input in the configuration: syslog on this machine's port 5514, and a webhook whose token is made up at the first start.
pub fn with_default_inputs(mut config: Config) -> Result<Config, DaemonError> {
    if config.syslog.is_empty() && config.files.is_empty() && config.webhook.is_empty() {
        let here = Some("127.0.0.1:5514".to_owned());
        config.syslog.push(Syslog { name: "syslog".into(), udp: here.clone(), tcp: here, ..Syslog::default() });
        let token = config.state_dir.join("webhook.token");
        ensure_token(&token).map_err(|source| DaemonError::StateDir { path: token.clone(), source })?;
        info!("POST /ingest/webhook takes JSON with the bearer token in {}", token.display());
        config.webhook.push(Webhook::with_token_file("webhook", token));
    }
    Ok(config)
}

/// 256 bits from the kernel, readable by us alone.
fn ensure_token(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let token = random::hex(32)?;
    let mut file = std::fs::File::options().create_new(true).write(true).mode(0o600).open(path)?;
    writeln!(file, "{token}")?;
    file.sync_all()
}

/// The journal. Its offsets are never used twice, even if all its segments are lost: a new first segment begins at the time in
/// nanoseconds, which is beyond every offset of an older one that took in less than a gigabyte a second.
pub fn open_journal(config: &Config, stats: &Stats) -> Result<Journal, DaemonError> {
    let dir = config.state_dir.join("journal");
    let is_segment =
        |entry: std::io::Result<std::fs::DirEntry>| entry.is_ok_and(|e| e.path().extension().is_some_and(|x| x == "journal"));
    let has_segments = std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.any(is_segment));
    let at_least = if !has_segments { u64::try_from(Timestamp::now().as_micros()).unwrap_or(0).saturating_mul(1_000) } else { 0 };
    let journal = Journal::open(&dir, config.journal_options(), at_least, stats).map_err(DaemonError::Journal)?;
    let opened = journal.opened();
    if opened.torn_bytes > 0 {
        tracing::warn!(
            bytes = opened.torn_bytes,
            "the journal ended in a torn record, which was never acknowledged; it was cut off"
        );
    }
    Ok(journal)
}

/// The journal as an input, from where the database says; and where that is.
pub fn journal_reader(config: &Config, journal: &Journal, saved: &Saved) -> Result<(journal::Reader, u64), DaemonError> {
    let known = |p: &&SavedPosition| p.input == "journal" && p.part == **journal.identity();
    let from = saved.positions.iter().find(known).map_or(0, |p| p.position);
    if from > journal.opened().next_offset {
        let dir = config.state_dir.join("journal");
        let what = format!(
            "is older than what the database has stored from it (offset {from}): was it restored from a copy? Remove {}/id, and everything in \
             it is stored as new, or remove the whole directory, and nothing is",
            dir.display()
        );
        return Err(setting(dir.display().to_string(), what));
    }
    journal.release(from);
    let sources = journal::Sources { known: network_sources(config)?, default_zone: Zone::system() };
    Ok((journal::Reader::new(journal, from, sources), from))
}

fn setting(key: String, what: impl ToString) -> DaemonError {
    DaemonError::Setting { key, what: what.to_string() }
}

/// The UDP listeners, bound.
pub fn udp(
    config: &Config,
    journal: &Journal,
    stats: &Stats,
    refusals: &Arc<Refusals>,
) -> Result<Vec<(String, udp::Listener)>, DaemonError> {
    let mut listeners = Vec::new();
    for (i, syslog) in config.syslog.iter().enumerate() {
        let Some(listen) = &syslog.udp else { continue };
        let listen = address(listen).map_err(|e| setting(format!("syslog[{i}].udp"), e))?;
        let mut options = udp::Options::new(&syslog.name, listen);
        options.receive_buffer_bytes = syslog.receive_buffer.as_usize();
        let bound = udp::bind(options, journal.handle(), stats, refusals);
        listeners.push((syslog.name.clone(), bound.map_err(|source| DaemonError::Listen { name: syslog.name.clone(), source })?));
    }
    Ok(listeners)
}

/// The TCP listeners, bound.
pub async fn tcp(
    config: &Config,
    journal: &Journal,
    stats: &Stats,
    refusals: &Arc<Refusals>,
) -> Result<Vec<(String, tcp::Listener)>, DaemonError> {
    let mut listeners = Vec::new();
    for (i, syslog) in config.syslog.iter().enumerate() {
        let Some(listen) = &syslog.tcp else { continue };
        let listen = address(listen).map_err(|e| setting(format!("syslog[{i}].tcp"), e))?;
        let bound = tcp::bind(config.tcp_options(syslog, listen), journal.handle(), stats, refusals).await;
        listeners.push((syslog.name.clone(), bound.map_err(|source| DaemonError::Listen { name: syslog.name.clone(), source })?));
    }
    Ok(listeners)
}

/// The HTTP server, bound.
pub async fn http(config: &Config, stats: &Stats, refusals: &Arc<Refusals>) -> Result<Option<Server>, DaemonError> {
    if config.http.listen == "off" {
        return Ok(None);
    }
    let listen = address(&config.http.listen).map_err(|e| setting("http.listen".into(), e))?;
    let bound = server::bind(config.http_options(listen), stats, refusals).await;
    bound.map(Some).map_err(|source| DaemonError::Listen { name: "http".into(), source })
}

/// The webhooks' routes.
pub fn webhooks(config: &Config, journal: &Journal, stats: &Stats, refusals: &Arc<Refusals>) -> Result<Router, DaemonError> {
    let mut sources = Vec::new();
    for (i, hook) in config.webhook.iter().enumerate() {
        let at = |key: &str| format!("webhook[{i}].{key}");
        let token = hook.token().map_err(|e| setting(at("token_file"), e))?;
        let secret = hook.hmac_secret().map_err(|e| setting(at("hmac_secret_file"), e))?;
        let auth = if token.is_none() && secret.is_none() {
            None
        } else {
            let tokens: Vec<String> = token.into_iter().collect();
            let secrets: Vec<Vec<u8>> = secret.into_iter().map(String::into_bytes).collect();
            let credentials = webhook::Credentials::new(&tokens, &secrets);
            Some(match &hook.signature_header {
                None => credentials,
                Some(name) => {
                    let name: HeaderName = name.parse().map_err(|_| setting(at("signature_header"), "is no name of a header"))?;
                    credentials.with_signature_header(name)
                }
            })
        };
        sources.push(webhook::Source { name: hook.name.clone(), auth });
    }
    let options = webhook::Options { sources, ..config.webhook_options() };
    Ok(webhook::router(options, journal.handle(), stats, refusals))
}

/// The file sets, each from where the database says.
pub fn tails(config: &Config, saved: &Saved, stats: &Arc<Stats>) -> Result<Vec<(String, Tail)>, DaemonError> {
    let mut tails = Vec::new();
    let own = config.formats();
    for files in &config.files {
        let source = source(&files.name, &files.timezone, files.format.as_deref(), &own)?;
        let mut options = tail::Options::new(files.name.clone(), files.paths.clone(), source);
        options.read_from = files.read_from;
        options.max_line_bytes = files.max_line_bytes.as_usize();
        options.poll_interval = files.poll_interval.0;
        config.limit_tail(&mut options);
        let input = format!("files:{}", files.name);
        let positions = saved.positions.iter().filter(|p| p.input == input);
        let positions = positions
            .map(|p| tail::SavedPosition { part: p.part.clone(), position: p.position, detail: p.detail.clone() })
            .collect();
        let tail = Tail::new(options, positions, Arc::clone(stats));
        tails.push((files.name.clone(), tail.map_err(|source| DaemonError::Tail { name: files.name.clone(), source })?));
    }
    Ok(tails)
}

/// The operator's rules. One that cannot be used is told of and left out: the others are needed all the same.
pub fn rules(config: &Config) -> Result<Arc<Rules>, DaemonError> {
    let Some(path) = &config.detect.rules else { return Ok(Arc::default()) };
    let setting = |what| DaemonError::Setting { key: "detect.rules".to_owned(), what };
    let (rules, problems) = crate::config::rules::load(path).map_err(setting)?;
    for problem in &problems {
        tracing::warn!(rule.file = %problem.file.display(), rule.line = problem.line, "a rule cannot be used: {}", problem.what);
    }
    tracing::info!(rules = rules.len(), left_out = problems.len(), "rules are read");
    Ok(Arc::new(rules))
}

/// The pipeline's options.
pub fn pipeline_options(config: &Config, rules: Arc<Rules>) -> pipeline::Options {
    pipeline::Options {
        max_rows: 5_000,
        max_evidence: config.detect.max_evidence,
        max_past_micros: config.clock.max_past.as_micros(),
        max_future_micros: config.clock.max_future.as_micros(),
        detect: config.detect_options(),
        rules,
        formats: config.formats(),
    }
}
