//! Messages: what happened. One file per product or family.
//!
//! Which parser reads a message follows from the app that wrote it, else from the message's first bytes; nothing else enters, so
//! [`told`] finds the same again in stored columns. A parser returns whether it understood the message; then it has set event type,
//! severity, `format.message` and what fields the message names. How bad things are, the same for all products: a failed login, a refusal
//! and a change of accounts are medium; the routine of every day is low, whatever the PRI says. High and critical are for
//! products that rate what they report.

pub(super) mod access;
mod account;
mod alert;
mod appliances;
mod asterisk;
mod audit_json;
mod auditd;
mod aws_alb;
mod barracuda;
mod cef;
mod checkpoint;
mod cisco_asa;
mod cisco_duo;
mod cisco_esa;
mod cisco_ios;
mod cisco_ise;
mod cisco_meraki;
mod cisco_secure_endpoint;
mod cisco_umbrella;
mod cyberark;
mod dhcpd;
mod dns;
mod dovecot;
mod dropbear;
mod edr;
mod elastic_stack;
mod error_log;
mod eset;
mod exim;
mod f5;
mod falco;
mod filterlog;
mod fireeye;
mod fortigate;
mod fortinet;
mod ftp;
mod guards;
mod haproxy;
mod identity;
mod ids_fast;
mod iis;
mod infoblox;
mod juniper;
mod keycloak;
mod laurel;
mod leef;
mod login;
mod logind;
mod mailboxes;
mod mcafee_epo;
mod microsoft_dhcp;
mod mikrotik;
mod modsecurity;
mod mongodb;
mod mssql;
mod mysql;
mod nats;
mod netfilter;
mod netscaler;
mod netscreen;
mod ocsf;
mod openvpn;
mod osquery;
mod pam;
mod panos;
mod pfsense;
mod polkit;
mod postfix;
mod postgresql;
mod probes;
mod proofpoint;
mod proxies;
mod pulse;
mod qnap;
mod santa;
mod selfhosted;
mod server_logs;
mod services;
mod snare;
mod snort;
mod sonicwall;
mod sophos;
mod squid;
mod sshd;
mod sso;
mod stormshield;
mod strongswan;
mod su;
mod sudo;
mod suricata;
mod symantec;
mod vsftpd;
mod vsphere;
mod watchguard;
mod wazuh;
mod webgui;
mod webmail;
mod windows;
mod wireguard;
mod zeek;
mod zeek_tsv;
mod zscaler;

use std::borrow::Cow;

use super::dialect::{Dialect, Mark, RECOGNISER};
use super::own::{self, Own, Part};
use super::token::{between, number};
use super::{Context, envelope};
use crate::record::{EventType, LogRecord, Severity, Timestamp, ToldBy, Zone};

/// Every dialect. Where two bear the same mark, the first is tried first.
pub(crate) static DIALECTS: &[Dialect] = &[
    access::DIALECT,
    account::DIALECT,
    appliances::BITWARDEN,
    appliances::COUCHDB,
    appliances::CPANEL,
    appliances::ENDLESSH,
    appliances::FREESWITCH,
    appliances::GIN,
    appliances::PROXMOX,
    appliances::SAMBA,
    appliances::SOFTETHER,
    appliances::SYMPA,
    appliances::THREE_PROXY,
    appliances::VAULTWARDEN,
    appliances::XRDP,
    asterisk::DIALECT,
    audit_json::CLOUDTRAIL,
    audit_json::GITHUB,
    audit_json::GOOGLE,
    audit_json::KUBERNETES,
    audit_json::MICROSOFT365,
    audit_json::VAULT,
    auditd::DIALECT,
    aws_alb::DIALECT,
    barracuda::CLOUDGEN,
    barracuda::WAF,
    cef::DIALECT,
    checkpoint::DIALECT,
    cisco_asa::DIALECT,
    cisco_duo::DIALECT,
    cisco_esa::DIALECT,
    cisco_ios::DIALECT,
    cisco_ise::DIALECT,
    cisco_meraki::DIALECT,
    cisco_secure_endpoint::DIALECT,
    cisco_umbrella::DIALECT,
    cyberark::DIALECT,
    dhcpd::DIALECT,
    dns::BIND,
    dns::COREDNS,
    dns::NSD,
    dovecot::DIALECT,
    dropbear::DIALECT,
    edr::CORTEX_XDR,
    edr::CROWDSTRIKE,
    edr::DEFENDER,
    edr::SENTINEL_ONE,
    edr::SOPHOS_CENTRAL,
    edr::VISION_ONE,
    elastic_stack::AUDIT,
    elastic_stack::DIALECT,
    error_log::APACHE,
    error_log::NGINX,
    eset::DIALECT,
    exim::DIALECT,
    f5::ASM,
    f5::MESSAGES,
    f5::TELEMETRY,
    falco::DIALECT,
    filterlog::DIALECT,
    fireeye::DIALECT,
    fortigate::DIALECT,
    fortinet::AUTHENTICATOR,
    fortinet::MAIL,
    fortinet::MANAGER,
    ftp::PROFTPD,
    ftp::PURE_FTPD,
    guards::ACTIVE_RESPONSE,
    guards::COWRIE,
    guards::CROWDSEC,
    guards::DANTE,
    guards::DIRECT_ADMIN,
    guards::DOAS,
    guards::DUO,
    guards::FAIL2BAN,
    guards::SUHOSIN,
    guards::WAZUH_API,
    guards::WEBMIN,
    guards::XINETD,
    haproxy::DIALECT,
    identity::ENTRA,
    identity::OKTA,
    ids_fast::DIALECT,
    iis::ACCESS,
    iis::ERROR,
    infoblox::DIALECT,
    infoblox::LEASE,
    envelope::json::DIALECT,
    juniper::DIALECT,
    keycloak::DIALECT,
    laurel::DIALECT,
    leef::DIALECT,
    login::DIALECT,
    logind::DIALECT,
    mailboxes::ASSP,
    mailboxes::COURIER,
    mailboxes::CYRUS,
    mailboxes::DOMINO,
    mailboxes::KERIO,
    mailboxes::ORACLE_IMS,
    mailboxes::PERDITION,
    mailboxes::QMAIL,
    mailboxes::SENDMAIL,
    mailboxes::SOLID_POP3D,
    mailboxes::UW_IMAP,
    mcafee_epo::DIALECT,
    microsoft_dhcp::DIALECT,
    mikrotik::DIALECT,
    modsecurity::DIALECT,
    mongodb::DIALECT,
    mssql::DIALECT,
    mysql::AUDIT,
    mysql::ERROR,
    mysql::SLOW,
    nats::DIALECT,
    netfilter::DIALECT,
    netscaler::CEF,
    netscaler::DIALECT,
    netscreen::DIALECT,
    ocsf::DIALECT,
    openvpn::DIALECT,
    osquery::DIALECT,
    pam::DIALECT,
    panos::DIALECT,
    pfsense::DIALECT,
    polkit::DIALECT,
    postfix::DIALECT,
    postgresql::DIALECT,
    probes::ADGUARD,
    probes::PORTSENTRY,
    probes::SCANLOGD,
    probes::SCREEN_SHARING,
    proofpoint::DIALECT,
    proxies::CADDY,
    proxies::ENVOY,
    pulse::DIALECT,
    qnap::DIALECT,
    santa::DIALECT,
    selfhosted::BASEROW,
    selfhosted::COUNTER_STRIKE,
    selfhosted::GUACAMOLE,
    selfhosted::HOME_ASSISTANT,
    selfhosted::MEALIE,
    selfhosted::MESHCENTRAL,
    selfhosted::MONIT,
    selfhosted::MONITORIX,
    selfhosted::MURMUR,
    selfhosted::NAVIDROME,
    selfhosted::TEAMSPEAK,
    selfhosted::WINGS,
    selfhosted::ZNC,
    server_logs::KLOG,
    server_logs::LIGHTTPD,
    server_logs::REDIS,
    server_logs::TOMCAT,
    services::DRUPAL,
    services::EJABBERD,
    services::FROXLOR,
    services::GITEA,
    services::GITLAB,
    services::JELLYFIN,
    services::LOGINWINDOW,
    services::NRPE,
    services::OPENHAB,
    services::OPENSCAP,
    services::OPENSMTPD,
    services::PHPMYADMIN,
    services::SLAPD,
    services::STUNNEL,
    services::SYNOLOGY,
    services::TINE,
    services::WU_FTPD,
    snare::DIALECT,
    snort::CSV,
    snort::FULL,
    snort::JSON,
    sonicwall::DIALECT,
    sophos::FIREWALL,
    sophos::UTM,
    squid::DIALECT,
    sshd::DIALECT,
    sso::AUTHELIA,
    sso::AUTHENTIK,
    sso::GITLAB_JSON,
    sso::GRAFANA,
    sso::NEXTCLOUD,
    stormshield::DIALECT,
    strongswan::DIALECT,
    su::DIALECT,
    sudo::DIALECT,
    suricata::DIALECT,
    symantec::DIALECT,
    vsftpd::DIALECT,
    vsphere::DIALECT,
    watchguard::DIALECT,
    wazuh::OSSEC,
    wazuh::WAZUH,
    webgui::DIALECT,
    webmail::GROUP_OFFICE,
    webmail::HORDE,
    webmail::OPEN_WEBMAIL,
    webmail::ROUNDCUBE,
    webmail::SOGO,
    webmail::SQUIRRELMAIL,
    windows::DIALECT,
    wireguard::DIALECT,
    zeek::DIALECT,
    zscaler::DIALECT,
];

/// What was tried on a line, in order, and whether it was right: the format's name and what it was tried for.
pub(crate) type Watch<'w> = &'w mut dyn FnMut(&'static str, Sign<'_>, bool);

/// Why a dialect was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign<'t> {
    /// Somebody said so.
    Named,
    /// The configuration describes it.
    Own,
    /// A program of that name wrote the message.
    App(&'t str),
    /// A mark stands in the text.
    Mark(&'static str),
}

/// Reads the record's message into the record.
pub(super) fn parse(record: &mut LogRecord<'_>, context: &Context<'_>) {
    read(record, None, context, &mut |_, _, _| ());
}

/// A format that was asked for by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named(&'static str);

impl Named {
    /// The format of that name, built in or of the configuration.
    ///
    /// # Errors
    /// There is none.
    pub fn find(name: &str, own: &[Own]) -> Result<Named, String> {
        let all = || own.iter().map(Own::name).chain(DIALECTS.iter().map(|dialect| dialect.name));
        if let Some(name) = all().find(|known| *known == name) {
            return Ok(Named(name));
        }
        let likeness = |known: &&str| strsim::jaro_winkler(known, name);
        let near = all().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default();
        Err(format!("no such format; did you mean {near:?}? \"tocsin formats\" lists all of them"))
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// The dialect of that name; `None` for a format of the configuration.
    pub(super) fn dialect(self) -> Option<&'static Dialect> {
        DIALECTS.iter().find(|dialect| dialect.name == self.0)
    }
}

/// What the detectors need of a stored record that has no column: [`LogRecord::told_by`] and [`LogRecord::count`].
pub fn told(app: Option<&str>, message: &str, own: &[Own]) -> (Option<ToldBy>, u32) {
    let mut record = LogRecord::text(message);
    record.app = app.map(Cow::Borrowed);
    // Neither depends on the time.
    parse(&mut record, &Context { now: Timestamp::from_secs(0), zone: &Zone::UTC, own });
    (record.told_by, record.count)
}

/// Some parser reads what this app writes.
pub(super) fn is_known_app(app: &str) -> bool {
    // What Cisco puts in a tag's place is the message's number: it belongs to the message.
    !app.starts_with('%') && RECOGNISER.is_known_app(app)
}

/// Reads the message: first as what it was said to be, then as the configuration describes, then as PAM's, then as its program writes,
/// then as its marks say.
pub(super) fn read(record: &mut LogRecord<'_>, named: Option<Named>, context: &Context<'_>, watch: Watch<'_>) {
    // Parsers borrow from the frame. A message that was rebuilt (there is none so far) stays text.
    let Cow::Borrowed(message) = record.message else { return };
    let (count, text) = repeated(message);
    let text = prelude(text);
    understand(text, record, named, context, watch);
    record.count = record.count.saturating_mul(count);
}

fn understand<'a>(
    text: &'a str,
    record: &mut LogRecord<'a>,
    named: Option<Named>,
    context: &Context<'_>,
    watch: Watch<'_>,
) -> bool {
    let tried = |dialect: &'static Dialect, sign: Sign<'_>, record: &mut LogRecord<'a>, watch: Watch<'_>| {
        let understood = (dialect.parse)(text, record, context);
        watch(dialect.name, sign, understood);
        understood
    };
    if let Some(dialect) = named.and_then(Named::dialect)
        && tried(dialect, Sign::Named, record, watch)
    {
        // So that what is stored is recognised again.
        let program = dialect.marks.iter().find_map(|mark| if let Mark::App(app) = mark { Some(*app) } else { None });
        record.app = record.app.take().or(program.map(Cow::Borrowed));
        return true;
    }
    if own::read(Part::Message, text, record, named, context, watch) {
        return true;
    }
    // A service's PAM lines are PAM's, whoever logged them.
    let app = record.app.clone().filter(|_| !pam::is_pam(text));
    if let Some(app) = &app
        && RECOGNISER.by_app(app).iter().any(|dialect| tried(dialect, Sign::App(app), record, watch))
    {
        return true;
    }
    RECOGNISER.of_message(text, &mut |dialect, mark| tried(dialect, Sign::Mark(mark), record, watch))
}

/// `message repeated 3 times: [ text]` (rsyslog) stands for three such messages; `last message repeated 3 times` (syslogd)
/// for three of whatever came before.
fn repeated(message: &str) -> (u32, &str) {
    let plain = (1, message);
    if !message.starts_with(['m', 'l', '-']) {
        return plain;
    }
    let text = message.strip_prefix("--- ").unwrap_or(message);
    let Some(rest) = text.strip_prefix("message repeated ").or_else(|| text.strip_prefix("last message repeated ")) else {
        return plain;
    };
    let Ok((rest, count)) = number(1, 6)(rest) else { return plain };
    let Some(rest) = rest.strip_prefix(" time") else { return plain };
    let inside = rest.strip_prefix("s: [").and_then(|text| text.strip_suffix(']'));
    (count.max(1), inside.map_or(message, str::trim_start))
}

/// The message without what stands before it in some systems: `[ID 800047 auth.notice] ` (Solaris), `kernel: `, `[  970.699396] `
/// (the kernel's clock).
fn prelude(message: &str) -> &str {
    let mut text = message;
    if text.starts_with("[ID ")
        && between(text, "[ID ", "] ").is_some_and(|id| id.bytes().all(|b| b.is_ascii_graphic() || b == b' '))
    {
        text = text.split_once("] ").map_or(text, |(_, rest)| rest);
    }
    text = text.strip_prefix("kernel:").map_or(text, str::trim_start);
    if let Some((clock, rest)) = text.strip_prefix('[').and_then(|inside| inside.split_once(']'))
        && clock.contains('.')
        && clock.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b' '))
    {
        text = rest.strip_prefix(':').unwrap_or(rest).trim_start();
    }
    text
}

/// Names what a parser understood.
fn is<'a>(record: &mut LogRecord<'a>, format: &'static str, event_type: EventType, severity: Severity) {
    record.format.message = format;
    record.event_type = event_type;
    record.severity = severity;
}

/// A failed login: medium, with its outcome, and which of several lines about the attempt this one is.
fn failed(record: &mut LogRecord<'_>, format: &'static str, action: &'static str, told_by: ToldBy) {
    is(record, format, EventType::LoginFailed, Severity::Medium);
    record.action = Some(Cow::Borrowed(action));
    record.told_by = Some(told_by);
    record.set("event.outcome", "failure");
}

/// A login: routine.
fn succeeded(record: &mut LogRecord<'_>, format: &'static str, action: &'static str) {
    is(record, format, EventType::LoginSuccess, Severity::Low);
    record.action = Some(Cow::Borrowed(action));
    record.set("event.outcome", "success");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{self, Context};
    use crate::record::{Timestamp, Zone};
    use proptest::prelude::*;

    fn context() -> Context<'static> {
        Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] }
    }

    /// Every format reads its own lines, though nobody named it, and says what it is and where that is written.
    #[test]
    fn each_format_recognises_its_samples() {
        let mut names = std::collections::HashSet::new();
        for dialect in DIALECTS {
            assert!(names.insert(dialect.name), "{} twice", dialect.name);
            assert!(!dialect.product.is_empty() && dialect.reference.starts_with("http"), "{}", dialect.name);
            assert!(!dialect.samples.is_empty(), "{} has no sample", dialect.name);
            for sample in dialect.samples {
                let (record, tried) = parse::explain(sample, &context(), None);
                assert_eq!(record.format.message, dialect.name, "{sample}\n{tried:#?}");
                assert!(record.error.is_none(), "{sample}: {:?}", record.error);
            }
        }
    }

    /// A message; its event type, account, remote end (`address`, `address:port` or a name), teller and count.
    pub(super) type Case<'a> = (&'a str, EventType, &'a str, &'a str, Option<ToldBy>, u32);

    /// Checks what a message of `app` means, and that stored columns tell the same again.
    pub(super) fn check(app: &str, format: &str, cases: &[Case<'_>]) {
        for (message, event_type, user, remote, told_by, count) in cases {
            let mut record = LogRecord::text(*message);
            record.app = (!app.is_empty()).then_some(Cow::Borrowed(app));
            parse(&mut record, &context());
            let at = match (record.src_ip, record.src_port, record.field("source.domain")) {
                (Some(ip), Some(port), _) => std::net::SocketAddr::new(ip, port).to_string(),
                (Some(ip), None, _) => ip.to_string(),
                (None, _, Some(crate::record::Value::Str(name))) => name.to_string(),
                _ => String::new(),
            };
            assert_eq!(
                (record.event_type, record.username.as_deref().unwrap_or(""), &*at, record.told_by, record.count),
                (*event_type, *user, *remote, *told_by, *count),
                "{message}"
            );
            assert_eq!(record.format.message, format, "{message}");
            assert_eq!(told(record.app.as_deref(), message, &[]), (*told_by, *count), "stored: {message}");
            let outcome = if *event_type == EventType::LoginFailed { Severity::Medium } else { record.severity };
            assert_eq!(record.severity, outcome, "{message}");
        }
    }

    #[test]
    fn repeated_messages_count() {
        use EventType::{LoginFailed, Other};
        let failed = "Failed password for root from 192.0.2.7 port 22 ssh2";
        check(
            "sshd",
            "sshd",
            &[
                (
                    &format!("message repeated 4 times: [ {failed}]"),
                    LoginFailed,
                    "root",
                    "192.0.2.7:22",
                    Some(ToldBy::Service),
                    4,
                ),
                (
                    &format!("message repeated 0 times: [ {failed}]"),
                    LoginFailed,
                    "root",
                    "192.0.2.7:22",
                    Some(ToldBy::Service),
                    1,
                ),
            ],
        );
        check(
            "sshd",
            "pam",
            &[(
                "message repeated 2 times: [ PAM 3 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7  user=root]",
                LoginFailed,
                "root",
                "192.0.2.7",
                Some(ToldBy::Pam),
                6,
            )],
        );
        check(
            "",
            "text",
            &[
                ("last message repeated 3 times", Other, "", "", None, 3),
                ("--- last message repeated 1 time ---", Other, "", "", None, 1),
                ("message repeated 12345678 times: [ x]", Other, "", "", None, 1),
                ("message repeated", Other, "", "", None, 1),
            ],
        );
    }

    #[test]
    fn what_stands_before_a_message() {
        use EventType::LoginFailed;
        let failed = "Failed password for root from 192.0.2.7 port 22 ssh2";
        for before in ["[ID 800047 auth.notice] ", "kernel: [  970.699397] ", "kernel:[12970.699398]: ", "[12.5] "] {
            check(
                "sshd",
                "sshd",
                &[(&format!("{before}{failed}"), LoginFailed, "root", "192.0.2.7:22", Some(ToldBy::Service), 1)],
            );
        }
    }

    #[test]
    fn the_app_decides_whose_message_it_is() {
        let failed = "Failed password for root from 192.0.2.7 port 22 ssh2";
        for (app, format) in [
            ("sshd", "sshd"),
            ("/usr/sbin/sshd", "sshd"),
            ("sshd-session", "sshd"),
            ("openvpn", "text"),
            ("postfix/submission/smtpd", "text"),
            ("sshd(pam_unix)", "text"),
        ] {
            let mut record = LogRecord::text(failed);
            record.app = Some(Cow::Borrowed(app));
            parse(&mut record, &context());
            assert_eq!(record.format.message, format, "{app}");
        }
    }

    /// Pieces that reach deep into the parsers.
    fn piece() -> impl Strategy<Value = String> {
        let known = [
            "<34>",
            "<34>1 ",
            "Jun  1 22:14:15 ",
            "2026-06-01T22:14:15Z ",
            "host ",
            "sshd[1]: ",
            "sudo: ",
            "su: ",
            "dovecot: ",
            "vsftpd: ",
            "dropbear[1]: ",
            "proftpd[1]: ",
            "pure-ftpd: ",
            "postfix/smtpd[1]: ",
            "login: ",
            "useradd: ",
            "systemd-logind[1]: ",
            "message repeated 2 times: [ ",
            "Failed password for ",
            "Accepted publickey for ",
            "invalid user ",
            " from ",
            "192.0.2.1",
            "::ffff:192.0.2.1",
            " port ",
            "22",
            " ssh2",
            ": RSA SHA256:x",
            " [preauth]",
            "Disconnecting ",
            "Connection closed by ",
            "authenticating user ",
            "Received disconnect from ",
            "pam_unix(sshd:auth): ",
            "authentication failure;",
            " rhost=",
            "  user=",
            "(pam_",
            "PAM ",
            "imap-login: ",
            "user=<",
            ">, method=",
            ", rip=",
            "auth failed, 2 attempts",
            "auth: sql(",
            ",<x>): ",
            "unknown[",
            "]: SASL LOGIN authentication failed: ",
            "NOQUEUE: reject: RCPT from ",
            "[pid 1] [",
            "/index.php: Web GUI authentication error for '",
            "] FAIL LOGIN: Client \"",
            "\"",
            "Exit before auth",
            "(user '",
            "', 3 fails)",
            "USER ",
            " (Login failed)",
            "(?@",
            ") [WARNING] ",
            "- - - ",
            "[a b=\"",
            "\"] ",
            "*",
            "%ASA-6-1: ",
            "[",
            "]",
            "(",
            ")",
            ":",
            " ",
            "é",
            "\u{2400}",
            "=",
            "\\",
            "'",
            " : TTY=",
            " ; COMMAND=",
            "Jan ",
            "29 ",
            "99",
            "{",
        ];
        prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,6}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_input_panics_and_stored_columns_tell_the_same(pieces in prop::collection::vec(piece(), 0..12)) {
            let text = pieces.concat();
            let zone = Zone::named("Europe/Paris").unwrap();
            let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &zone, own: &[] };
            let record = parse::parse(&text, &context);
            prop_assert!(text.contains(&*record.message));
            if !text.starts_with('{') {
                prop_assert_eq!(told(record.app.as_deref(), &record.message, &[]), (record.told_by, record.count));
            }
            for dialect in DIALECTS {
                parse::parse_as(&text, &context, Named(dialect.name));
                let mut record = LogRecord::text(&*text);
                let before = record.clone();
                prop_assert!((dialect.parse)(&text, &mut record, &context) || record == before, "{} is not of it, and changed the record", dialect.name);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let text = parse::text(&bytes);
            parse::parse(&text, &Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] });
        }
    }
}
