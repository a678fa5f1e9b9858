//! A million lines as a small company's collector sees them: firewalls, servers, mail, web and an IDS, in one file. Addresses, ports,
//! accounts, process ids and times vary, so that indexes and detectors have real work; chance is a fixed sequence.

use std::io::Write;

pub struct Mixed {
    chance: u64,
    number: u64,
    /// Networks of 254 addresses from which passwords are guessed.
    attackers: u64,
}

const USERS: [&str; 12] =
    ["root", "admin", "amelie", "bjarne", "chiara", "dmitri", "edwin", "fatima", "giulia", "hannes", "oracle", "test"];
const HOSTS: [&str; 6] = ["srv1", "srv2", "web1", "mail1", "db1", "edge"];

impl Mixed {
    pub fn new(attackers: u64) -> Mixed {
        Mixed { chance: 20_261_120, number: 0, attackers }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % n
    }

    /// Writes the next line, with a newline. Two hundred lines make a second of event time.
    pub fn write_line(&mut self, out: &mut impl Write, start_secs: i64) -> std::io::Result<()> {
        let i = self.number;
        self.number += 1;
        let at = jiff::Timestamp::from_second(start_secs + (i / 200) as i64).expect("a time of this century");
        let head = at.strftime("%b %e %H:%M:%S");
        let (a, b, c) = (self.below(256), self.below(256), 1 + self.below(254));
        let (port, pid) = (1024 + self.below(60_000), 300 + self.below(30_000));
        let user = USERS[self.below(12) as usize];
        let host = HOSTS[self.below(6) as usize];
        let id = self.below(65_536);
        let guesser = a % self.attackers;
        match self.below(20) {
            0..=4 => writeln!(
                out,
                "{head} edge kernel: [{i}.123456] [UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC=203.{a}.{b}.{c} DST=192.0.2.10 LEN=44 TOS=0x00 PREC=0x00 TTL=241 ID={id} PROTO=TCP SPT={port} DPT=23 WINDOW=1024 RES=0x00 SYN URGP=0"
            ),
            5..=8 => writeln!(
                out,
                "{head} fw1 : %ASA-6-302013: Built inbound TCP connection {id} for outside:203.{a}.{b}.{c}/{port} (203.{a}.{b}.{c}/{port}) to dmz:192.0.2.20/443 (192.0.2.20/443)"
            ),
            9 | 10 => writeln!(
                out,
                "{head} fw2 filterlog[{pid}]: 5,,,1000000103,igb1,match,block,in,4,0x0,,64,{id},0,DF,6,tcp,60,198.{a}.{b}.{c},192.0.2.30,{port},22,0,S,3233342,,64240,,mss"
            ),
            11 => {
                writeln!(out, "{head} {host} sshd[{pid}]: Failed password for {user} from 198.51.{guesser}.{c} port {port} ssh2")
            }
            12 => writeln!(
                out,
                "{head} {host} sshd[{pid}]: Accepted publickey for {user} from 192.0.2.{c} port {port} ssh2: ED25519 SHA256:0k7cLsV0m1vV7q2i8oGv0J3sYb3k5m9n1p3r5t7v9x1"
            ),
            13 => writeln!(out, "{head} {host} sshd[{pid}]: Connection closed by 198.51.{guesser}.{c} port {port} [preauth]"),
            14 => writeln!(
                out,
                "{head} {host} sudo:   {user} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/systemctl restart app{b}"
            ),
            15 => writeln!(
                out,
                "{head} mail1 postfix/smtpd[{pid}]: disconnect from unknown[203.{a}.{b}.{c}] ehlo=1 auth=0/1 commands=1/2"
            ),
            16 => writeln!(
                out,
                "{head} mail1 dovecot: imap-login: Login: user=<{user}>, method=PLAIN, rip=192.0.2.{c}, lip=192.0.2.5, mpid={pid}, TLS, session=<{id:x}>"
            ),
            17 => {
                writeln!(out, "{head} {host} CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)")
            }
            18 => writeln!(
                out,
                "203.{a}.{b}.{c} - - [{}] \"GET /item/{id} HTTP/1.1\" 200 {port} \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\"",
                at.strftime("%d/%b/%Y:%H:%M:%S +0000")
            ),
            _ => writeln!(
                out,
                "{{\"timestamp\":\"{at}\",\"flow_id\":{id}788,\"in_iface\":\"eth0\",\"event_type\":\"alert\",\"src_ip\":\"203.{a}.{b}.{c}\",\"src_port\":{port},\"dest_ip\":\"192.0.2.10\",\"dest_port\":80,\"proto\":\"TCP\",\"alert\":{{\"action\":\"allowed\",\"gid\":1,\"signature_id\":20{id},\"rev\":1,\"signature\":\"ET SCAN Suspicious inbound {b}\",\"category\":\"Attempted Information Leak\",\"severity\":2}}}}"
            ),
        }
    }
}
