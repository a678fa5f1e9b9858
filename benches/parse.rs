//! Lines per second that one core parses: `cargo bench --bench parse`. Criterion's `elem/s` are lines.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tocsin::parse::{self, Context, Format};
use tocsin::record::{Timestamp, Zone};

/// What OpenSSH says on a machine that is being guessed at.
const SSHD: &[&str] = &[
    "Nov 20 06:25:01 web1 sshd[30711]: Invalid user admin from 203.0.113.77 port 51522",
    "Nov 20 06:25:01 web1 sshd[30711]: Failed password for invalid user admin from 203.0.113.77 port 51522 ssh2",
    "Nov 20 06:25:02 web1 sshd[30711]: Received disconnect from 203.0.113.77 port 51522:11: Bye Bye [preauth]",
    "Nov 20 06:25:02 web1 sshd[30711]: Disconnected from invalid user admin 203.0.113.77 port 51522 [preauth]",
    "Nov 20 06:25:09 web1 sshd[30715]: Failed password for root from 2001:db8:7::9a port 40112 ssh2",
    "Nov 20 06:25:14 web1 sshd[30715]: Connection closed by authenticating user root 2001:db8:7::9a port 40112 [preauth]",
    "Nov 20 06:26:00 web1 sshd-session[30801]: Accepted publickey for mia from 198.51.100.23 port 50022 ssh2: ED25519 SHA256:hUq1Yt2r8o0S3bY7pB1lq9Jr4a5cVfZ0w6kXn2mEo1s",
];

/// The rest of a mail and shell server's log.
const SERVER: &[&str] = &[
    "Nov 20 06:25:01 web1 sshd[30711]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.77 ",
    "Nov 20 06:26:00 web1 sshd[30801]: pam_unix(sshd:session): session opened for user mia(uid=1000) by mia(uid=0)",
    "Nov 20 06:26:00 web1 systemd-logind[811]: New session 4711 of user mia.",
    "Nov 20 06:26:31 web1 sudo:      mia : TTY=pts/0 ; PWD=/home/mia ; USER=root ; COMMAND=/usr/bin/apt-get update",
    "Nov 20 06:26:31 web1 sudo: pam_unix(sudo:session): session opened for user root(uid=0) by mia(uid=1000)",
    "Nov 20 06:30:01 web1 CRON[31001]: pam_unix(cron:session): session closed for user root",
    "Nov 20 06:30:01 web1 CRON[31002]: (root) CMD (test -x /usr/sbin/anacron || run-parts /etc/cron.daily)",
    "<22>Nov 20 06:31:12 mx1 postfix/smtpd[2144]: connect from unknown[203.0.113.5]",
    "<20>Nov 20 06:31:13 mx1 postfix/smtpd[2144]: warning: unknown[203.0.113.5]: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=info",
    "<22>Nov 20 06:31:14 mx1 postfix/smtpd[2144]: disconnect from unknown[203.0.113.5] ehlo=1 auth=0/1 quit=1 commands=2/3",
    "<22>Nov 20 06:31:20 mx1 dovecot: imap-login: Login: user=<mia@example.org>, method=PLAIN, rip=198.51.100.23, lip=192.0.2.10, mpid=4401, TLS, session=<Zb1kq2x9LtLGM2QX>",
    "<22>Nov 20 06:31:29 mx1 dovecot: imap-login: Disconnected (auth failed, 2 attempts in 11 secs): user=<info@example.org>, method=PLAIN, rip=203.0.113.5, lip=192.0.2.10, TLS, session=<Mq8xq2x9ZNrLAHEF>",
    "<30>1 2026-11-20T06:32:00.123456+01:00 app1.example.org gateway 4711 - - request finished in 12 ms",
    "<165>1 2026-11-20T06:32:00.223Z app2 audit 77 ID47 [meta sequenceId=\"29\" sysUpTime=\"37\"] configuration reloaded",
    "2026-11-20T06:32:01.000001+01:00 web1 kernel: [ 970.699396] usb 1-1: new high-speed USB device number 5 using xhci_hcd",
];

/// What firewalls, an IDS, web servers and JSON shippers send.
const DEVICES: &str = include_str!("lines/devices.txt");

/// What else many sites have: a line of each, so that more than forty formats are mixed.
const OTHERS: &[&str] = &[
    "auditd",
    "bind",
    "cef",
    "checkpoint",
    "cisco_ios",
    "crowdsec",
    "falco",
    "fortigate",
    "haproxy",
    "juniper_srx",
    "kubernetes_audit",
    "leef",
    "mongodb",
    "mysql_error",
    "openvpn",
    "panos",
    "postgresql",
    "proftpd",
    "routeros",
    "slapd",
    "snort_csv",
    "sonicwall",
    "sophos_firewall",
    "squid",
    "strongswan",
    "su",
    "vsftpd",
    "wazuh",
    "windows",
    "zeek",
];

fn throughput(c: &mut Criterion) {
    let devices: Vec<&str> = DEVICES.lines().collect();
    let formats = parse::formats();
    let other = |name: &&str| formats.iter().find(|format| format.name == *name).map(|format| format.samples[0]).expect(name);
    let mixed: Vec<&str> = SSHD.iter().chain(SERVER).chain(&devices).copied().chain(OTHERS.iter().map(other)).collect();
    let every: Vec<&str> = formats.iter().flat_map(|format| format.samples).copied().collect();
    for (name, lines) in [("sshd", SSHD), ("devices", &devices), ("mixed", &mixed), ("every format", &every)] {
        let mut group = c.benchmark_group("parse");
        group.throughput(Throughput::Elements(lines.len() as u64));
        group.bench_function(name, |b| b.iter(|| read(lines)));
        group.finish();
    }
    each(&formats);
}

fn read(lines: &[&str]) {
    static ZONE: LazyLock<Zone> = LazyLock::new(|| Zone::named("Europe/Paris").expect("the zone database has Paris"));
    let now = Timestamp::parse_rfc3339("2026-11-20T06:40:00Z").expect("a valid time");
    let context = Context { now, zone: &ZONE, own: &[] };
    for line in lines {
        let text = parse::text(black_box(line.as_bytes()));
        black_box(parse::parse(&text, &context));
    }
}

/// The lines of each format alone, the slowest first: a tenth of a second each.
fn each(formats: &[Format]) {
    let rate = |format: &Format| {
        let (began, mut lines) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_millis(100) {
            for _ in 0..100 {
                read(format.samples);
            }
            lines += 100 * format.samples.len();
        }
        lines as f64 / began.elapsed().as_secs_f64()
    };
    let mut rates: Vec<(f64, &str)> = formats.iter().map(|format| (rate(format), format.name)).collect();
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("{} formats, lines/s on one core, the slowest:", rates.len());
    for (rate, name) in rates.iter().take(12) {
        println!("{name:<28} {rate:>12.0}");
    }
}

criterion_group!(benches, throughput);
criterion_main!(benches);
