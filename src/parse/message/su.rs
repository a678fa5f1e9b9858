//! su, as util-linux, shadow-utils and the BSDs word it. The account is the one who asked; whom he became is `user.effective.name`.

use std::borrow::Cow;

use super::super::token::set_user;
use super::{failed, is};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::App;
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "su",
    product: "su of util-linux and shadow",
    reference: "https://man7.org/linux/man-pages/man1/su.1.html",
    marks: &[App("su"), App("su-l")],
    parse: |text, record, _| parse(text, record),
    samples: &["<37>Nov 20 06:25:01 web1 su[811]: FAILED SU (to root) mia on pts/0"],
};

const FORMAT: &str = "su";

/// Reads one message of su.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((success, actor, target)) =
        util_linux(message).or_else(|| shadow(message)).or_else(|| bsd(message)).or_else(|| system_v(message))
    else {
        return false;
    };
    if success {
        is(record, FORMAT, EventType::PrivilegeUse, Severity::Low);
        record.action = Some(Cow::Borrowed("su"));
    } else {
        failed(record, FORMAT, "su", ToldBy::Service);
    }
    set_user(record, actor);
    record.set("user.effective.name", target);
    true
}

/// `[FAILED SU ](to root) mike on pts/0`
fn util_linux(message: &str) -> Option<(bool, &str, &str)> {
    let (success, text) = match message.strip_prefix("FAILED SU ") {
        Some(text) => (false, text),
        None => (true, message),
    };
    let (target, rest) = text.strip_prefix("(to ")?.split_once(") ")?;
    let (actor, _) = rest.rsplit_once(" on ")?;
    Some((success, actor, target))
}

/// `Successful su for root by mike`, `FAILED su for root by mike`; `+ /dev/pts/1 mike:root`, `- pts/1 mike:root`
fn shadow(message: &str) -> Option<(bool, &str, &str)> {
    for (start, success) in [("Successful su for ", true), ("FAILED su for ", false)] {
        if let Some(rest) = message.strip_prefix(start) {
            let (target, actor) = rest.rsplit_once(" by ")?;
            return Some((success, actor, target));
        }
    }
    let success = match message.as_bytes() {
        [b'+', b' ', ..] => true,
        [b'-', b' ', ..] => false,
        _ => return None,
    };
    let (_, names) = message[2..].split_once(' ')?;
    let (actor, target) = names.split_once(':').or_else(|| names.split_once('-'))?;
    Some((success, actor, target))
}

/// `'su root' failed for mike on /dev/pts/8`, `'su root' succeeded for mike on /dev/pts/8`: System V's, and the example of RFC 3164 §5.4
fn system_v(message: &str) -> Option<(bool, &str, &str)> {
    let (target, rest) = message.strip_prefix("'su ")?.split_once("' ")?;
    let (success, rest) = match rest.strip_prefix("failed for ") {
        Some(rest) => (false, rest),
        None => (true, rest.strip_prefix("succeeded for ")?),
    };
    let actor = rest.rsplit_once(" on ").map_or(rest, |(actor, _)| actor);
    Some((success, actor, target))
}

/// `BAD SU mike to root on /dev/ttyp0`, `mike to root on /dev/ttyp0`
fn bsd(message: &str) -> Option<(bool, &str, &str)> {
    let (success, text) = match message.strip_prefix("BAD SU ") {
        Some(text) => (false, text),
        None => (true, message),
    };
    let (names, _) = text.rsplit_once(" on ")?;
    let (actor, target) = scan::cut(names, " to ")?;
    let single = |name: &str| !name.is_empty() && !name.contains(' ');
    (single(actor) && single(target)).then_some((success, actor, target))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::*;

    #[test]
    fn every_wording() {
        check(
            "su",
            "su",
            &[
                ("(to root) mia on pts/0", PrivilegeUse, "mia", "", None, 1),
                ("FAILED SU (to root) mia on pts/0", LoginFailed, "mia", "", Some(Service), 1),
                ("Successful su for root by mia", PrivilegeUse, "mia", "", None, 1),
                ("FAILED su for root by mia", LoginFailed, "mia", "", Some(Service), 1),
                ("+ /dev/pts/1 mia:root", PrivilegeUse, "mia", "", None, 1),
                ("- pts/1 mia:root", LoginFailed, "mia", "", Some(Service), 1),
                ("BAD SU mia to root on /dev/ttyp0", LoginFailed, "mia", "", Some(Service), 1),
                ("mia to root on /dev/ttyp0", PrivilegeUse, "mia", "", None, 1),
                ("'su root' failed for mia on /dev/pts/8", LoginFailed, "mia", "", Some(Service), 1),
                ("'su root' succeeded for mia on /dev/pts/8", PrivilegeUse, "mia", "", None, 1),
            ],
        );
        check("su", "pam", &[("pam_authenticate: Authentication failure", Other, "", "", None, 1)]);
    }
}
