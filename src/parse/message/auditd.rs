//! The Linux audit system: `type=USER_LOGIN msg=audit(1795155901.123:42): pid=811 uid=0 … msg='op=login acct="mia" … res=failed'`, one event a line
//! or its records in several, apart by LF as files' lines are joined, from `audit.log`, `audispd`, the kernel's and the journal's own spelling.
//!
//! Sources: linux-audit documentation, "Audit event fields" and "Audit record types"; `audit-utils` for what is written in hexadecimal digits (values
//! that a user may choose and that hold blanks, quotes or control characters) and for the interpreted values behind the group separator.
//! Severity: failed logins, changes of accounts, denials and anomalies are medium, the rest is low.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds, Line};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Timestamp, ToldBy, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "auditd",
    product: "Linux audit",
    reference: "https://github.com/linux-audit/audit-documentation/wiki/SPEC-Writing-Good-Events",
    marks: &[App("auditd"), App("audit"), App("audispd"), Line(" msg=audit("), Holds(" msg=audit("), Holds(" audit(")],
    parse,
    samples: &[
        r#"type=USER_LOGIN msg=audit(1795155901.123:42): pid=811 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct="mia" exe="/usr/sbin/sshd" hostname=? addr=203.0.113.77 terminal=ssh res=failed'"#,
        r#"node=web1 type=SYSCALL msg=audit(1795155902.250:43): arch=c000003e syscall=59 success=yes exit=0 a0=1 items=2 ppid=811 pid=812 auid=1000 uid=0 tty=pts0 ses=3 comm="cat" exe="/usr/bin/cat" key="secrets""#,
        r#"<5>kernel: [  12.500000] audit: type=1400 audit(1795155903.000:44): apparmor="DENIED" operation="open" profile="web" name="/etc/shadow" pid=813 comm="nginx" requested_mask="r" denied_mask="r""#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, _context: &Context<'_>) -> bool {
    let is_journal = record.app.as_deref() == Some("audit");
    let Some((head, body)) = header(text).or_else(|| journal(text).filter(|_| is_journal)) else { return false };
    // Later lines of the same event speak for it only where the first does not.
    let mut rest = body;
    record.fields.reserve(24);
    record.event_time = head.time.or(record.event_time);
    record.host = head.node.map(Cow::Borrowed).or(record.host.take());
    record.set("auditd.log.record_type", head.kind);
    if let Some(serial) = head.serial {
        record.set("auditd.log.sequence", serial);
    }
    let mut found = Found::default();
    // Of which record what comes is.
    let mut kind = head.kind;
    while let Some((key, value)) = pair(&mut rest) {
        if key == "type" && rest.trim_start().starts_with("msg=audit(") {
            kind = kind_name(value.0);
            continue;
        }
        found.take(key, value, kind, record);
    }
    found.call(record);
    if record.app.as_deref().is_none_or(|app| matches!(app, "auditd" | "audit" | "audispd" | "audisp-syslog" | "kernel"))
        && let Some(app) = found.comm.or_else(|| found.exe.take().and_then(file_of))
    {
        record.app = Some(app);
    }
    record.username = found.account.or(found.user);
    meaning(head.kind, found.result, found.denied, record);
    true
}

/// What stands before the colon.
struct Header<'a> {
    node: Option<&'a str>,
    kind: &'a str,
    time: Option<Timestamp>,
    serial: Option<i64>,
}

/// `[node=web1 ]type=SYSCALL msg=audit(1795155901.123:42): `, `audit: type=1400 audit(…): `.
fn header(text: &str) -> Option<(Header<'_>, &str)> {
    let text = text.trim_start();
    let text = text.strip_prefix("audit: ").unwrap_or(text);
    let (node, text) = match text.strip_prefix("node=") {
        Some(named) => named.split_once(' ').map(|(node, rest)| (Some(node), rest))?,
        None => (None, text),
    };
    let (kind, rest) = text.strip_prefix("type=")?.split_once(' ')?;
    let rest = rest.strip_prefix("msg=").unwrap_or(rest).strip_prefix("audit(")?;
    let (stamp, rest) = rest.split_once(')')?;
    let (time, serial) = stamp.rsplit_once(':')?;
    let time = Some(scan::epoch(time.parse().ok()?)?);
    let is_kind = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'[' | b']'));
    is_kind.then_some(())?;
    let kind = kind_name(kind);
    Some((Header { node, kind, time, serial: Some(serial.parse().ok()?) }, rest.strip_prefix(':').unwrap_or(rest)))
}

/// `audit[811]: USER_LOGIN pid=811 …`: the journal has taken the time.
fn journal(text: &str) -> Option<(Header<'_>, &str)> {
    let (kind, rest) = text.split_once(' ')?;
    let is_kind = kind.len() > 2 && kind.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && rest.contains('=');
    is_kind.then_some((Header { node: None, kind, time: None, serial: None }, rest))
}

/// The kernel prints the numbers of the kinds that it makes itself.
fn kind_name(kind: &str) -> &str {
    match kind {
        "1100" => "USER_AUTH",
        "1101" => "USER_ACCT",
        "1105" => "USER_START",
        "1106" => "USER_END",
        "1112" => "USER_LOGIN",
        "1130" => "SERVICE_START",
        "1131" => "SERVICE_STOP",
        "1300" => "SYSCALL",
        "1305" => "CONFIG_CHANGE",
        "1325" => "NETFILTER_CFG",
        "1326" => "SECCOMP",
        "1327" => "PROCTITLE",
        "1400" => "AVC",
        "1403" => "MAC_POLICY_LOAD",
        "1404" => "MAC_STATUS",
        "1700" => "ANOM_PROMISCUOUS",
        "1701" => "ANOM_ABEND",
        _ => kind,
    }
}

/// A value, and whether it stood in quotes.
type Said<'a> = (&'a str, bool);

/// The next `key=value`. Words without a value are passed over, as are the quotes that a nested list stands in.
fn pair<'a>(rest: &mut &'a str) -> Option<(&'a str, Said<'a>)> {
    loop {
        let text = rest.trim_start_matches([' ', '\'', '\n', '\r', '\u{1d}', ',']);
        let end = text.find([' ', '=', '\n', '\u{1d}'])?;
        let (key, behind) = (text.get(..end)?, text.get(end..)?);
        let Some(value) = behind.strip_prefix('=') else {
            *rest = behind;
            continue;
        };
        if key == "msg" && value.starts_with(['\'', 'a']) {
            *rest = value;
            continue;
        }
        if let Some((inside, behind)) = value.strip_prefix('"').and_then(|inside| inside.split_once('"')) {
            *rest = behind;
            return Some((key, (inside, true)));
        }
        // What an operation is called may hold blanks: `op=adding group to /etc/group id=1004`.
        let end = if key == "op" { operation(value) } else { None };
        let end = end.or_else(|| value.find([' ', '\n', '\u{1d}'])).unwrap_or(value.len());
        *rest = value.get(end..)?;
        return Some((key, (value.get(..end)?.trim_end_matches(['\'', '\r']), false)));
    }
}

/// Where the first word with an equals sign begins, after the blank before it.
fn operation(value: &str) -> Option<usize> {
    let equals = value.find('=')?;
    value.get(..equals)?.rfind(' ')
}

#[derive(Default)]
struct Found<'a> {
    comm: Option<Cow<'a, str>>,
    exe: Option<Cow<'a, str>>,
    /// `acct`: whom it is about.
    account: Option<Cow<'a, str>>,
    /// Who did it, by name.
    user: Option<Cow<'a, str>>,
    result: Option<bool>,
    denied: bool,
    /// Architecture and number of the system call.
    arch: &'a str,
    syscall: &'a str,
    /// The other end of a socket.
    socket: Option<SocketAddr>,
    /// What a program was started with, behind a record of the call itself.
    arguments: Vec<Cow<'a, str>>,
}

impl<'a> Found<'a> {
    fn take(&mut self, key: &'a str, (value, quoted): Said<'a>, kind: &str, record: &mut LogRecord<'a>) {
        if matches!(value, "" | "?" | "(null)" | "(none)") && !matches!(key, "a0" | "a1") {
            return;
        }
        match key {
            // Behind the call's own, in numbers, come the words.
            _ if kind == "EXECVE" && !self.syscall.is_empty() => {
                if key.starts_with('a') && key != "argc" && self.arguments.len() < MAX_ARGUMENTS {
                    self.arguments.push(decoded(value, quoted));
                }
            }
            "saddr" if kind == "SOCKADDR" => match socket(value) {
                Some(end) => self.socket = Some(end),
                None => keep(record, "auditd.saddr", Cow::Borrowed(value)),
            },
            "arch" | "syscall" if kind == "SYSCALL" => {
                *(if key == "arch" { &mut self.arch } else { &mut self.syscall }) = value;
                keep(record, key, Cow::Borrowed(value));
            }
            "acct" => self.account = self.account.take().or_else(|| Some(decoded(value, quoted))),
            "user" => self.user = Some(decoded(value, quoted)),
            "UID" => {
                let name = decoded(value, quoted);
                if self.user.is_none() && name != "unset" && !name.starts_with("unknown(") {
                    self.user = Some(name);
                }
            }
            "AUID" if value != "unset" => record.set("user.audit.name", decoded(value, quoted)),
            "comm" if self.comm.is_none() => self.comm = Some(decoded(value, quoted)),
            "exe" if self.exe.is_none() => {
                let exe = decoded(value, quoted);
                record.set("process.executable", exe.clone());
                self.exe = Some(exe);
            }
            "pid" | "opid" if record.pid.is_none() => match value.parse() {
                Ok(pid) => record.pid = Some(pid),
                Err(_) => record.set(key, value),
            },
            "ppid" => number(record, "process.parent.pid", value),
            "ses" if value != "4294967295" => record.set("auditd.session", value),
            "res" | "success" => {
                self.result = match value {
                    "success" | "yes" | "1" => Some(true),
                    "failed" | "no" | "0" => Some(false),
                    _ => self.result,
                };
            }
            "apparmor" | "seresult" | "denied_mask" => {
                self.denied |= value == "DENIED";
                record.set(key, value);
            }
            "addr" | "hostname" | "src" if record.src_ip.is_none() && scan::ip(value).is_some() => {
                record.src_ip = scan::ip(value)
            }
            "laddr" | "dst" | "dest" if record.dst_ip.is_none() && scan::ip(value).is_some() => record.dst_ip = scan::ip(value),
            "rport" if value.parse::<u16>().is_ok() => record.src_port = value.parse().ok(),
            "lport" if value.parse::<u16>().is_ok() => record.dst_port = value.parse().ok(),
            "proctitle" | "cmd" => record.set("process.command_line", decoded(value, quoted)),
            "cwd" => record.set("process.working_directory", decoded(value, quoted)),
            "tty" | "terminal" => record.set("process.tty", decoded(value, quoted)),
            "name" => keep(record, "file.path", decoded(value, quoted)),
            "key" => record.set("rule.name", decoded(value, quoted)),
            "unit" if kind.starts_with("SERVICE") => record.set("service.name", value),
            "uid" if value != "4294967295" => record.set("user.id", value),
            "auid" | "loginuid" if value != "4294967295" => record.set("user.audit.id", value),
            "gid" => record.set("user.group.id", value),
            "data" => record.set("auditd.data", decoded(value, quoted)),
            "uid" | "auid" | "ses" => {}
            _ => {
                let is_argument = kind == "EXECVE" && key.starts_with('a');
                keep(record, key, if is_argument { decoded(value, quoted) } else { Cow::Borrowed(value) });
            }
        }
    }
}

impl<'a> Found<'a> {
    /// Files what a system call was about.
    fn call(&mut self, record: &mut LogRecord<'a>) {
        if !self.arguments.is_empty() {
            // A list of strings always has a JSON form.
            record.set("process.args", Value::Json(serde_json::to_string(&self.arguments).unwrap_or_default().into()));
        }
        let Some(end) = self.socket else { return };
        let ip = end.ip().to_canonical();
        match (self.arch, self.syscall) {
            // connect; accept, accept4: of x86-64, of what takes the generic table, of i386.
            ("c000003e", "42") | ("c00000b7" | "c00000f3", "203") | ("40000003", "362") if record.dst_ip.is_none() => {
                (record.dst_ip, record.dst_port) = (Some(ip), Some(end.port()));
            }
            ("c000003e", "43" | "288") | ("c00000b7" | "c00000f3", "202" | "242") | ("40000003", "364")
                if record.src_ip.is_none() =>
            {
                (record.src_ip, record.src_port) = (Some(ip), Some(end.port()));
            }
            _ => {
                record.set("auditd.socket.ip", ip.to_string());
                record.set("auditd.socket.port", i64::from(end.port()));
            }
        }
    }
}

/// The address in a `struct sockaddr_in` or `sockaddr_in6`, as its bytes in hexadecimal digits: family (in the order of the machine, which is
/// taken to be little-endian), port, for IPv6 the flow, address. See ip(7) and ipv6(7).
fn socket(digits: &str) -> Option<SocketAddr> {
    let bytes: Vec<u8> = (digits.len() <= 64 && digits.is_ascii()).then(|| {
        digits
            .as_bytes()
            .chunks_exact(2)
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok())
            .collect::<Option<_>>()
    })??;
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let ip = match bytes.get(..2)? {
        [2, 0] => IpAddr::from(<[u8; 4]>::try_from(bytes.get(4..8)?).ok()?),
        [10, 0] => IpAddr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Arguments of a program that are kept.
const MAX_ARGUMENTS: usize = 256;

/// Fields that a line may add: commands may have thousands of arguments.
const MAX_FIELDS: usize = 64;

fn keep<'a>(record: &mut LogRecord<'a>, name: &'a str, value: Cow<'a, str>) {
    if record.fields.len() < MAX_FIELDS && record.field(name).is_none() {
        record.set(name, value);
    }
}

fn number(record: &mut LogRecord<'_>, name: &'static str, value: &str) {
    if let Ok(number) = value.parse::<i64>() {
        record.set(name, number);
    }
}

/// The text of a value that was written in hexadecimal digits, arguments apart by NUL. What stood in quotes, or is no such text, is as it is.
fn decoded(value: &str, quoted: bool) -> Cow<'_, str> {
    let looks = !quoted
        && value.len() >= 4
        && value.len().is_multiple_of(2)
        && value.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'A'..=b'F'));
    if !looks {
        return Cow::Borrowed(value);
    }
    let digit = |b: u8| if b.is_ascii_digit() { b - b'0' } else { b - b'A' + 10 };
    let bytes = value.as_bytes().chunks_exact(2).map(|two| digit(two[0]) << 4 | digit(two[1]));
    let bytes: Vec<u8> = bytes.map(|b| if b == 0 { b' ' } else { b }).collect();
    // A word of digits that stands for control characters was a number.
    match String::from_utf8(bytes) {
        Ok(text) if text.bytes().any(|b| b.is_ascii_graphic()) => Cow::Owned(text),
        _ => Cow::Borrowed(value),
    }
}

/// The last part of a path.
fn file_of(path: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let name = match path {
        Cow::Borrowed(path) => Cow::Borrowed(path.rsplit('/').next()?),
        Cow::Owned(path) => Cow::Owned(path.rsplit('/').next()?.to_owned()),
    };
    (!name.is_empty()).then_some(name)
}

fn meaning(kind: &str, result: Option<bool>, denied: bool, record: &mut LogRecord<'_>) {
    use EventType::{AccessDenied, AccountChange, ConfigChange, IdsAlert, Other, PrivilegeUse, ServiceChange, System};
    let is_pam_account = matches!(record.field("op"), Some(crate::record::Value::Str(op)) if !op.starts_with("PAM:"));
    let went_well = result != Some(false);
    match kind {
        "USER_LOGIN" if went_well => succeeded(record, "auditd", "user_login"),
        // The attempt is USER_AUTH's to tell, which comes before; this says that no session came of it.
        "USER_LOGIN" => {
            is(record, "auditd", AccessDenied, Severity::Medium);
            record.action = Some(Cow::Borrowed("user_login"));
            record.set("event.outcome", "failure");
        }
        "USER_AUTH" if went_well => succeeded(record, "auditd", "user_auth"),
        "USER_AUTH" | "USER_ERR" => failed(record, "auditd", "user_auth", ToldBy::Pam),
        "USER_ACCT" if went_well && !is_pam_account => succeeded(record, "auditd", "user_acct"),
        "USER_ACCT" if !went_well && !is_pam_account => failed(record, "auditd", "user_acct", ToldBy::Pam),
        "LOGIN" if went_well => succeeded(record, "auditd", "login"),
        _ => {
            let (event_type, severity) = match kind {
                "USER_LOGOUT" => (EventType::Logout, Severity::Low),
                "USER_END" => (EventType::Logout, Severity::Low),
                "USER_CMD" | "USER_ROLE_CHANGE" | "ROLE_ASSIGN" | "ROLE_REMOVE" => (PrivilegeUse, Severity::Low),
                "ADD_USER" | "DEL_USER" | "ADD_GROUP" | "DEL_GROUP" | "USER_MGMT" | "GRP_MGMT" | "ACCT_LOCK" | "ACCT_UNLOCK"
                | "USER_CHAUTHTOK" | "GRP_CHAUTHTOK" | "CHUSER_ID" | "CHGRP_ID" | "USER_ACCT" => {
                    (AccountChange, Severity::Medium)
                }
                "AVC" | "USER_AVC" | "SECCOMP" | "APPARMOR_DENIED" if denied || is_denial(record) => {
                    (AccessDenied, Severity::Medium)
                }
                "APPARMOR_DENIED" | "SECCOMP" => (AccessDenied, Severity::Medium),
                "ANOM_ABEND" => (System, Severity::Low),
                _ if kind.starts_with("ANOM_") || kind.starts_with("RESP_") => (IdsAlert, Severity::Medium),
                "CONFIG_CHANGE" | "DAEMON_CONFIG" | "MAC_POLICY_LOAD" | "MAC_STATUS" | "MAC_CONFIG_CHANGE" => {
                    (ConfigChange, Severity::Medium)
                }
                "NETFILTER_CFG" => (ConfigChange, Severity::Low),
                "SERVICE_START" | "SERVICE_STOP" | "DAEMON_START" | "DAEMON_END" | "DAEMON_ABORT" => {
                    (ServiceChange, Severity::Low)
                }
                "SYSTEM_BOOT" | "SYSTEM_SHUTDOWN" | "SYSTEM_RUNLEVEL" | "KERNEL" => (System, Severity::Low),
                _ => (Other, Severity::Low),
            };
            is(record, "auditd", event_type, severity);
            record.action = Some(Cow::Owned(kind.to_ascii_lowercase()));
            if let Some(well) = result {
                record.set("event.outcome", if well { "success" } else { "failure" });
            }
        }
    }
}

/// SELinux: `avc:  denied  { read } for  pid=…`, whose words are no pairs.
fn is_denial(record: &LogRecord<'_>) -> bool {
    record.message.get(..300).map_or_else(|| scan::has(&record.message, " denied "), |head| scan::has(head, " denied "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Zone;

    fn read(text: &str) -> LogRecord<'_> {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let mut record = LogRecord::text(text);
        assert!(parse(text, &mut record, &context), "{text}");
        record
    }

    #[test]
    fn what_happened() {
        use EventType::*;
        for (rest, event_type, user) in [
            (r#"USER_LOGIN msg=audit(1.5:1): pid=1 msg='op=login acct="mia" res=success'"#, LoginSuccess, "mia"),
            (
                r#"USER_AUTH msg=audit(1.5:1): pid=1 msg='op=PAM:authentication acct=6D69612078 addr=192.0.2.1 res=failed'"#,
                LoginFailed,
                "mia x",
            ),
            (
                r#"ADD_USER msg=audit(1.5:1): pid=1 msg='op=add-user id=1000 exe="/usr/sbin/useradd" res=success'"#,
                AccountChange,
                "",
            ),
            ("AVC msg=audit(1.5:1): avc:  denied  { read } for  pid=2 comm=\"httpd\"", AccessDenied, ""),
            ("SERVICE_STOP msg=audit(1.5:1): pid=1 msg='unit=cron comm=\"systemd\" res=success'", ServiceChange, ""),
            ("SYSCALL msg=audit(1.5:1): syscall=59 success=no pid=3\u{1d}ARCH=x86_64 AUID=\"mia\" UID=\"root\"", Other, "root"),
        ] {
            let line = format!("type={rest}");
            let record = read(&line);
            assert_eq!((record.event_type, record.username.as_deref().unwrap_or("")), (event_type, user), "{line}");
        }
    }

    #[test]
    fn the_journal_has_the_time() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let text = "USER_AUTH pid=811 uid=0 auid=4294967295 msg='op=PAM:authentication acct=\"mia\" exe=\"/usr/sbin/sshd\" addr=203.0.113.77 res=failed'";
        let mut record = LogRecord::text(text);
        assert!(!parse(text, &mut record, &context));
        record.app = Some("audit".into());
        assert!(parse(text, &mut record, &context));
        assert_eq!(
            (record.event_type, record.username.as_deref(), record.app.as_deref()),
            (EventType::LoginFailed, Some("mia"), Some("sshd"))
        );
    }

    #[test]
    fn records_of_one_event() {
        let record = read(concat!(
            "type=SYSCALL msg=audit(1795155902.250:43): arch=c000003e syscall=59 success=yes exit=0 a0=55 a1=56 items=2 pid=812 uid=0 comm=\"cat\" exe=\"/usr/bin/cat\"\n",
            "type=EXECVE msg=audit(1795155902.250:43): argc=3 a0=\"cat\" a1=\"/etc/shadow\" a2=6120622E747874\n",
            "type=CWD msg=audit(1795155902.250:43): cwd=\"/root\"\n",
            "type=PATH msg=audit(1795155902.250:43): item=0 name=\"/usr/bin/cat\" inode=7 mode=0100755\n",
            "type=PROCTITLE msg=audit(1795155902.250:43): proctitle=636174002F6574632F736861646F77",
        ));
        assert_eq!((record.app.as_deref(), record.pid), (Some("cat"), Some(812)));
        assert_eq!(record.field("process.args"), Some(&Value::Json(r#"["cat","/etc/shadow","a b.txt"]"#.into())));
        assert_eq!(record.field("process.command_line"), Some(&"cat /etc/shadow".into()));
        assert_eq!(record.field("process.working_directory"), Some(&"/root".into()));
        assert_eq!((record.field("file.path"), record.field("a0")), (Some(&"/usr/bin/cat".into()), Some(&"55".into())));
        assert_eq!(record.field("auditd.log.record_type"), Some(&"SYSCALL".into()));
    }

    #[test]
    fn the_other_end_of_a_socket() {
        let call = |arch: &str, syscall: u32, saddr: &str| {
            format!(
                "type=SYSCALL msg=audit(1.5:1): arch={arch} syscall={syscall} success=yes comm=\"nc\"\ntype=SOCKADDR msg=audit(1.5:1): saddr={saddr}"
            )
        };
        let v6 = "0A0001BB0000000020010DB8000000000000000000000007 00000000".replace(' ', "");
        for (line, src, dst) in [
            (call("c000003e", 42, "02000050C00002010000000000000000"), None, Some("192.0.2.1:80")),
            (call("c00000b7", 242, &v6), Some("[2001:db8::7]:443"), None),
            (call("c000003e", 44, "02000050C0000201"), None, None),
            (call("c000003e", 42, "01002F72756E2F78"), None, None),
            (call("c000003e", 42, "0200005"), None, None),
            (call("c000003e", 42, "02é0"), None, None),
        ] {
            let record = read(&line);
            let end =
                |ip: Option<IpAddr>, port: Option<u16>| ip.map(|ip| SocketAddr::new(ip, port.unwrap_or_default()).to_string());
            assert_eq!(end(record.src_ip, record.src_port).as_deref(), src, "{line}");
            assert_eq!(end(record.dst_ip, record.dst_port).as_deref(), dst, "{line}");
        }
    }

    #[test]
    fn columns() {
        let record = read(DIALECT.samples[0]);
        assert_eq!(record.event_time, Some(Timestamp::from_micros(1_795_155_901_123_000)));
        assert_eq!((record.app.as_deref(), record.pid), (Some("sshd"), Some(811)));
        assert_eq!(record.src_ip, "203.0.113.77".parse().ok());
        let record = read(
            "type=ADD_GROUP msg=audit(1.5:1): pid=1 msg='op=adding group to /etc/group id=1004 exe=\"/usr/sbin/groupadd\" res=success'",
        );
        assert_eq!(record.field("op"), Some(&"adding group to /etc/group".into()));
        assert_eq!(record.field("id"), Some(&"1004".into()));
    }
}
