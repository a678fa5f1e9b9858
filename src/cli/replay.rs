//! `tocsin replay`: the detectors over files, by the times in the logs, without a database.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::detect::incidents::title;
use crate::detect::{Engine, Options, Rules};
use crate::frame::line::{Delimiter, Splitter};
use crate::record::incident::{Group, IncidentChange, RaisedBy};
use crate::record::text::visible;
use crate::record::{Severity, Timestamp, Zone};
use crate::{config, parse};

/// Longer lines are cut, as by the daemon.
const MAX_LINE_BYTES: usize = 1024 * 1024;
/// Lines after which changes are collected: fewer than the accounts that one change can name.
const COLLECT_EVERY: i64 = 64;
/// Accounts told apart in one incident.
const MAX_ACCOUNTS: usize = 100_000;
/// Incidents kept.
const MAX_INCIDENTS: usize = 1_000_000;

/// Run the detectors over log files, by the times in the logs
///
/// Reads log lines as the daemon would, plain or gzipped, and says which attacks it finds in them. Needs no database. A line that
/// tells no time is taken to have happened when the line before it in its file did, or now where there is none before it.
/// Files may cover different times and come in any order.
///
/// An incident is everything that one detector found for one group: the remote end's address ("src_ip"), its host name where
/// lines give no address ("src_host"), or the type of event ("event_type"); of a rule, the values of its "group-by" fields, or where it has
/// none the remote end or the host ("host.name").
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 nothing found, 1 failed, 2 wrong usage, 3 incidents found\n\n\
Examples:\n  \
tocsin replay /var/log/auth.log*\n  \
tocsin replay --json --timezone Europe/Paris auth.log.2.gz | jq -r .title\n  \
journalctl -o short-iso -u ssh | tocsin replay -\n  \
tocsin replay --rules /etc/tocsin/rules /var/log/auth.log\n  \
tocsin replay --now 2021-01-05T00:00:00Z messages-of-that-winter")]
pub struct Arguments {
    /// Sigma rules to run beside the detectors: a directory of .yml files, or one file
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Write one JSON object per incident and line instead of a table
    #[arg(long)]
    json: bool,
    /// Zone of times that name none: an IANA name, an offset such as +02:00, "UTC" or "local"
    #[arg(long, value_name = "TZ", default_value = "local", value_parser = Zone::named)]
    timezone: Zone,
    /// When the lines were received (RFC 3339); a time without a year is the closest one to this [default: now]
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    now: Option<Timestamp>,
    /// Files to read, plain or gzipped; "-" is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let now = arguments.now.unwrap_or_else(Timestamp::now);
    let progress = progress(&arguments.files);
    let rules = match &arguments.rules {
        None => Rules::default(),
        Some(path) => {
            let (rules, problems) = match config::rules::load(path) {
                Ok(read) => read,
                Err(what) => {
                    eprintln!("tocsin: --rules: {what}");
                    return Ok(ExitCode::from(2));
                }
            };
            for problem in &problems {
                eprintln!("tocsin: left out: {problem}");
            }
            if rules.is_empty() {
                eprintln!("tocsin: none of these rules can be used");
                return Ok(ExitCode::from(2));
            }
            rules
        }
    };
    let mut replay = Replay::new(now, arguments.timezone, rules);
    for path in &arguments.files {
        let input: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(path).with_context(|| format!("cannot open {path:?}"))?)
        };
        replay.read(progress.wrap_read(input)).with_context(|| format!("cannot read {path:?}"))?;
    }
    progress.finish_and_clear();
    let found = replay.finish();
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if arguments.json { write_json(&found, &mut out) } else { write_table(&found, &mut out) };
    match written.and_then(|()| out.flush()) {
        // Who reads our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        result => result.context("cannot write the incidents")?,
    }
    Ok(ExitCode::from(if found.is_empty() { 0 } else { 3 }))
}

/// A bar over the bytes of all files on a terminal, otherwise nothing.
fn progress(files: &[PathBuf]) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let total: Option<u64> = files.iter().map(|f| f.metadata().ok().filter(|m| m.is_file()).map(|m| m.len())).sum();
    let (bar, template) = match total {
        Some(bytes) => (ProgressBar::new(bytes), "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}"),
        None => (ProgressBar::no_length(), "{spinner} {bytes} {bytes_per_sec}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is a constant"))
}

/// The engine over files.
struct Replay {
    engine: Engine,
    now: Timestamp,
    zone: Zone,
    lines: i64,
    cut_lines: u64,
    incidents: HashMap<(RaisedBy, Group), Incident>,
    incidents_dropped: u64,
}

/// One incident, as it is written.
#[derive(Debug, Serialize)]
struct Incident {
    #[serde(rename = "detector", serialize_with = "detector_name")]
    raised_by: RaisedBy,
    #[serde(serialize_with = "severity_name")]
    severity: Severity,
    title: String,
    #[serde(serialize_with = "group_map")]
    group: Group,
    #[serde(serialize_with = "rfc3339")]
    first_seen: Timestamp,
    #[serde(serialize_with = "rfc3339")]
    last_seen: Timestamp,
    event_count: u64,
    #[serde(rename = "distinct_count", serialize_with = "how_many")]
    accounts: BTreeSet<String>,
}

impl Replay {
    fn new(now: Timestamp, zone: Zone, rules: Rules) -> Replay {
        let mut engine = Engine::with_rules(Options::default(), Arc::new(rules));
        // Files may go back in time against each other.
        engine.set_floor(None);
        Replay { engine, now, zone, lines: 0, cut_lines: 0, incidents: HashMap::new(), incidents_dropped: 0 }
    }

    /// Reads one file to its end.
    fn read(&mut self, input: impl Read) -> io::Result<()> {
        self.read_lines(super::plain(input)?)
    }

    fn read_lines(&mut self, mut input: impl BufRead) -> io::Result<()> {
        let mut splitter = Splitter::new(Delimiter::Lf, MAX_LINE_BYTES);
        let mut time = self.now;
        loop {
            let chunk = match input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let len = chunk.len();
            if len == 0 {
                break;
            }
            let mut rest = chunk;
            while let Some(piece) = splitter.next(&mut rest) {
                self.cut_lines += u64::from(piece.cut > 0);
                self.line(piece.bytes, &mut time);
            }
            input.consume(len);
        }
        if let Some(piece) = splitter.finish() {
            self.cut_lines += u64::from(piece.cut > 0);
            self.line(piece.bytes, &mut time);
        }
        Ok(())
    }

    fn line(&mut self, bytes: &[u8], time: &mut Timestamp) {
        let text = parse::text(bytes);
        let record = parse::parse(&text, &parse::Context { now: self.now, zone: &self.zone });
        *time = record.event_time.unwrap_or(*time);
        self.lines += 1;
        self.engine.observe(&record, self.lines, *time);
        if self.lines % COLLECT_EVERY == 0 {
            self.collect();
        }
    }

    fn collect(&mut self) {
        for change in self.engine.take_changes() {
            let key = (change.raised_by.clone(), change.group.clone());
            if self.incidents.len() >= MAX_INCIDENTS && !self.incidents.contains_key(&key) {
                self.incidents_dropped += 1;
                continue;
            }
            self.incidents.entry(key).or_insert_with(|| Incident::new(&change)).add(change);
        }
    }

    /// The incidents in the order in which they began. What could not be done exactly is said on standard error.
    fn finish(mut self) -> Vec<Incident> {
        self.collect();
        let stats = self.engine.stats();
        let warn = |n: u64, what: &str| {
            if n > 0 {
                eprintln!("tocsin: {n} {what}");
            }
        };
        warn(self.cut_lines, "lines were longer than 1 MiB and were cut");
        warn(stats.points_dropped_total, "events of very busy groups were forgotten for lack of room; counts may be low");
        warn(stats.evicted_full_total, "remote ends were forgotten for lack of room; counts may be low");
        warn(self.incidents_dropped, "changes were left out: there are too many incidents");
        let mut found: Vec<Incident> = self.incidents.into_values().collect();
        found.sort_by(|a, b| (a.first_seen, a.raised_by.order(), &a.group).cmp(&(b.first_seen, b.raised_by.order(), &b.group)));
        found
    }
}

impl Incident {
    fn new(change: &IncidentChange) -> Incident {
        Incident {
            raised_by: change.raised_by.clone(),
            severity: change.severity,
            title: title(&change.raised_by, &change.group),
            group: change.group.clone(),
            first_seen: change.first_seen,
            last_seen: change.last_seen,
            event_count: 0,
            accounts: BTreeSet::new(),
        }
    }

    fn add(&mut self, change: IncidentChange) {
        self.event_count = self.event_count.saturating_add(change.events);
        self.severity = self.severity.max(change.severity_at(self.event_count));
        self.first_seen = self.first_seen.min(change.first_seen);
        self.last_seen = self.last_seen.max(change.last_seen);
        for name in change.usernames.into_iter().chain(change.values) {
            if self.accounts.len() < MAX_ACCOUNTS {
                self.accounts.insert(name.to_string());
            }
        }
    }
}

fn write_json(found: &[Incident], out: &mut impl Write) -> io::Result<()> {
    for incident in found {
        serde_json::to_writer(&mut *out, incident)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn write_table(found: &[Incident], out: &mut impl Write) -> io::Result<()> {
    if found.is_empty() {
        return writeln!(out, "No incidents.");
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["severity", "incident", "events", "accounts or values", "first seen", "last seen"]);
    for incident in found {
        table.add_row([
            incident.severity.to_string(),
            incident.title.clone(),
            incident.event_count.to_string(),
            accounts(&incident.accounts),
            incident.first_seen.to_string(),
            incident.last_seen.to_string(),
        ]);
    }
    writeln!(out, "{table}")
}

/// A few account names and how many more there are.
fn accounts(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 3;
    let mut text = names.iter().take(SHOWN).map(|n| visible(n)).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

fn detector_name<S: Serializer>(raised_by: &RaisedBy, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(raised_by.name())
}

fn severity_name<S: Serializer>(severity: &Severity, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(severity.as_str())
}

fn group_map<S: Serializer>(group: &Group, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(group.0.len()))?;
    for (name, value) in &group.0 {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

fn rfc3339<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(time)
}

fn how_many<S: Serializer>(names: &BTreeSet<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(names.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MORNING: &str = "\
        2026-01-02T03:04:05Z web1 sshd[811]: Invalid user oracle from 198.51.100.4 port 4242\n\
        2026-01-02T03:04:05Z web1 sshd[811]: pam_unix(sshd:auth): check pass; user unknown\n\
        2026-01-02T03:04:05Z web1 sshd[811]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.4\n\
        2026-01-02T03:04:07Z web1 sshd[811]: Failed password for invalid user oracle from 198.51.100.4 port 4242 ssh2\n\
        2026-01-02T03:04:10Z web1 sshd[812]: Invalid user \u{1b}[2Jgit from 198.51.100.4 port 4243\n\
        2026-01-02T03:04:12Z web1 sshd[812]: Failed password for invalid user \u{1b}[2Jgit from 198.51.100.4 port 4243 ssh2\n";
    const LATER: &str = "\
        2026-01-02T03:04:22Z web1 sshd[813]: Failed password for root from 198.51.100.4 port 4244 ssh2\n\
        2026-01-02T03:04:32Z web1 sshd[813]: message repeated 2 times: [ Failed password for root from 198.51.100.4 port 4244 ssh2]\n\
        2026-01-02T03:04:33Z web1 sshd[813]: error: maximum authentication attempts exceeded for root from 198.51.100.4 port 4244 ssh2 [preauth]";

    fn replayed(files: &[&[u8]]) -> Vec<Incident> {
        let mut replay = Replay::new(Timestamp::parse_rfc3339("2026-02-01T00:00:00Z").unwrap(), Zone::UTC, Rules::default());
        for file in files {
            replay.read(*file).unwrap();
        }
        replay.finish()
    }

    fn json(found: &[Incident]) -> String {
        let mut out = Vec::new();
        write_json(found, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn gzipped(text: &str) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn an_attack_over_two_files_is_found_in_any_order() {
        let found = replayed(&[MORNING.as_bytes(), LATER.as_bytes()]);
        let tail = "\"first_seen\":\"2026-01-02T03:04:05Z\",\"last_seen\":\"2026-01-02T03:04:32Z\",\"event_count\":5,\"distinct_count\":3}\n";
        let line = |detector, severity, title| {
            format!(
                "{{\"detector\":\"{detector}\",\"severity\":\"{severity}\",\"title\":\"{title} from 198.51.100.4\",\
                 \"group\":{{\"src_ip\":\"198.51.100.4\"}},{tail}"
            )
        };
        let want = line("login_failures", "high", "Repeated failed logins")
            + &line("brute_force", "medium", "Brute-force login attack")
            + &line("account_compromise", "high", "Failed logins to several accounts");
        assert_eq!(json(&found), want);
        assert_eq!(json(&replayed(&[LATER.as_bytes(), MORNING.as_bytes()])), want);
        assert_eq!(json(&replayed(&[&gzipped(LATER), MORNING.as_bytes()])), want);
    }

    #[test]
    fn the_table_shows_no_control_characters() {
        let mut out = Vec::new();
        write_table(&replayed(&[MORNING.as_bytes(), LATER.as_bytes()]), &mut out).unwrap();
        let table = String::from_utf8(out).unwrap();
        assert!(table.contains("\\u{1b}[2Jgit") && !table.contains('\u{1b}'), "{table}");
        let mut out = Vec::new();
        write_table(&replayed(&[b"nothing\n\xff\x00 here"]), &mut out).unwrap();
        assert_eq!(out, b"No incidents.\n");
    }

    #[test]
    fn a_line_without_a_time_happens_when_the_one_before_did() {
        let line = "Failed password for root from 198.51.100.4 port 4244 ssh2\n";
        let text = format!(
            "2026-01-02T03:04:05Z web1 sshd[1]: Connection from 198.51.100.4 port 1\n{}",
            format!("sshd[1]: {line}").repeat(3)
        );
        let found = replayed(&[text.as_bytes()]);
        assert_eq!(found.iter().map(|i| i.first_seen.to_string()).collect::<Vec<_>>(), ["2026-01-02T03:04:05Z"]);
    }

    #[test]
    fn a_torn_gzip_file_is_an_error() {
        let whole = gzipped(&MORNING.repeat(50));
        let mut replay = Replay::new(Timestamp::default(), Zone::UTC, Rules::default());
        assert!(replay.read(&whole[..whole.len() - 9]).is_err());
    }
}
