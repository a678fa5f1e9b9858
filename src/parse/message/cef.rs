//! ArcSight's Common Event Format: `CEF:0|vendor|product|version|id|name|severity|key=value key=a value with spaces`.
//!
//! Source: "ArcSight Common Event Format (CEF) Implementation Standard": in the header `\|` and `\\` are escaped, in values `\=`, `\\`, `\n` and
//! `\r`. A value ends where a space, a key and `=` follow. What happened follows from name, category, `act` and `outcome` (see `alert`).
//! Severity: the header's, 0–3 low, 4–6 medium, 7–8 high, 9–10 critical; connections and logins as everywhere.

use std::borrow::Cow;

use super::alert::{self, Told};
use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds};
use crate::parse::fill::{self, Slot};
use crate::parse::json::Scalar;
use crate::parse::{Context, scan};
use crate::record::{LogRecord, Severity, Timestamp, Value, civil_from_days, days_from_civil};

pub(super) const DIALECT: Dialect = Dialect {
    name: "cef",
    product: "Common Event Format (ArcSight and many others)",
    reference: "https://www.microfocus.com/documentation/arcsight/arcsight-smartconnectors-8.4/pdfdoc/cef-implementation-standard/cef-implementation-standard.pdf",
    marks: &[App("CEF"), Begins("CEF:"), Holds("CEF:0|"), Holds("CEF:1|"), Holds("CEF: 0|")],
    parse,
    samples: &[
        r"<134>Nov 20 06:25:01 gw1 CEF:0|Example|Firewall|1.0|100|Connection \| blocked|3|src=203.0.113.77 spt=48312 dst=192.0.2.4 dpt=23 proto=TCP act=Blocked rt=Nov 20 2026 06:25:01 cs1Label=Rule Name cs1=no telnet",
        "CEF:0|Example|Access|2.1|7|User login|6|rt=1795155901000 suser=CORP\\\\mia src=203.0.113.77 outcome=failure reason=bad password request=https://www.example.org/?a\\=b",
    ],
};

/// The seven parts before the extension.
struct Header<'a> {
    vendor: Cow<'a, str>,
    product: Cow<'a, str>,
    version: Cow<'a, str>,
    id: Cow<'a, str>,
    name: Cow<'a, str>,
    severity: &'a str,
    extension: &'a str,
}

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let is_tag = record.app.as_deref() == Some("CEF");
    let body = match scan::find(text, "CEF:") {
        Some(at) if at < 256 => &text[at + 4..],
        _ if is_tag => text,
        _ => return false,
    };
    let Some(header) = header(body.trim_start()) else { return false };
    if is_tag {
        record.app = None;
    }
    // What stands before it, where no envelope reader knew it, is a time and a host.
    let pairs: Vec<(&'a str, &'a str)> = Extension { rest: header.extension }.collect();
    fill_pairs(record, &pairs, context);
    let rated = alert::rated(header.severity);
    if header.vendor == "Citrix" {
        year(record, &pairs);
    }
    let (event_type, severity) = meaning(record, &pairs, &header, rated);
    for (name, value) in [
        ("observer.vendor", header.vendor),
        ("observer.product", header.product),
        ("observer.version", header.version),
        ("event.code", header.id),
        ("rule.name", header.name),
    ] {
        if !value.is_empty() && record.field(name).is_none() {
            record.set(name, value);
        }
    }
    if !header.severity.is_empty() {
        record.set("event.severity", header.severity);
    }
    is(record, "cef", event_type, severity);
    true
}

fn header(text: &str) -> Option<Header<'_>> {
    let mut rest = text;
    let mut next = || {
        let (part, behind) = until_pipe(rest)?;
        rest = behind;
        Some(part)
    };
    let version = next()?;
    if version.is_empty() || version.len() > 3 || !version.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let (vendor, product, device) = (next()?, next()?, next()?);
    let (id, name) = (next()?, next()?);
    // The last pipe is left out where nothing follows.
    let (severity, extension) = until_pipe(rest).unwrap_or((rest, ""));
    if severity.len() > 24 {
        return None;
    }
    Some(Header {
        vendor: unescape(vendor),
        product: unescape(product),
        version: unescape(device),
        id: unescape(id),
        name: unescape(name),
        severity: severity.trim(),
        extension,
    })
}

/// Up to a pipe that no backslash is before.
fn until_pipe(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'|', b'\\', bytes.get(from..)?)?;
        if bytes[at] == b'|' {
            return Some((&text[..at], &text[at + 1..]));
        }
        from = at + 2;
    }
}

/// Without the backslashes before `|`, `=` and `\`, and with real line ends.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(c @ ('|' | '=' | '\\')) => out.push(c),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    Cow::Owned(out)
}

/// Keys and their values, which may have spaces: one ends where the next key begins.
pub(super) struct Extension<'a> {
    pub rest: &'a str,
}

impl<'a> Iterator for Extension<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.trim_start();
        let equals = memchr::memchr(b'=', text.as_bytes())?;
        // What stands before the first key is none.
        let key = text[..equals].rsplit(' ').next().unwrap_or_default();
        let value = &text[equals + 1..];
        let end = next_key(value);
        self.rest = end.map_or("", |end| &value[end..]);
        Some((key, end.map_or(value, |end| &value[..end]).trim()))
    }
}

/// Where a key that is followed by `=` begins.
fn next_key(value: &str) -> Option<usize> {
    let bytes = value.as_bytes();
    let mut from = 0;
    for equals in memchr::memchr_iter(b'=', bytes) {
        if equals == 0 || bytes[equals - 1] == b'\\' {
            continue;
        }
        let space = memchr::memrchr(b' ', &bytes[from..equals]).map(|space| from + space);
        from = equals;
        if let Some(space) = space
            && space + 1 < equals
            && bytes[space + 1..equals].iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'[' | b']'))
        {
            return Some(space);
        }
    }
    None
}

/// Files all of them; what is called by a label is filed under that.
fn fill_pairs<'a>(record: &mut LogRecord<'a>, pairs: &[(&'a str, &'a str)], context: &Context<'_>) {
    record.fields.reserve(pairs.len());
    let find = |key: &str| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value).filter(|value| !value.is_empty());
    for &(key, value) in pairs {
        if key.ends_with("Label") || (is_none(value) && !key.is_empty()) {
            continue;
        }
        let label = is_custom(key).then(|| pairs.iter().find(|(name, _)| name.strip_suffix("Label") == Some(key))).flatten();
        let label = label.map(|(_, label)| *label).filter(|label| !label.is_empty());
        let slot = match label {
            Some("Source IPv6 Address" | "Source IPv6") => Some(Slot::SrcIp),
            Some("Destination IPv6 Address" | "Destination IPv6") => Some(Slot::DstIp),
            Some("Device IPv6 Address") => Some(Slot::Field("observer.ip")),
            Some("Rule Name" | "Policy Name" | "policy") => Some(Slot::Field("rule.name")),
            Some(label) if key.starts_with("deviceCustomDate") && label.eq_ignore_ascii_case("detectionDate") => {
                if find("rt").is_some() { None } else { Some(Slot::Time) }
            }
            Some(_) => None,
            None => slots(key),
        };
        let unset = slot == Some(Slot::Field("source.nat.ip")) || slot == Some(Slot::Field("destination.nat.ip"));
        if unset && value == "0.0.0.0" {
            continue;
        }
        fill::file(record, slot, Cow::Borrowed(label.unwrap_or(key)), Scalar::Text(unescape(value)), context);
    }
    if find("rt").is_none() {
        let time = ["start", "end", "deviceReceiptTime"].iter().find_map(|key| find(key));
        if let Some(time) = time.and_then(|time| fill::time(&Scalar::Text(Cow::Borrowed(time)), context)) {
            record.event_time = Some(time);
        }
    }
    if let Some(user) = find("suser")
        .or_else(|| find("sourceUserName"))
        .or_else(|| find("duser"))
        .or_else(|| find("destinationUserName"))
        .filter(|user| !is_none(user))
    {
        fill::account(record, unescape(user));
        if let Some(other) = find("duser").filter(|other| *other != user && !is_none(other)) {
            record.set("destination.user.name", unescape(other));
        }
    }
    if let Some(host) = find("dvchost").or_else(|| find("deviceHostName")).or_else(|| find("dvc")) {
        record.host = Some(unescape(host));
    }
}

/// Citrix puts the year, which the header of BSD syslog lacks, into `cs5`.
fn year(record: &mut LogRecord<'_>, pairs: &[(&str, &str)]) {
    const DAY: i64 = 86_400_000_000;
    let year = pairs.iter().find(|(key, _)| *key == "cs5").and_then(|(_, value)| value.parse::<i32>().ok());
    let Some((year, time)) = year.filter(|year| (2000..2100).contains(year)).zip(record.event_time) else { return };
    if pairs.iter().any(|(key, _)| *key == "rt") {
        return;
    }
    let (days, within) = (time.as_micros().div_euclid(DAY), time.as_micros().rem_euclid(DAY));
    let (_, month, day) = civil_from_days(days);
    record.event_time = Some(Timestamp::from_micros(days_from_civil(year, month, day) * DAY + within));
}

fn is_none(value: &str) -> bool {
    matches!(value, "None" | "none" | "(no user)" | "unknown" | "Unknown")
}

/// A key that means what its label says.
fn is_custom(key: &str) -> bool {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    stem.len() < key.len()
        && matches!(
            stem,
            "cs" | "cn" | "cfp" | "c6a" | "deviceCustomDate" | "flexString" | "flexNumber" | "flexDate" | "deviceCustomString"
        )
}

#[rustfmt::skip]
pub(super) fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, App, DstIp, DstPort, Field, Nothing, Number, Pid, Protocol, SrcIp, SrcPort, Time};
    Some(match name {
        "src" | "sourceAddress" => SrcIp, "spt" | "sourcePort" => SrcPort, "dst" | "destinationAddress" => DstIp, "dpt" | "destinationPort" => DstPort,
        "suser" | "duser" | "sourceUserName" | "destinationUserName" | "dvchost" => Nothing, "dvc" => Field("observer.ip"), "rt" => Time,
        "proto" | "transportProtocol" => Protocol, "act" | "deviceAction" => Action, "app" => Field("network.protocol"),
        "shost" => Field("source.domain"), "dhost" => Field("destination.domain"),
        "deviceProcessName" => App, "dvcpid" => Pid, "sproc" => Field("process.name"), "dproc" => Field("destination.process.name"),
        "outcome" => Field("event.outcome"), "reason" => Field("event.reason"), "cat" => Field("event.category.name"), "externalId" => Field("event.id"),
        "request" => Field("url.original"), "requestMethod" | "method" => Field("http.request.method"), "requestContext" => Field("http.request.referrer"),
        "requestClientApplication" => Field("user_agent.original"), "in" => Number("source.bytes"), "out" => Number("destination.bytes"),
        "fname" => Field("file.name"), "filePath" => Field("file.path"), "fsize" => Number("file.size"), "fileHash" => Field("file.hash"),
        "smac" => Field("source.mac"), "dmac" => Field("destination.mac"), "sntdom" => Field("source.user.domain"), "dntdom" => Field("destination.user.domain"),
        "suid" => Field("source.user.id"), "duid" => Field("destination.user.id"), "spriv" => Field("source.user.roles"), "dpriv" => Field("destination.user.roles"),
        "sourceTranslatedAddress" => Field("source.nat.ip"), "sourceTranslatedPort" => Number("source.nat.port"),
        "destinationTranslatedAddress" => Field("destination.nat.ip"), "destinationTranslatedPort" => Number("destination.nat.port"),
        "deviceInboundInterface" => Field("observer.ingress.interface.name"), "deviceOutboundInterface" => Field("observer.egress.interface.name"),
        "deviceExternalId" => Field("observer.serial_number"), "deviceMacAddress" | "dvcmac" => Field("observer.mac"),
        "deviceDirection" => Field("network.direction"), "spid" => Field("process.pid"), "destinationServiceName" => Field("service.name"),
        "sourceServiceName" => Field("source.service.name"), "start" => Field("event.start"), "end" => Field("event.end"),
        "destinationDnsDomain" => Field("dns.question.name"), "oldFileHash" => Field("file.old_hash"),
        _ => return None,
    })
}

fn meaning(
    record: &LogRecord<'_>,
    pairs: &[(&str, &str)],
    header: &Header<'_>,
    rated: Severity,
) -> (crate::record::EventType, Severity) {
    let find = |key: &str| pairs.iter().find(|(name, _)| *name == key).map_or("", |(_, value)| *value);
    let product = format!("{} {} {}", header.vendor, header.product, header.id);
    // A message of Windows within says more than the name of the rule.
    let told = Told {
        name: &header.name,
        category: find("cat"),
        action: find("act"),
        outcome: match record.field("event.outcome") {
            Some(Value::Str(outcome)) => outcome,
            _ => find("categoryOutcome"),
        },
        product: &product,
        has_peer: record.src_ip.is_some() || record.dst_ip.is_some() || record.dst_port.is_some(),
        has_url: record.field("url.original").is_some(),
    };
    alert::event(&told, rated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{EventType, Zone};

    fn read(text: &str) -> Option<LogRecord<'_>> {
        let mut record = LogRecord::text(text);
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        parse(text, &mut record, &context).then_some(record)
    }

    #[test]
    fn header_and_extension() {
        let record = read(r"CEF:0|Ex\|ample|Prod|1|id|Name \\ x|9|src=192.0.2.1 msg=a b\=c d=e cs1=v one cs1Label=My Label suser=mia dvc=192.0.2.9 request=http://a/?x=1&y=2 rt=1795155901000").unwrap();
        assert_eq!(record.field("observer.vendor"), Some(&"Ex|ample".into()));
        assert_eq!(record.field("rule.name"), Some(&"Name \\ x".into()));
        assert_eq!(record.field("msg"), Some(&"a b=c".into()));
        assert_eq!((record.field("d"), record.field("My Label")), (Some(&"e".into()), Some(&"v one".into())));
        assert_eq!(record.field("url.original"), Some(&"http://a/?x=1&y=2".into()));
        assert_eq!((record.username.as_deref(), record.host.as_deref()), (Some("mia"), Some("192.0.2.9")));
        assert_eq!((record.severity, record.event_time), (Severity::Critical, Some(Timestamp::from_secs(1_795_155_901))));
    }

    #[test]
    fn what_happened() {
        use EventType::*;
        for (rest, event_type) in [
            ("A|Firewall|1|1|https|Unknown|act=Accept src=192.0.2.1 dst=192.0.2.2", ConnectionAllowed),
            ("A|Firewall|1|1|https|3|act=Drop src=192.0.2.1 dst=192.0.2.2", ConnectionBlocked),
            ("A|Vault|1|7|Logon|5|outcome=failure suser=mia", LoginFailed),
            ("A|WAF|1|7|SQL injection|8|act=blocked src=192.0.2.1", IdsAlert),
            ("A|AV|1|7|Malware found|8|", MalwareDetected),
            ("A|B|1|7|Heartbeat|0", Other),
        ] {
            let line = format!("CEF:0|{rest}");
            assert_eq!(read(&line).unwrap().event_type, event_type, "{rest}");
        }
    }

    #[test]
    fn the_year_of_citrix() {
        let line = "<134>Jun 12 23:37:17 192.0.2.1 CEF:0|Citrix|NetScaler|NS11.0|APPFW|APPFW_STARTURL|6|src=203.0.113.77 spt=47606 act=blocked cs5=2015";
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let record = crate::parse::parse(line, &context);
        assert_eq!(record.event_time.map(|time| time.to_string()).as_deref(), Some("2015-06-12T23:37:17Z"));
        assert_eq!(record.event_type, EventType::IdsAlert);
    }

    #[test]
    fn other_text_is_left_alone() {
        for line in ["CEF:", "CEF:0|a|b", "CEF:x|a|b|c|d|e|5|", "text with CEF: in it"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
