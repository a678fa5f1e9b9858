//! Who logged in, left, or gave commands, in the sentences of the several services.

use std::borrow::Cow;

use super::{FORMAT, end};
use crate::parse::Context;
use crate::parse::fill;
use crate::parse::message::{failed, is, pam, sshd, succeeded, sudo};
use crate::parse::scan;
use crate::parse::token::{rfind, whole_number, word};
use crate::record::EventType::{AccountChange, ConfigChange, ConnectionAllowed, IdsAlert, LoginSuccess, Logout, Other};
use crate::record::Severity::{Low, Medium};
use crate::record::{LogRecord, ToldBy};

/// `Login failed [user: NAME] [Source: 198.51.100.9] [localport: 22] [Reason: …] at …`.
pub(super) fn login<'a>(mnemonic: &str, text: &'a str, record: &mut LogRecord<'a>) -> bool {
    // The name is the visitor's, so what follows it is searched from the right.
    let Some(at) = rfind(text, "] [Source: ") else { return false };
    let Some((_, user)) = text[..at].split_once("[user: ") else { return false };
    let rest = &text[at + "] [Source: ".len()..];
    fill::account(record, Cow::Borrowed(user.trim()));
    record.src_ip = rest.split(']').next().and_then(scan::ip);
    record.dst_port = scan::between(rest, "[localport: ", ']').and_then(|port| port.parse().ok());
    if let Some(reason) = scan::between(rest, "[Reason: ", ']') {
        record.set("event.reason", reason);
    }
    match mnemonic {
        "LOGIN_SUCCESS" => succeeded(record, FORMAT, "login"),
        "LOGIN_FAILED" => failed(record, FORMAT, "login", ToldBy::Service),
        "QUIET_MODE_ON" => is(record, FORMAT, IdsAlert, Medium),
        _ => return false,
    }
    true
}

/// `Configured from console by mia on vty0 (192.0.2.9)`, `… by vty0 (192.0.2.9)`, `… by mia on 192.0.2.9@pts/0`.
pub(super) fn configured<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((_, who)) = scan::cut(text, " by ").filter(|_| text.starts_with("Configured from ")) else { return false };
    let (user, place) = match rfind(who, " on ") {
        Some(at) => (&who[..at], &who[at + " on ".len()..]),
        None => (if who.starts_with("vty") || who.starts_with("console") || who.contains(' ') { "" } else { who }, who),
    };
    fill::account(record, Cow::Borrowed(user.trim()));
    record.src_ip = last_address(place).or_else(|| place.split('@').next().and_then(scan::ip));
    is(record, FORMAT, ConfigChange, Low);
    record.action = Some(Cow::Borrowed("configured"));
    true
}

/// The address in the last parentheses.
fn last_address(text: &str) -> Option<std::net::IpAddr> {
    let (_, rest) = text.rsplit_once('(')?;
    scan::ip(rest.split(')').next()?)
}

/// `User mia has exited tty session 1(192.0.2.9)`.
pub(super) fn exited<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((user, rest)) = text.strip_prefix("User ").and_then(|text| text.rsplit_once(" has exited tty session ")) else {
        return false;
    };
    fill::account(record, Cow::Borrowed(user));
    record.src_ip = last_address(rest);
    is(record, FORMAT, Logout, Low);
    true
}

/// `(exec timer expired, tty 1 (192.0.2.9)), user mia`.
pub(super) fn expired<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((place, user)) = scan::cut(text, "), user ") else { return false };
    record.src_ip = last_address(place);
    fill::account(record, Cow::Borrowed(user.trim()));
    is(record, FORMAT, Logout, Low);
    true
}

/// `SSH2 Session request from 192.0.2.9 (tty = 0) using … Succeeded`, `User 'mia' authentication for SSH2 Session from … Failed`,
/// `SSH2 Session from 192.0.2.9 (tty = 0) for user 'mia' using … closed`.
pub(super) fn ssh<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some(at) = rfind(text, " from ") else { return false };
    let (before, rest) = (&text[..at], &text[at + " from ".len()..]);
    let (address, after) = word(rest);
    record.src_ip = scan::ip(address);
    let worked = text.ends_with("Succeeded");
    if let Some(user) = before.strip_prefix("User '").and_then(|rest| rest.rsplit_once("' authentication for ")) {
        fill::account(record, Cow::Borrowed(user.0));
        if worked {
            succeeded(record, FORMAT, "ssh_login");
        } else {
            failed(record, FORMAT, "ssh_login", ToldBy::Service);
        }
        return true;
    }
    if let Some((user, _)) = scan::cut(after, "for user '").and_then(|(_, rest)| rest.rsplit_once("' using")) {
        fill::account(record, Cow::Borrowed(user));
    }
    let event_type = if text.ends_with("closed") {
        Logout
    } else if worked && scan::has(before, "Session request") {
        ConnectionAllowed
    } else {
        Other
    };
    is(record, FORMAT, event_type, Low);
    true
}

/// `User:mia  logged command:no shutdown`.
pub(super) fn command<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((user, command)) = text.strip_prefix("User:").and_then(|rest| scan::cut(rest, " logged command:")) else {
        return false;
    };
    if !user.trim().is_empty() && user.trim() != "unknown user" {
        fill::account(record, Cow::Borrowed(user.trim()));
    }
    record.set("process.command_line", command.trim());
    is(record, FORMAT, ConfigChange, Low);
    record.action = Some(Cow::Borrowed("logged command"));
    true
}

/// NX-OS: `update:192.0.2.9@pts/0:mia:configure terminal ; interface Ethernet1/1 (SUCCESS)`.
pub(super) fn accounting<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((kind, rest)) = text.split_once(':') else { return false };
    let event_type = match kind {
        "start" => LoginSuccess,
        "stop" => Logout,
        "update" => ConfigChange,
        _ => return false,
    };
    // An address of version 6 has colons of its own, but a terminal has none.
    let Some((place, rest)) = rest.split_once('@') else { return false };
    let mut parts = rest.splitn(3, ':');
    let (Some(_terminal), Some(user)) = (parts.next(), parts.next()) else { return false };
    record.src_ip = scan::ip(place);
    fill::account(record, Cow::Borrowed(user.trim()));
    if let Some(command) = parts.next().map(str::trim).filter(|command| !command.is_empty()) {
        record.set("process.command_line", command);
    }
    is(record, FORMAT, event_type, Low);
    record.action = Some(Cow::Borrowed(kind));
    true
}

/// NX-OS passes on what its Linux programs say: `text - program[pid]`.
pub(super) fn system_message<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.rsplit_once(" (message repeated ").map_or(text, |(text, _)| text);
    let Some((inside, program)) = text.rsplit_once(" - ") else { return false };
    let (app, pid) = program.split_once('[').map_or((program, None), |(app, pid)| (app, whole_number(pid.trim_end_matches(']'))));
    if app.is_empty() || app.contains(' ') {
        return false;
    }
    record.app = Some(Cow::Borrowed(app));
    record.pid = pid.or(record.pid);
    let inside = inside.trim();
    if said(inside, record) {
        return true;
    }
    let parser = match app {
        "sudo" => sudo::DIALECT.parse,
        _ if pam::is_pam(inside) => pam::DIALECT.parse,
        _ if app.ends_with("sshd") => sshd::DIALECT.parse,
        _ => return false,
    };
    parser(inside, record, context)
}

/// The sentences of NX-OS's own programs.
fn said<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    if let Some(rest) = text.strip_prefix("pam_aaa:Authentication failed ") {
        let rest = rest.strip_prefix("for user ").unwrap_or(rest);
        let (user, place) = rfind(rest, " from ").map_or((rest, ""), |at| (&rest[..at], &rest[at + " from ".len()..]));
        fill::account(record, Cow::Borrowed(user.trim_start_matches("from ").trim()));
        record.src_ip = scan::ip(word(place).0);
        return refused(record, "login");
    }
    let changed = ["New user added with username ", "deleting user: ", "User deleted: "];
    if let Some(name) = changed.iter().find_map(|start| text.strip_prefix(start)) {
        fill::account(record, Cow::Borrowed(word(name).0));
        is(record, FORMAT, AccountChange, Medium);
        return true;
    }
    // xinetd: `START: ssh pid=811 from=192.0.2.9`
    if let Some((_, from)) = text.strip_prefix("START: ").and_then(|rest| scan::cut(rest, " from=")) {
        record.src_ip = scan::ip(word(from).0);
        is(record, FORMAT, ConnectionAllowed, Low);
        return true;
    }
    false
}

pub(super) fn refused(record: &mut LogRecord<'_>, action: &'static str) -> bool {
    failed(record, FORMAT, action, ToldBy::Service);
    true
}

/// Logins of other services, each with sentences of its own: who stands before the name, what behind it, and how it ended.
pub(super) fn credentials<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    #[rustfmt::skip]
    const SENTENCES: [(&str, &str, bool); 10] = [
        ("Successfully authenticated user '", "' from '", true), ("Failed authentication attempt by user '", "' from '", false),
        ("Login Successful from host ", " by user '", true), ("Login Success from host ", " by user '", true),
        ("Login Un-Successful from host ", " by user '", false), ("Login failed from host ", " by user '", false),
        ("Authentication succeeded for admin user '", "'", true), ("Authentication failed for admin user '", "'", false),
        ("Login failed. User:", ". ", false), ("User '", "' authenticated successfully from ", true),
    ];
    if let Some(rest) = text.strip_prefix("Username entry (") {
        // A wireless controller's list of who is there.
        record.username =
            rest.rsplit_once(") with length (").map(|(name, _)| Cow::Borrowed(name)).filter(|name| !name.is_empty());
        record.event_type = Other;
        return true;
    }
    let Some((start, between, worked)) = SENTENCES.iter().find(|(start, ..)| scan::has(text, start)) else { return false };
    let Some((_, rest)) = text.split_once(start) else { return false };
    let Some((first, second)) = rest.rsplit_once(between) else { return false };
    let (user, address) = match start.ends_with(" host ") {
        true => (second.split('\'').next().unwrap_or_default(), first),
        false => (first, second.split([' ', '\'', ';']).find(|word| end(word).0.is_some()).unwrap_or_default()),
    };
    fill::account(record, Cow::Borrowed(user));
    (record.src_ip, record.src_port) = end(address);
    if *worked {
        succeeded(record, FORMAT, "login");
    } else {
        failed(record, FORMAT, "login", ToldBy::Service);
    }
    true
}
