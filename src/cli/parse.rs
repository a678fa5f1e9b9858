//! `tocsin parse`: frames in, one JSON object out for each, in order. Streams; holds one frame at a time.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::frame::line::{Delimiter, Splitter};
use crate::parse::own::Own;
use crate::parse::{self, Context, Named, Tried};
use crate::record::{LogRecord, Timestamp, Value, Zone};

/// Frames are cut here, as the daemon does by default.
const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// What is read at once.
const CHUNK_BYTES: usize = 256 * 1024;

const EXAMPLES: &str = "\
Examples:
  tocsin parse /var/log/auth.log              the whole file
  tocsin parse /var/log/auth.log.2.gz         gzip is recognised by content
  journalctl -f | tocsin parse                as lines arrive
  tocsin parse --timezone Europe/Paris --now 2026-01-01T00:00:00Z old.log
  tocsin parse --format sshd messages.txt     lines without an envelope, all from sshd
  tocsin parse --explain odd.log              which formats were tried on each line, and why
  tocsin parse --config tocsin.toml odd.log   by the formats that it describes ([[format]]), too";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Try this format first, whichever app a line names ("tocsin formats" lists them)
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Configuration file whose formats are tried, too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Tell under "tried" which formats were tried on each line, and why
    #[arg(long)]
    explain: bool,
    /// The time of receipt (RFC 3339): times without a year are the closest to it [default: the clock]
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    now: Option<Timestamp>,
    /// Zone of times that name none: an IANA name, an offset, UTC or local [default: the system's]
    #[arg(long, value_name = "TZ", value_parser = Zone::named)]
    timezone: Option<Zone>,
    /// What ends a frame
    #[arg(long, value_enum, default_value_t = Framing::Line)]
    framing: Framing,
    /// The file to read; standard input if absent
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Framing {
    /// LF or CRLF
    Line,
    /// NUL
    Nul,
    /// A length in front of each frame (RFC 6587 §3.4.1)
    Octet,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { format, explain, now, timezone, .. } = arguments;
    let Some(own) = super::formats_of(arguments.config.as_deref()) else { return Ok(ExitCode::from(2)) };
    let format = match format.map(|name| Named::find(&name, &own)).transpose() {
        Ok(format) => format,
        Err(what) => {
            eprintln!("--format: {what}");
            return Ok(ExitCode::from(2));
        }
    };
    let reader = Reader { format, own, explain, now, zone: timezone.unwrap_or_else(Zone::system) };
    let input: Box<dyn Read> = match &arguments.file {
        Some(path) => Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?),
        None => Box::new(io::stdin().lock()),
    };
    let input = super::plain(input).context("cannot read the input")?;
    let mut out = BufWriter::with_capacity(CHUNK_BYTES, io::stdout().lock());
    let done = match arguments.framing {
        Framing::Line => reader.delimited(input, Delimiter::Lf, &mut out),
        Framing::Nul => reader.delimited(input, Delimiter::Nul, &mut out),
        Framing::Octet => reader.counted(input, &mut out),
    };
    match done.and_then(|()| out.flush()) {
        // Whoever reads has read enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        done => done.map(|()| ExitCode::SUCCESS).context("cannot go on"),
    }
}

struct Reader {
    format: Option<Named>,
    own: Arc<[Own]>,
    explain: bool,
    /// The clock at each frame, if absent.
    now: Option<Timestamp>,
    zone: Zone,
}

impl Reader {
    fn delimited(&self, mut input: impl Read, delimiter: Delimiter, out: &mut impl Write) -> io::Result<()> {
        let mut splitter = Splitter::new(delimiter, MAX_FRAME_BYTES);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let len = match input.read(&mut chunk) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let mut bytes = &chunk[..len];
            while let Some(piece) = splitter.next(&mut bytes) {
                self.frame(piece.bytes, piece.cut, out)?;
            }
            // Nothing more may come for a while.
            out.flush()?;
        }
        if let Some(piece) = splitter.finish() {
            self.frame(piece.bytes, piece.cut, out)?;
        }
        Ok(())
    }

    /// `MSG-LEN SP SYSLOG-MSG`, RFC 6587 §3.4.1; line ends between frames, which some senders add, are skipped. Not the splitter of
    /// `frame::octet`, which tells counted frames from lines by what they look like: here everything is counted, whatever it begins
    /// with, and what is not is an error.
    fn counted(&self, input: impl Read, out: &mut impl Write) -> io::Result<()> {
        let mut input = BufReader::with_capacity(CHUNK_BYTES, input);
        let mut frame = Vec::new();
        loop {
            if input.buffer().is_empty() {
                // Nothing more may come for a while.
                out.flush()?;
            }
            let Some(len) = length(&mut input)? else { return Ok(()) };
            frame.clear();
            let kept = len.min(MAX_FRAME_BYTES as u64);
            input.by_ref().take(kept).read_to_end(&mut frame)?;
            let dropped = io::copy(&mut input.by_ref().take(len - kept), &mut io::sink())?;
            if frame.len() as u64 + dropped < len {
                self.frame(&frame, 0, out)?;
                return Err(invalid("the input ends within a frame"));
            }
            self.frame(&frame, u32::try_from(dropped).unwrap_or(u32::MAX), out)?;
        }
    }

    fn frame(&self, bytes: &[u8], cut: u32, out: &mut impl Write) -> io::Result<()> {
        let context = Context { now: self.now.unwrap_or_else(Timestamp::now), zone: &self.zone, own: &self.own };
        let text = parse::text(bytes);
        let (mut record, tried) = match (self.explain, self.format) {
            (true, named) => parse::explain(&text, &context, named),
            (false, Some(named)) => (parse::parse_as(&text, &context, named), Vec::new()),
            (false, None) => (parse::parse(&text, &context), Vec::new()),
        };
        if cut > 0 && record.error.is_none() {
            record.error = Some(format!("frame cut at {MAX_FRAME_BYTES} bytes, {cut} more were there").into());
        }
        serde_json::to_writer(&mut *out, &Line { record: &record, tried: &tried })?;
        out.write_all(b"\n")
    }
}

/// The length in front of a frame; `None` at the end of the input.
fn length(input: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut value: u64 = 0;
    let mut digits = 0;
    loop {
        let Some(&byte) = input.fill_buf()?.first() else {
            return if digits == 0 { Ok(None) } else { Err(invalid("the input ends within a frame's length")) };
        };
        input.consume(1);
        match byte {
            b'\r' | b'\n' if digits == 0 => {}
            b'0'..=b'9' if digits < 10 && (digits > 0 || byte != b'0') => {
                value = value * 10 + u64::from(byte - b'0');
                digits += 1;
            }
            b' ' if digits > 0 => return Ok(Some(value)),
            _ => return Err(invalid("expected a frame's length in decimal digits and a space (RFC 6587 §3.4.1)")),
        }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A record as one JSON object: keys as in DESIGN §5, absent where the record has nothing to say.
pub(super) struct Line<'r> {
    record: &'r LogRecord<'r>,
    /// Shown where there is something.
    tried: &'r [Tried],
}

impl<'r> Line<'r> {
    /// Without what was tried on it.
    pub(super) fn of(record: &'r LogRecord<'r>) -> Line<'r> {
        Line { record, tried: &[] }
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let r = self.record;
        let mut map = serializer.serialize_map(None)?;
        macro_rules! optional {
            ($($key:literal: $value:expr),+) => { $(if let Some(value) = $value { map.serialize_entry($key, &value)?; })+ };
        }
        optional!("event_time": r.event_time.map(Shown), "host": r.host.as_deref(), "app": r.app.as_deref(), "pid": r.pid);
        map.serialize_entry("event_type", r.event_type.as_str())?;
        map.serialize_entry("severity", r.severity.as_str())?;
        optional!(
            "username": r.username.as_deref(), "src_ip": r.src_ip, "src_port": r.src_port, "dst_ip": r.dst_ip,
            "dst_port": r.dst_port, "protocol": r.protocol.as_deref(), "action": r.action.as_deref()
        );
        map.serialize_entry("message", &r.message)?;
        map.serialize_entry("format", &Shown(r.format))?;
        if !r.fields.is_empty() {
            map.serialize_entry("fields", &Fields(r))?;
        }
        optional!("error": r.error.as_deref(), "tried": (!self.tried.is_empty()).then_some(self.tried));
        map.end()
    }
}

/// Serialised as its text.
struct Shown<T>(T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Fields<'r>(&'r LogRecord<'r>);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.fields.len()))?;
        for (name, value) in &self.0.fields {
            match value {
                Value::Str(text) => map.serialize_entry(name, text)?,
                Value::Int(number) => map.serialize_entry(name, number)?,
                Value::Float(number) => map.serialize_entry(name, number)?,
                Value::Bool(yes) => map.serialize_entry(name, yes)?,
                Value::Json(text) => match serde_json::from_str::<&RawValue>(text) {
                    Ok(raw) => map.serialize_entry(name, raw)?,
                    Err(_) => map.serialize_entry(name, text)?,
                },
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(input: &[u8], framing: Framing, format: Option<&str>) -> (Vec<serde_json::Value>, io::Result<()>) {
        let now = Timestamp::parse_rfc3339("2026-06-15T12:00:00Z").unwrap();
        let format = format.map(|name| Named::find(name, &[]).unwrap());
        let reader = Reader { format, own: Arc::default(), explain: false, now: Some(now), zone: Zone::UTC };
        let mut out = Vec::new();
        let input = super::super::plain(input).unwrap();
        let done = match framing {
            Framing::Line => reader.delimited(input, Delimiter::Lf, &mut out),
            Framing::Nul => reader.delimited(input, Delimiter::Nul, &mut out),
            Framing::Octet => reader.counted(input, &mut out),
        };
        let lines = String::from_utf8(out).unwrap();
        (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), done)
    }

    #[test]
    fn one_object_per_frame_in_order() {
        let line = "<38>Jun  1 10:00:00 web1 sshd[712]: Failed password for root from 192.0.2.7 port 40022 ssh2";
        let (got, done) = convert(format!("{line}\r\n\nhello \u{7}\n").as_bytes(), Framing::Line, None);
        done.unwrap();
        assert_eq!(
            got,
            [
                serde_json::json!({
                    "event_time": "2026-06-01T10:00:00Z", "host": "web1", "app": "sshd", "pid": 712, "event_type": "login_failed",
                    "severity": "medium", "username": "root", "src_ip": "192.0.2.7", "src_port": 40022, "action": "ssh_login",
                    "message": "Failed password for root from 192.0.2.7 port 40022 ssh2", "format": "rfc3164+sshd",
                    "fields": {
                        "log.syslog.facility.code": 4, "log.syslog.severity.code": 6, "event.outcome": "failure",
                        "network.protocol": "ssh", "ssh.method": "password"
                    }
                }),
                serde_json::json!({"event_type": "other", "severity": "low", "message": "", "format": "text"}),
                serde_json::json!({"event_type": "other", "severity": "low", "message": "hello \u{7}", "format": "text"}),
            ]
        );
    }

    #[test]
    fn nul_and_gzip() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"one\ntwo\0three").unwrap();
        let (got, done) = convert(&gzip.finish().unwrap(), Framing::Nul, None);
        done.unwrap();
        assert_eq!(got.iter().map(|r| r["message"].as_str().unwrap()).collect::<Vec<_>>(), ["one\ntwo", "three"]);
    }

    #[test]
    fn octets_are_counted() {
        let (got, done) = convert(b"5 hello3 a\nb\n7 <13>x: ", Framing::Octet, None);
        done.unwrap();
        assert_eq!(got.iter().map(|r| r["message"].as_str().unwrap()).collect::<Vec<_>>(), ["hello", "a\nb", ""]);
        for (input, answers) in [(&b"5 hell"[..], 1), (b"x", 0), (b"5", 0), (b"1 a05 hello", 1), (b"99999999999 a", 0)] {
            let (got, done) = convert(input, Framing::Octet, None);
            assert_eq!((got.len(), done.is_err()), (answers, true), "{input:?}");
        }
    }

    /// What is written, as it comes.
    struct Told(std::sync::mpsc::Sender<Vec<u8>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_answer_does_not_wait_for_the_next_frame() {
        for (framing, frame) in [(Framing::Line, "hello\n"), (Framing::Nul, "hello\0"), (Framing::Octet, "5 hello")] {
            let (input, mut sender) = io::pipe().unwrap();
            let (told, answers) = std::sync::mpsc::channel();
            let running = std::thread::spawn(move || {
                let reader = Reader { format: None, own: Arc::default(), explain: false, now: None, zone: Zone::UTC };
                let mut out = BufWriter::new(Told(told));
                match framing {
                    Framing::Line => reader.delimited(input, Delimiter::Lf, &mut out),
                    Framing::Nul => reader.delimited(input, Delimiter::Nul, &mut out),
                    Framing::Octet => reader.counted(input, &mut out),
                }
            });
            sender.write_all(frame.as_bytes()).unwrap();
            let answer = answers.recv_timeout(std::time::Duration::from_secs(20)).expect("an answer while the input is open");
            assert!(answer.ends_with(b"}\n"), "{framing:?}");
            drop(sender);
            running.join().unwrap().unwrap();
        }
    }

    #[test]
    fn an_overlong_frame_is_cut_and_says_so() {
        let (got, _) = convert(&vec![b'x'; MAX_FRAME_BYTES + 7], Framing::Line, None);
        assert_eq!(got[0]["message"].as_str().unwrap().len(), MAX_FRAME_BYTES);
        assert!(got[0]["error"].as_str().unwrap().ends_with("7 more were there"), "{}", got[0]["error"]);
    }

    #[test]
    fn a_format_by_name() {
        let (got, _) = convert(b"Invalid user mike from 192.0.2.7\n", Framing::Line, Some("sshd"));
        assert_eq!((&got[0]["format"], &got[0]["username"]), (&"sshd".into(), &"mike".into()));
        assert!(Named::find("sshhd", &[]).unwrap_err().contains("\"sshd\""));
    }
}
