//! What pfSense and OPNsense say besides their packets: changes made in the web interface (its logins are [`webgui`]'s).

use super::webgui;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::App;
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "pfsense",
    product: "pfSense and OPNsense: changes in the web interface",
    reference: "https://docs.netgate.com/pfsense/en/latest/monitoring/logs/index.html",
    marks: &[App("php-fpm"), App("php"), App("audit")],
    parse: |text, record, _| parse(text, record),
    samples: &[
        "<134>Nov 20 06:25:01 fw php-fpm[811]: /system_usermanager.php: Configuration Change: admin@192.0.2.8 (Local Database): saved",
    ],
};

/// Reads a line of one of these programs, by the name that the envelope gave it.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    matches!(record.app.as_deref(), Some("php-fpm" | "php" | "audit"))
        && (webgui::parse(message, record) || configuration(message, record))
}

/// `/firewall_rules.php: Configuration Change: admin@192.0.2.1 (Local Database): Firewall: Rules - saved`.
fn configuration<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((_, change)) = scan::cut(message, "Configuration Change: ") else { return false };
    let (who, what) = scan::cut(change, ": ").unwrap_or((change, ""));
    if let Some((user, from)) = who.split_once('@') {
        record.username = Some(user.into());
        record.src_ip = from.split(' ').next().and_then(scan::ip);
    }
    record.set("event.reason", what);
    record.event_type = EventType::ConfigChange;
    record.severity = Severity::Low;
    record.format.message = "pfsense";
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines() {
        use EventType::*;
        #[rustfmt::skip]
        let table = [
            ("php-fpm", "/index.php: webConfigurator authentication error for user 'root' from: 198.51.100.4", LoginFailed, Some("root"), Some("198.51.100.4"), None),
            ("php-fpm", "/index.php: Successful login for user 'admin' from: 192.0.2.8 (Local Database)", LoginSuccess, Some("admin"), Some("192.0.2.8"), None),
            ("audit", "/index.php: Web GUI authentication error for 'eve' from 2001:db8::4", LoginFailed, Some("eve"), Some("2001:db8::4"), None),
            ("php-fpm", "/system_usermanager.php: Configuration Change: admin@192.0.2.8 (Local Database): saved", ConfigChange, Some("admin"), Some("192.0.2.8"), None),
        ];
        for (app, message, kind, user, src, port) in table {
            let mut record = LogRecord::text(message);
            record.app = Some(app.into());
            assert!(parse(message, &mut record), "{message}");
            assert_eq!(record.event_type, kind, "{message}");
            assert_eq!(record.username.as_deref(), user, "{message}");
            assert_eq!((record.src_ip, record.src_port), (src.and_then(|s| s.parse().ok()), port), "{message}");
        }
    }

    #[test]
    fn others_are_left_alone() {
        for (app, message) in [("php-fpm", "fpm is running"), ("cron", "x")] {
            let mut record = LogRecord::text(message);
            record.app = Some(app.into());
            let before = record.clone();
            assert!(!parse(message, &mut record), "{message}");
            assert_eq!(record, before);
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(app in "php-fpm|audit", text in "(user '|'| from: |DHCPACK |Connect from | to |via |\\(|\\)|[0-9.:]{1,18}|\\PC{1,3}|\\[AF_INET\\]|\\.php: ){0,20}") {
            let mut record = LogRecord::text(text.as_str());
            record.app = Some(app.into());
            parse(&text, &mut record);
        }
    }
}
