//! The web interfaces of pfSense and OPNsense (their auth.inc and authgui.inc), which log through PHP: `/index.php: Successful login for user
//! 'mike' from: 192.0.2.1 (Local Database)`.

use super::super::token::{rfind, set_remote, set_user};
use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Begins;
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "webgui",
    product: "pfSense and OPNsense web interface logins",
    reference: "https://docs.netgate.com/pfsense/en/latest/monitoring/logs/authentication.html",
    marks: &[Begins("/")],
    parse: |text, record, _| parse(text, record),
    samples: &[
        "<38>Nov 20 06:25:01 fw php-fpm[811]: /index.php: webConfigurator authentication error for user 'admin' from: 203.0.113.77",
    ],
};

const FORMAT: &str = "webgui";
const ACTION: &str = "web_login";

/// Reads one message of these interfaces.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((_, text)) = scan::cut(message, ".php: ").filter(|(page, _)| page.starts_with('/') && !page.contains(' ')) else {
        return false;
    };
    let events = [
        ("webConfigurator authentication error for user '", EventType::LoginFailed),
        ("webConfigurator authentication error for '", EventType::LoginFailed),
        ("Web GUI authentication error for '", EventType::LoginFailed),
        ("Successful login for user '", EventType::LoginSuccess),
        ("Session timed out for user '", EventType::Logout),
        ("User logged out for user '", EventType::Logout),
    ];
    let Some((rest, event_type)) =
        events.into_iter().find_map(|(start, event_type)| text.strip_prefix(start).map(|rest| (rest, event_type)))
    else {
        return false;
    };
    // The name is the visitor's, so the address is searched from the right.
    let Some(at) = rfind(rest, "' from") else { return false };
    let from = rest[at + "' from".len()..].trim_start_matches(':').trim_start();
    set_user(record, &rest[..at]);
    set_remote(record, from.split([' ', ',', '(']).next().unwrap_or(from));
    match event_type {
        EventType::LoginFailed => failed(record, FORMAT, ACTION, ToldBy::Service),
        EventType::LoginSuccess => succeeded(record, FORMAT, ACTION),
        event_type => is(record, FORMAT, event_type, Severity::Low),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::*;

    #[test]
    fn both_products() {
        check(
            "php-fpm",
            "webgui",
            &[
                (
                    "/index.php: webConfigurator authentication error for user 'mia' from: 192.0.2.7",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                (
                    "/index.php: webConfigurator authentication error for user 'a' from: 198.51.100.9' from: 192.0.2.7",
                    LoginFailed,
                    "a' from: 198.51.100.9",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                (
                    "/index.php: Web GUI authentication error for 'mia' from 2001:db8::7",
                    LoginFailed,
                    "mia",
                    "2001:db8::7",
                    Some(Service),
                    1,
                ),
                (
                    "/index.php: Successful login for user 'admin' from: 192.0.2.7 (Local Database)",
                    LoginSuccess,
                    "admin",
                    "192.0.2.7",
                    None,
                    1,
                ),
                (
                    "/index.php: User logged out for user 'admin' from: 192.0.2.7 (Local Database)",
                    Logout,
                    "admin",
                    "192.0.2.7",
                    None,
                    1,
                ),
            ],
        );
        check("php-fpm", "text", &[("/rc.newwanip: rc.newwanip: Info: starting on em0.", Other, "", "", None, 1)]);
    }
}
