//! Lines that are one event: Linux's audit daemon writes an event of the kernel's as several records, a line each.
//!
//! `type=SYSCALL msg=audit(1795155902.250:43): …` and the `EXECVE`, `CWD`, `PATH` and `SOCKADDR` behind it carry the same time and serial number, and
//! only together do they say who ran what on which file. Records that stand one behind the other become one frame, its lines apart by LF. Where
//! records of two events are mixed, each piece is a frame of its own; no record is lost or repeated.
//!
//! Source: audit-userspace, `auparse`; the order of records is that of the kernel's `audit_log_exit`, which ends with `PROCTITLE`.

/// An event has no more records than this: a `rename` of files with many names has some ten.
const MAX_RECORDS: usize = 256;

/// Records that come alone: those of programs, `AUDIT_FIRST_USER_MSG` and on. Waiting for more of them would hold them up.
const ALONE: [&[u8]; 15] = [
    b"USER",
    b"CRED_",
    b"ACCT_",
    b"ADD_",
    b"DEL_",
    b"GRP_",
    b"SERVICE_",
    b"SYSTEM_",
    b"DAEMON_",
    b"CRYPTO_",
    b"VIRT_",
    b"ROLE_",
    b"CHGRP",
    b"CHUSER",
    b"LABEL_",
];

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was handed out, and nothing is held.
    HandedOut,
    /// It is held, and nothing before it is.
    Begun,
    /// It is held with what was held before.
    Added,
}

/// Puts the records of an event together. Holds at most one event, of at most the longest line's length.
#[derive(Debug)]
pub struct Joiner {
    max_bytes: usize,
    held: Vec<u8>,
    records: usize,
    /// What the records of the event that is held have in common: in `held`.
    stamp: std::ops::Range<usize>,
}

impl Joiner {
    /// A joiner whose frames have no more than `max_bytes`, but for single lines that have.
    pub fn new(max_bytes: usize) -> Joiner {
        Joiner { max_bytes, held: Vec::new(), records: 0, stamp: 0..0 }
    }

    /// Takes a line, of which so many bytes were cut off, and calls `each` with every frame that is complete with it.
    pub fn line(&mut self, line: &[u8], cut: u32, each: &mut impl FnMut(&[u8], u32)) -> Taken {
        let Some((stamp, kind)) = record(line).filter(|_| cut == 0) else {
            self.finish(each);
            each(line, cut);
            return Taken::HandedOut;
        };
        let fits = self.records < MAX_RECORDS && self.held.len() + line.len() < self.max_bytes;
        let is_more = !self.held.is_empty() && fits && self.held[self.stamp.clone()] == line[stamp.clone()];
        if !is_more {
            self.finish(each);
        }
        if self.held.is_empty() {
            if ALONE.iter().any(|alone| kind.starts_with(alone)) {
                each(line, cut);
                return Taken::HandedOut;
            }
            self.stamp = stamp;
        } else {
            self.held.push(b'\n');
        }
        self.held.extend_from_slice(line);
        self.records += 1;
        match (kind, is_more) {
            (b"PROCTITLE" | b"EOE", _) => {
                self.finish(each);
                Taken::HandedOut
            }
            (_, true) => Taken::Added,
            (_, false) => Taken::Begun,
        }
    }

    /// Hands out what is held, whether more would come or not.
    pub fn finish(&mut self, each: &mut impl FnMut(&[u8], u32)) {
        if self.records > 0 {
            each(&self.held, 0);
            self.held.clear();
            self.records = 0;
        }
    }

    /// Something is held.
    pub fn holds(&self) -> bool {
        self.records > 0
    }
}

/// Where a record says which event it is of (`audit(TIME:SERIAL)`), and of what kind it is; `None` for any other line.
fn record(line: &[u8]) -> Option<(std::ops::Range<usize>, &[u8])> {
    // Whatever the node is called, it has no blank.
    let start = match line.strip_prefix(b"node=") {
        Some(named) => line.len() - named.len() + memchr::memchr(b' ', named)? + 1,
        None => 0,
    };
    let rest = line[start..].strip_prefix(b"type=")?;
    let kind = &rest[..memchr::memchr(b' ', rest)?];
    let stamp = rest[kind.len()..].strip_prefix(b" msg=audit(")?;
    let len = memchr::memchr(b')', &stamp[..stamp.len().min(64)])?;
    let at = line.len() - stamp.len();
    Some((at..at + len, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(lines: &[&str], max_bytes: usize) -> (Vec<String>, Vec<Taken>) {
        let (mut joiner, mut out) = (Joiner::new(max_bytes), Vec::new());
        let mut each = |bytes: &[u8], _| out.push(String::from_utf8(bytes.to_vec()).unwrap());
        let taken = lines.iter().map(|line| joiner.line(line.as_bytes(), 0, &mut each)).collect();
        joiner.finish(&mut each);
        (out, taken)
    }

    fn of(kind: &str, serial: u32) -> String {
        format!("type={kind} msg=audit(1795155902.250:{serial}): a=1")
    }

    #[test]
    fn records_of_one_event_are_one_frame() {
        use Taken::{Added, Begun, HandedOut};
        let (call, path, title, login) = (of("SYSCALL", 1), of("PATH", 1), of("PROCTITLE", 1), of("USER_LOGIN", 2));
        let (next, mixed) = (of("SYSCALL", 3), of("PATH", 3));
        let lines = [&*call, &path, &title, &login, &next, "plain", &next, &path, &mixed];
        let (got, taken) = frames(&lines, 1 << 20);
        let whole = format!("{call}\n{path}\n{title}");
        assert_eq!(got, [&*whole, &login, &next, "plain", &next, &path, &mixed]);
        assert_eq!(taken, [Begun, Added, HandedOut, HandedOut, Begun, HandedOut, Begun, Begun, Begun]);
    }

    #[test]
    fn what_an_event_may_hold_is_bounded() {
        let path = of("PATH", 1);
        let (got, _) = frames(&[&*path; 3], path.len() * 2 + 2);
        assert_eq!(got, [format!("{path}\n{path}"), path.clone()]);
        let (got, _) = frames(&[&*path; MAX_RECORDS + 1], 1 << 20);
        assert_eq!(got.len(), 2);
    }

    #[test]
    fn other_lines_are_none() {
        for line in [
            "",
            "type=",
            "type=A",
            "type=A msg=audit(",
            "type=A msg=audit(1:2",
            "node=a",
            "node=a type=A",
            "xtype=A msg=audit(1:2):",
        ] {
            assert_eq!(record(line.as_bytes()), None, "{line}");
        }
        let (stamp, kind) = record(b"node=web1 type=CWD msg=audit(17.2:43): cwd=\"/\"").unwrap();
        assert_eq!((stamp, kind), (29..36, &b"CWD"[..]));
    }
}
