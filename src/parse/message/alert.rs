//! What an event of a security product is, where its format leaves that to a name: CEF, LEEF, and alerts as JSON.
//!
//! Nothing here is a standard: the words are those that products use in their names, categories, actions and outcomes. A word decides only
//! where it cannot be meant otherwise; what stays open is `other`.

use crate::parse::scan;
use crate::record::{EventType, Severity};

/// What a product said of an event. All of it as the product wrote it.
#[derive(Default)]
pub(super) struct Told<'t> {
    /// The name of the event, its category, the words of its message.
    pub name: &'t str,
    pub category: &'t str,
    pub action: &'t str,
    pub outcome: &'t str,
    /// Vendor and product.
    pub product: &'t str,
    /// It names one end of a connection by its address.
    pub has_peer: bool,
    /// It names a request to a web server.
    pub has_url: bool,
}

const LOGIN: [&str; 8] = ["login", "logon", "log on", "log in", "authenticat", "sign-in", "signin", "logged in"];
const LOGOUT: [&str; 7] = ["logout", "logoff", "log off", "logged out", "logged off", "sign-out", "log out"];
const FAILED: [&str; 11] = [
    "fail",
    "denied",
    "invalid",
    "incorrect",
    "unsuccess",
    "reject",
    "bad password",
    "locked",
    "refused",
    "wrong",
    "not authorized",
];
const SUCCEEDED: [&str; 6] = ["succe", "accept", "allowed", "logged in", "permit", "logon"];
const MALWARE: [&str; 12] = [
    "malware",
    "virus",
    "trojan",
    "ransom",
    "eicar",
    "spyware",
    "worm",
    "rootkit",
    "malicious file",
    "infected",
    "botnet",
    "backdoor",
];
const ATTACK: [&str; 16] = [
    "attack",
    "intrusion",
    "exploit",
    "injection",
    "scan detect",
    "port scan",
    "portscan",
    "suspicious",
    "suspected",
    "violation",
    "cross-site",
    "brute",
    "spoof",
    "flood",
    "signature match",
    "signature_match",
];
const DETECTORS: [&str; 18] = [
    "ips",
    "ids",
    "waf",
    "imperva",
    "incapsula",
    "pta",
    "xdr",
    "edr",
    "securesphere",
    "appfw",
    "asm",
    "fireeye",
    "falcon",
    "sentinel",
    "defender",
    "siem",
    "darktrace",
    "mps",
];

/// The kind of an event, and how bad it is at the rating of its product.
pub(super) fn event(told: &Told<'_>, rated: Severity) -> (EventType, Severity) {
    use EventType::{
        AccessDenied, AccountChange, ConfigChange, ConnectionAllowed, ConnectionBlocked, HttpRequest, IdsAlert, LoginFailed,
        LoginSuccess, Logout, MalwareDetected, Other, ServiceChange,
    };
    let words = format!("{} {}", told.name, told.category).to_ascii_lowercase();
    let action = told.action.to_ascii_lowercase();
    let outcome = told.outcome.to_ascii_lowercase();
    let says = |list: &[&str]| scan::has_any(&words, list);
    let refused = is_refusal(&action);
    let failed = refused || scan::has_any(&outcome, &FAILED) || scan::has_any(&action, &FAILED);
    if says(&LOGOUT) {
        return (Logout, Severity::Low);
    }
    if says(&LOGIN) || scan::has_any(&action, &LOGIN) {
        if failed || says(&FAILED) {
            return (LoginFailed, rated.clamp(Severity::Medium, Severity::High));
        }
        if says(&["succe", "accept", "logged in"]) || scan::has_any(&outcome, &SUCCEEDED) || scan::has_any(&action, &SUCCEEDED) {
            return (LoginSuccess, Severity::Low);
        }
    }
    if says(&MALWARE) {
        return (MalwareDetected, rated.max(Severity::Medium));
    }
    let product = told.product.to_ascii_lowercase();
    let is_detector = product.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| DETECTORS.contains(&word));
    if says(&ATTACK) || (is_detector && (refused || rated > Severity::Low)) {
        return (IdsAlert, rated);
    }
    let allowed = is_permission(&action);
    match (told.has_url, told.has_peer) {
        (true, _) if refused => (AccessDenied, Severity::Low),
        (_, true) if refused => (ConnectionBlocked, Severity::Low),
        _ if refused => (AccessDenied, Severity::Medium),
        (true, _) if allowed => (HttpRequest, Severity::Low),
        (_, true) if allowed || words.starts_with("connection_") => (ConnectionAllowed, Severity::Low),
        _ if says(&[
            "user created",
            "user deleted",
            "add user",
            "delete user",
            "password change",
            "account created",
            "account deleted",
        ]) =>
        {
            (AccountChange, rated.max(Severity::Medium))
        }
        _ if says(&["configuration change", "config change", "policy change", "settings change", "configuration modified"]) => {
            (ConfigChange, rated.max(Severity::Medium))
        }
        _ if says(&["service start", "service stop", " started", " stopped", "restarted", "shutdown", "rebooted"]) => {
            (ServiceChange, Severity::Low)
        }
        _ => (Other, rated),
    }
}

/// The action of a product that let something not through, in lower case.
pub(super) fn is_refusal(action: &str) -> bool {
    const REFUSALS: [&str; 12] =
        ["block", "den", "drop", "reject", "reset", "prevent", "quarantin", "refus", "terminat", "discard", "forbid", "disallow"];
    !action.starts_with("not ")
        && !action.starts_with("un")
        && (REFUSALS.iter().any(|word| action.starts_with(word)) || action.contains("blocked"))
}

/// The action of a product that let something through, in lower case.
pub(super) fn is_permission(action: &str) -> bool {
    const PERMISSIONS: [&str; 9] = ["allow", "accept", "permit", "pass", "bypass", "encrypt", "decrypt", "forward", "req_passed"];
    PERMISSIONS.iter().any(|word| action.starts_with(word))
}

/// 0 to 10 as CEF and LEEF count, or a word.
pub(super) fn rated(text: &str) -> Severity {
    let text = text.trim();
    if let Ok(number) = text.parse::<f32>() {
        return match number {
            n if n >= 9.0 => Severity::Critical,
            n if n >= 7.0 => Severity::High,
            n if n >= 4.0 => Severity::Medium,
            _ => Severity::Low,
        };
    }
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["very-high", "very high", "critical", "severe", "fatal"]) {
        Severity::Critical
    } else if is(&["high", "major"]) {
        Severity::High
    } else if is(&["medium", "moderate", "minor", "warning"]) {
        Severity::Medium
    } else {
        Severity::Low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_decide() {
        use EventType::*;
        let told = |name, action, outcome| Told { name, action, outcome, has_peer: true, ..Told::default() };
        for (told, want) in [
            (told("User login failed", "", ""), LoginFailed),
            (told("Logon", "", "Failure"), LoginFailed),
            (told("Logon", "", "success"), LoginSuccess),
            (told("User logged out", "", ""), Logout),
            (told("Eicar_test_file", "Delete", ""), MalwareDetected),
            (told("SQL injection", "not blocked", ""), IdsAlert),
            (told("https", "Drop", ""), ConnectionBlocked),
            (told("https", "Accept", ""), ConnectionAllowed),
            (told("Heartbeat", "", ""), Other),
        ] {
            assert_eq!(event(&told, Severity::Low).0, want, "{} {} {}", told.name, told.action, told.outcome);
        }
        assert_eq!(
            (rated("10"), rated("Very-High"), rated("6"), rated("")),
            (Severity::Critical, Severity::Critical, Severity::Medium, Severity::Low)
        );
    }
}
