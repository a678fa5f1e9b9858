//! Microsoft DHCP Server's audit log: `10,11/20/26,06:25:01,Assign,192.0.2.40,pc1.example.org,00005E005301,,…` (and DHCPv6's, whose columns differ behind the
//! name).
//!
//! Source: Microsoft, "DHCP audit logging": the header that each file begins with. Who asked is the client (`client.*`). A refused lease and a dropped packet
//! are refusals and low, a server that stops is a change, the rest is routine.

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Holds, Line};
use crate::parse::{Context, scan};
use crate::record::{Civil, EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "microsoft_dhcp",
    product: "Microsoft DHCP Server",
    reference: "https://learn.microsoft.com/en-us/previous-versions/windows/it-pro/windows-server-2008-R2-and-2008/dd183591(v=ws.10)",
    marks: &[
        Line(",Assign,"),
        Line(",Renew,"),
        Line(",Release,"),
        Line(",NACK,"),
        Line(",DNS Update "),
        Line(",Started,"),
        Line(",Stopped,"),
        Line(",Paused,"),
        Line(",Expired,"),
        Line(",Deleted,"),
        Line(",BAD_ADDRESS"),
        Line(",Authoriz"),
        Line(",Authoris"),
        Line(",Packet dropped"),
        Line(",DHCPV6 "),
        Line(" DHCPV6 "),
        Line(",Database Cleanup"),
        Line(",Scope Full"),
        Line(",Conflict,"),
        Line(",Server found"),
        Line(",Network failure"),
        Holds(",Assign,"),
        Holds(",Renew,"),
        Holds(",Release,"),
        Holds(",DNS Update "),
    ],
    parse,
    samples: &[
        "10,11/20/26,06:25:01,Assign,192.0.2.40,pc1.example.org,00005E005301,,17739,0,,,,,,,,,0",
        "36,11/20/26,06:25:02,Packet dropped because of Client ID hash mismatch or standby server.,192.0.2.0,,00005E005302,,0,6,,,,,,,,,0",
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut cells = text.trim_end().split(',');
    let mut next = || cells.next().unwrap_or_default().trim();
    let (code, date, clock, description, address, name, mac) = (next(), next(), next(), next(), next(), next(), next());
    let Ok(number) = code.parse::<u32>() else { return false };
    let Some(civil) = civil(date, clock) else { return false };
    if description.is_empty() {
        return false;
    }
    record.event_time = Some(context.zone.instant(civil));
    record.set("event.code", code);
    let is_mac = mac.len() == 12 && mac.bytes().all(|b| b.is_ascii_hexdigit());
    let address = if scan::ip(address).is_some() { address } else { "" };
    for (field, value) in [("client.ip", address), ("client.domain", name), ("client.mac", if is_mac { mac } else { "" })] {
        if !value.is_empty() {
            record.set(field, value);
        }
    }
    record.action = Some(description.to_ascii_lowercase().into());
    let event_type = match number {
        0..=2 => EventType::ServiceChange,
        15 | 36 | 52 | 11_005 => EventType::AccessDenied,
        _ => EventType::System,
    };
    is(record, "microsoft_dhcp", event_type, Severity::Low);
    true
}

/// `11/20/26`, `06:25:01`.
fn civil(date: &str, clock: &str) -> Option<Civil> {
    let mut parts = date.split('/');
    let (month, day, year) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse::<i32>().ok()?);
    let (rest, (hour, minute, second, micros)) = scan::clock(clock).ok()?;
    let year = if year < 100 { 2000 + year } else { year };
    if parts.next().is_some() || !rest.is_empty() {
        return None;
    }
    Civil::new(year, month, day, hour, minute, second, micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn lines() {
        let context = Context { now: Timestamp::from_secs(0), zone: &Zone::UTC, own: &[] };
        let mut record = LogRecord::text("");
        assert!(parse(DIALECT.samples[0], &mut record, &context));
        assert_eq!(record.event_time.map(|t| t.to_string()).as_deref(), Some("2026-11-20T06:25:01Z"));
        assert_eq!(record.field("client.domain"), Some(&"pc1.example.org".into()));
        assert_eq!(record.event_type, EventType::System);
        let mut record = LogRecord::text("");
        assert!(parse(DIALECT.samples[1], &mut record, &context));
        assert_eq!(record.event_type, EventType::AccessDenied);
        assert!(!parse("10,11/20/26,x,Assign,,", &mut record, &context));
    }
}
