//! `tocsin replay`: the detectors over files, by the times in the logs, without a database.

use std::fs::File;
use std::io::{self, BufRead, BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use super::found;
use super::progress;
use crate::detect::{Engine, Finding, Findings, Options, Rules};
use crate::frame::event::Joiner;
use crate::frame::line::{Delimiter, Splitter};
use crate::parse;
use crate::parse::own::Own;
use crate::record::{Timestamp, Zone};

/// Longer lines are cut, as by the daemon.
const MAX_LINE_BYTES: usize = 1024 * 1024;
/// Lines after which changes are collected: fewer than the accounts that one change can name.
const COLLECT_EVERY: i64 = 64;

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
    /// Configuration file whose formats are tried, too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
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
    let progress = progress_over(&arguments.files);
    let Some(rules) = found::rules(arguments.rules.as_deref(), "--rules") else { return Ok(ExitCode::from(2)) };
    let Some(formats) = super::formats_of(arguments.config.as_deref()) else { return Ok(ExitCode::from(2)) };
    let mut replay = Replay::new(now, arguments.timezone, rules, formats);
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
    let written =
        if arguments.json { found::write_json(&found, None, &mut out) } else { found::write_table(&found, None, &mut out) };
    match written.and_then(|()| out.flush()) {
        // Who reads our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        result => result.context("cannot write the incidents")?,
    }
    Ok(ExitCode::from(if found.is_empty() { 0 } else { 3 }))
}

/// A bar over the bytes of all files on a terminal, otherwise nothing.
fn progress_over(files: &[PathBuf]) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let total: Option<u64> = files.iter().map(|f| f.metadata().ok().filter(|m| m.is_file()).map(|m| m.len())).sum();
    let (bar, template) = match total {
        Some(bytes) => (progress::bar(bytes), "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}"),
        None => (progress::spinner(), "{spinner} {bytes} {bytes_per_sec}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is a constant"))
}

/// The engine over files.
struct Replay {
    engine: Engine,
    now: Timestamp,
    zone: Zone,
    formats: Arc<[Own]>,
    lines: i64,
    cut_lines: u64,
    findings: Findings,
}

impl Replay {
    fn new(now: Timestamp, zone: Zone, rules: Arc<Rules>, formats: Arc<[Own]>) -> Replay {
        let mut engine = Engine::with_rules(Options::default(), rules);
        // Files may go back in time against each other.
        engine.set_floor(None);
        Replay { engine, now, zone, formats, lines: 0, cut_lines: 0, findings: Findings::new(0) }
    }

    /// Reads one file to its end.
    fn read(&mut self, input: impl Read) -> io::Result<()> {
        self.read_lines(super::plain(input)?)
    }

    fn read_lines(&mut self, mut input: impl BufRead) -> io::Result<()> {
        let mut splitter = Splitter::new(Delimiter::Lf, MAX_LINE_BYTES);
        let mut joiner = Joiner::new(MAX_LINE_BYTES);
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
                joiner.line(piece.bytes, piece.cut, &mut |bytes, cut| self.frame(bytes, cut, &mut time));
            }
            input.consume(len);
        }
        let mut each = |bytes: &[u8], cut| self.frame(bytes, cut, &mut time);
        if let Some(piece) = splitter.finish() {
            joiner.line(piece.bytes, piece.cut, &mut each);
        }
        joiner.finish(&mut each);
        Ok(())
    }

    fn frame(&mut self, bytes: &[u8], cut: u32, time: &mut Timestamp) {
        self.cut_lines += u64::from(cut > 0);
        let text = parse::text(bytes);
        let record = parse::parse(&text, &parse::Context { now: self.now, zone: &self.zone, own: &self.formats });
        *time = record.event_time.unwrap_or(*time);
        self.lines += 1;
        self.engine.observe(&record, self.lines, *time);
        if self.lines % COLLECT_EVERY == 0 {
            self.collect();
        }
    }

    fn collect(&mut self) {
        self.findings.add(self.engine.take_changes());
    }

    /// The incidents in the order in which they began. What could not be done exactly is said on standard error.
    fn finish(mut self) -> Vec<Finding> {
        self.collect();
        if self.cut_lines > 0 {
            eprintln!("tocsin: {} lines were longer than 1 MiB and were cut", self.cut_lines);
        }
        found::warn(&self.engine.stats(), self.findings.left_out());
        self.findings.into_sorted()
    }
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

    fn replayed(files: &[&[u8]]) -> Vec<Finding> {
        let mut replay =
            Replay::new(Timestamp::parse_rfc3339("2026-02-01T00:00:00Z").unwrap(), Zone::UTC, Arc::default(), Arc::default());
        for file in files {
            replay.read(*file).unwrap();
        }
        replay.finish()
    }

    fn json(found: &[Finding]) -> String {
        let mut out = Vec::new();
        found::write_json(found, None, &mut out).unwrap();
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
        found::write_table(&replayed(&[MORNING.as_bytes(), LATER.as_bytes()]), None, &mut out).unwrap();
        let table = String::from_utf8(out).unwrap();
        assert!(table.contains("\\u{1b}[2Jgit") && !table.contains('\u{1b}'), "{table}");
        let mut out = Vec::new();
        found::write_table(&replayed(&[b"nothing\n\xff\x00 here"]), None, &mut out).unwrap();
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
        assert_eq!(found.iter().map(|f| f.change.first_seen.to_string()).collect::<Vec<_>>(), ["2026-01-02T03:04:05Z"]);
    }

    #[test]
    fn a_torn_gzip_file_is_an_error() {
        let whole = gzipped(&MORNING.repeat(50));
        let mut replay = Replay::new(Timestamp::default(), Zone::UTC, Arc::default(), Arc::default());
        assert!(replay.read(&whole[..whole.len() - 9]).is_err());
    }
}
