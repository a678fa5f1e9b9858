//! The hour of logs that the demo tells: a small company's servers, firewalls and IDS, ordinary work, and some attacks.
//!
//! Addresses are of the documentation ranges (RFC 5737, RFC 3849), names are made up, chance is a fixed sequence.

use std::fmt::Write as _;

use crate::record::{Timestamp, civil_from_days};

/// What is sent through each door, in order of time.
#[derive(Debug, Default)]
pub struct Story {
    /// `auth.log` of a server, RFC 3164 without PRI.
    pub file: Vec<String>,
    /// A packet filter's lines, RFC 3164 with PRI.
    pub udp: Vec<String>,
    /// Mail and VPN gateways, RFC 5424.
    pub tcp: Vec<String>,
    /// Suricata's EVE events.
    pub webhook: Vec<String>,
}

impl Story {
    /// Lines in all.
    pub fn len(&self) -> usize {
        self.file.len() + self.udp.len() + self.tcp.len() + self.webhook.len()
    }
}

/// Numerical Recipes' linear congruential generator: enough for a story.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one_of<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len() as u64) as usize]
    }
}

const PEOPLE: &[&str] = &["amelie", "bjarne", "chiara", "dmitri", "edwin", "fatima", "giulia", "hannes"];
const GUESSES: &[&str] = &["admin", "oracle", "test", "ubuntu", "git", "postgres", "ftpuser", "deploy"];
const SIGNATURES: &[(&str, u32, &str)] = &[
    ("ET SCAN Nmap Scripting Engine User-Agent Detected", 2, "Web Application Attack"),
    ("ET POLICY GNU/Linux APT User-Agent Outbound", 3, "Not Suspicious Traffic"),
    ("ET DNS Query to a *.top domain - Likely Hostile", 2, "Potentially Bad Traffic"),
];

/// The hour that ends at `end`.
pub fn tell(end: Timestamp) -> Story {
    let mut story = Story::default();
    let mut chance = Chance(20_261_120);
    let start = end.plus_micros(-3_600_000_000);
    for second in 0..3600i64 {
        let now = start.plus_micros(second * 1_000_000 + 250_000);
        ordinary(&mut story, &mut chance, now, second);
        attacks(&mut story, now, second);
    }
    story
}

fn ordinary(story: &mut Story, chance: &mut Chance, now: Timestamp, second: i64) {
    let pid = 20_000 + second;
    if second % 300 == 7 {
        let (person, host) = (chance.one_of(PEOPLE), 10 + chance.below(200));
        let port = 40_000 + chance.below(20_000);
        let head = bsd(now);
        story.file.push(format!("{head} srv1 sshd[{pid}]: Accepted publickey for {person} from 192.0.2.{host} port {port} ssh2: ED25519 SHA256:0k7cLsV0m1vV7q2i8oGv0J3sYb3k5m9n1p3r5t7v9x1"));
        story.file.push(format!(
            "{head} srv1 sshd[{pid}]: pam_unix(sshd:session): session opened for user {person}(uid=1004) by (uid=0)"
        ));
        story.file.push(format!(
            "{head} srv1 sudo:   {person} : TTY=pts/0 ; PWD=/home/{person} ; USER=root ; COMMAND=/usr/bin/apt-get update"
        ));
    }
    if second % 60 == 0 {
        story.file.push(format!(
            "{} srv1 CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
            bsd(now)
        ));
    }
    for _ in 0..1 + chance.below(2) {
        let (from, to, port) = (chance.below(250), 10 + chance.below(20), [22, 23, 80, 443, 445, 3389][chance.below(6) as usize]);
        let verdict = if port == 443 || port == 80 { "ALLOW" } else { "BLOCK" };
        story.udp.push(format!(
            "<4>{} fw1 kernel: [{second:>5}.{:06}] [UFW {verdict}] IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC=203.0.113.{from} DST=192.0.2.{to} LEN=44 TOS=0x00 PREC=0x00 TTL=241 ID={} PROTO=TCP SPT={} DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0",
            bsd(now), chance.below(1_000_000), chance.below(65_536), 1024 + chance.below(60_000)
        ));
    }
    if second % 4 == 1 {
        let person = chance.one_of(PEOPLE);
        let host = 10 + chance.below(200);
        story.tcp.push(format!(
            "<22>1 {now} mail1 dovecot {pid} - - imap-login: Login: user=<{person}>, method=PLAIN, rip=192.0.2.{host}, lip=192.0.2.5, mpid={}, TLS, session=<{:x}>",
            pid + 1, chance.below(1 << 40)
        ));
    }
    if second % 9 == 3 {
        let (signature, severity, category) = SIGNATURES[chance.below(3) as usize];
        story.webhook.push(alert(now, &format!("198.51.100.{}", chance.below(250)), "192.0.2.10", signature, severity, category));
    }
}

fn attacks(story: &mut Story, now: Timestamp, second: i64) {
    let pid = 30_000 + second;
    // Somebody works through a list of passwords for root: 24 attempts within 12 minutes.
    if (600..1320).contains(&second) && second % 30 == 0 {
        let head = bsd(now);
        story.file.push(format!("{head} srv1 sshd[{pid}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.66  user=root"));
        story
            .file
            .push(format!("{head} srv1 sshd[{pid}]: Failed password for root from 203.0.113.66 port {} ssh2", 50_000 + second));
        story.file.push(format!(
            "{head} srv1 sshd[{pid}]: Connection closed by authenticating user root 203.0.113.66 port {} [preauth]",
            50_000 + second
        ));
    }
    // Somebody else tries names: 8 accounts within 4 minutes, over IPv6.
    if (1800..2040).contains(&second) && second % 30 == 0 {
        let name = GUESSES[((second - 1800) / 30) as usize % GUESSES.len()];
        let head = bsd(now);
        story.file.push(format!("{head} srv1 sshd[{pid}]: Invalid user {name} from 2001:db8:bad::17 port {}", 50_000 + second));
        story.file.push(format!(
            "{head} srv1 sshd[{pid}]: Failed password for invalid user {name} from 2001:db8:bad::17 port {} ssh2",
            50_000 + second
        ));
    }
    // Mail accounts, slowly: 6 attempts within 50 minutes. Too slow for the burst detector, not for the other.
    if second % 600 == 120 {
        story.tcp.push(format!(
            "<22>1 {now} mail1 dovecot {pid} - - imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<giulia>, method=PLAIN, rip=198.51.100.77, lip=192.0.2.5, TLS"
        ));
    }
    // And the IDS sees an exploit that works its way through the servers.
    if [2400, 2460, 2520, 2700].contains(&second) {
        story.webhook.push(alert(
            now,
            "203.0.113.99",
            "192.0.2.10",
            "ET EXPLOIT Apache log4j RCE Attempt (http ldap) (CVE-2021-44228)",
            1,
            "Attempted Administrator Privilege Gain",
        ));
    }
}

fn alert(now: Timestamp, from: &str, to: &str, signature: &str, severity: u32, category: &str) -> String {
    format!(
        "{{\"timestamp\":\"{now}\",\"flow_id\":1788,\"in_iface\":\"eth0\",\"event_type\":\"alert\",\"src_ip\":\"{from}\",\"src_port\":41234,\"dest_ip\":\"{to}\",\"dest_port\":80,\"proto\":\"TCP\",\
         \"alert\":{{\"action\":\"allowed\",\"gid\":1,\"signature_id\":2034647,\"rev\":1,\"signature\":\"{signature}\",\"category\":\"{category}\",\"severity\":{severity}}}}}"
    )
}

/// `Nov 20 10:00:00`, UTC.
fn bsd(at: Timestamp) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, month, day) = civil_from_days(at.day());
    let secs = at.as_micros().rem_euclid(86_400_000_000) / 1_000_000;
    let mut text = String::with_capacity(15);
    // Writing to a String cannot fail.
    let _ = write!(text, "{} {day:>2} {:02}:{:02}:{:02}", MONTHS[usize::from(month) - 1], secs / 3600, secs / 60 % 60, secs % 60);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{Context, parse};
    use crate::record::{EventType, Zone};

    #[test]
    fn every_line_of_the_story_is_understood() {
        let end = Timestamp::parse_rfc3339("2026-11-20T17:00:00Z").unwrap();
        let story = tell(end);
        assert!(story.len() > 5_000, "{}", story.len());
        let context = Context { now: end, zone: &Zone::UTC, own: &[] };
        for line in story.file.iter().chain(&story.udp).chain(&story.tcp).chain(&story.webhook) {
            let record = parse(line, &context);
            assert_ne!(record.format.message, "text", "{line}");
            let time = record.event_time.expect("every line has a time");
            assert!(time <= end && time >= end.plus_micros(-3_601_000_000), "{line}");
        }
        let failed = story.file.iter().filter(|l| parse(l, &context).event_type == EventType::LoginFailed).count();
        assert_eq!(failed, 24 * 3 + 8 * 2, "every line that tells of a failure, though each attempt counts once");
    }
}
