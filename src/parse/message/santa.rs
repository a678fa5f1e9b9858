//! Santa, which decides what may run on a Mac: `[time] I santad: action=EXEC|decision=ALLOW|…`.
//!
//! Source: Santa documentation, "Logs". What was kept from running is a refusal of medium severity; the rest is low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Line};
use crate::parse::fill::Slot;
use crate::parse::pairs::{self, Style};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "santa",
    product: "Santa (macOS)",
    reference: "https://santa.dev/concepts/logs.html",
    marks: &[App("santad"), Line("] I santad: action="), Line("] santad: action=")],
    parse,
    samples: &[
        "[2026-11-20T06:25:01.123Z] I santad: action=EXEC|decision=DENY|reason=CERT|sha256=c4bc|path=/tmp/tool|args=tool -x|pid=811|ppid=1|uid=501|user=mia|gid=20|group=staff|mode=L",
        "[2026-11-20T06:25:02.123Z] I santad: action=RENAME|path=/tmp/a|newpath=/tmp/b|pid=812|ppid=1|process=mv|processpath=/bin/mv|uid=501|user=mia|gid=20|group=staff",
    ],
};

const PIPED: Style = Style { equals: b'=', separator: b'|' };

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let (when, rest) = match text.strip_prefix('[').and_then(|rest| scan::cut(rest, "] ")) {
        Some((stamp, rest)) => match scan::iso_time(stamp, Some(context.zone)) {
            Some(when) => (Some(when), rest),
            None => return false,
        },
        None => (None, text),
    };
    let rest = scan::cut(rest, "santad: ").map_or(rest, |(_, rest)| rest);
    if !rest.starts_with("action=") {
        return false;
    }
    record.event_time = when.or(record.event_time);
    record.app = Some(Cow::Borrowed("santad"));
    record.fields.reserve(16);
    pairs::fill(rest, PIPED, record, slots, context);
    let denied = matches!(record.field("santa.decision"), Some(Value::Str(word)) if word == "DENY");
    let (event_type, severity) =
        if denied { (EventType::AccessDenied, Severity::Medium) } else { (EventType::System, Severity::Low) };
    is(record, "santa", event_type, severity);
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, App, Field, Number, Pid, User};
    Some(match name {
        "action" => Action, "decision" => Field("santa.decision"), "reason" => Field("event.reason"), "user" => User, "pid" => Pid,
        "process" => App, "processpath" => Field("process.executable"), "path" => Field("file.path"), "newpath" => Field("file.target_path"),
        "args" => Field("process.command_line"), "sha256" => Field("file.hash.sha256"), "ppid" => Number("process.parent.pid"),
        "uid" => Field("user.id"), "gid" => Field("user.group.id"), "group" => Field("user.group.name"),
        "cert_cn" => Field("file.code_signature.subject_name"), "machineid" => Field("host.id"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn columns() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let mut record = LogRecord::text("");
        assert!(parse(DIALECT.samples[0], &mut record, &context));
        assert_eq!(
            (record.event_type, record.username.as_deref(), record.pid),
            (EventType::AccessDenied, Some("mia"), Some(811))
        );
        assert_eq!((record.action.as_deref(), record.field("process.command_line")), (Some("exec"), Some(&"tool -x".into())));
        let mut record = LogRecord::text("");
        assert!(parse(DIALECT.samples[1], &mut record, &context));
        assert_eq!((record.app.as_deref(), record.event_time.is_some()), (Some("mv"), true));
    }
}
