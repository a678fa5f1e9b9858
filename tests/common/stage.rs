//! What a story is played on: a daemon or two, their database, and faults.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::story::{Chance, DETECT, Told};
use crate::support::{Daemon, Database, MISCOUNTED, PATIENCE, Server, findings, request, verify, wait_until};

/// Of the file system that holds a daemon's state, where it is made small. The journal's limit is a third of it.
const SMALL_BYTES: &str = "6m";

/// The least that `journal.max_bytes` may be, so that it is reached when the database is away.
pub const JOURNAL_BYTES: u64 = 2 << 20;

/// What came of a round.
#[derive(Debug, Default)]
pub struct Report {
    /// One line each, with times since the beginning of the story.
    pub incidents: Vec<String>,
    /// Lines that are stored.
    pub lines: usize,
    /// Lines that had to be stored and are not.
    pub lost: Vec<String>,
    /// Lines that are stored more than once.
    pub repeated: Vec<String>,
    /// What else is not as it should be.
    pub complaints: Vec<String>,
    /// Times that each thing happened.
    pub counts: BTreeMap<&'static str, usize>,
}

/// A daemon's directory, journal and configuration. There are two of them, for daemons that take over from each other.
struct Home {
    dir: PathBuf,
    /// A small file system is mounted on `state`.
    is_small: bool,
    used: bool,
}

pub struct Stage {
    pub database: Database,
    pub told: Arc<Told>,
    homes: [Home; 2],
    /// The home of the daemon of the moment.
    at: usize,
    daemon: Option<Daemon>,
    configuration: String,
    /// More variables of the daemons' environment.
    environment: Vec<(&'static str, OsString)>,
    /// Lines that a fault destroyed, by source and number.
    pub excused: HashSet<(String, usize)>,
    /// Bytes of journals that a fault destroyed: the journal's identity, from, to.
    pub damaged: Vec<(String, u64, u64)>,
    pub counts: BTreeMap<&'static str, usize>,
    /// The state is to be kept for people to look at.
    keep: bool,
}

/// Plays the story once, with `faults` happening while it is told. `manners`: in which ways the senders vary.
pub async fn play(
    server: &Arc<Server>,
    dir: &Path,
    manners: Option<&Chance>,
    faults: usize,
    fault: impl AsyncFnMut(&mut Stage, usize),
) -> Report {
    play_in(server, dir, Vec::new(), manners, faults, fault).await
}

/// The same with more variables of the daemons' environment.
pub async fn play_in(
    server: &Arc<Server>,
    dir: &Path,
    environment: Vec<(&'static str, OsString)>,
    manners: Option<&Chance>,
    faults: usize,
    mut fault: impl AsyncFnMut(&mut Stage, usize),
) -> Report {
    let mut stage = Stage::open(server, dir, environment).await;
    let mut senders = stage.told.tell(dir, &stage.database, manners);
    for n in 0..faults {
        stage.told.allow(1_000 * (n + 1) / (faults + 1));
        fault(&mut stage, n).await;
        assert!(!stage.daemon().has_ended(), "the daemon ended by itself: {:#?}", stage.daemon().log().last());
    }
    stage.told.allow(1_000);
    while let Some(sender) = senders.join_next().await {
        sender.unwrap();
    }
    stage.end().await
}

impl Stage {
    async fn open(server: &Arc<Server>, dir: &Path, environment: Vec<(&'static str, OsString)>) -> Stage {
        let database = Database::on(Arc::clone(server)).await;
        for name in ["logs", "linked", "a", "b"] {
            std::fs::create_dir_all(dir.join(name)).unwrap();
        }
        let home = |name| Home::new(dir.join(name));
        let configuration = format!(
            "[database]\nurl = {:?}\n[journal]\nmax_bytes = \"{} KiB\"\nsegment_bytes = \"1 MiB\"\n\
             [[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\ntimezone = \"UTC\"\nmax_frame_bytes = \"16 KiB\"\n\
             [[webhook]]\nname = \"ids\"\nunauthenticated = true\n\
             [[files]]\nname = \"auth\"\npaths = [\"{dir}/logs/auth.log*\"]\npoll_interval = \"20 ms\"\ntimezone = \"UTC\"\n\
             [[files]]\nname = \"linked\"\npaths = [\"{dir}/linked/*.log\"]\npoll_interval = \"20 ms\"\ntimezone = \"UTC\"\n{DETECT}",
            database.url(),
            JOURNAL_BYTES >> 10,
            dir = dir.display(),
        );
        let mut stage = Stage {
            database,
            told: Arc::new(Told::new()),
            homes: [home("a"), home("b")],
            at: 0,
            daemon: None,
            configuration,
            environment,
            excused: HashSet::new(),
            damaged: Vec::new(),
            counts: BTreeMap::new(),
            keep: false,
        };
        stage.start().await;
        stage
    }

    /// Counts something that happened.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("a daemon runs")
    }

    /// The directory of the journal of the daemon of the moment.
    pub fn journal(&self) -> PathBuf {
        self.homes[self.at].dir.join("state/journal")
    }

    /// The state directory of the daemon of the moment, where it is small.
    pub fn small_state(&self) -> Option<PathBuf> {
        let home = &self.homes[self.at];
        home.is_small.then(|| home.dir.join("state"))
    }

    /// Starts the daemon and tells the senders where it is.
    pub async fn start(&mut self) {
        self.homes[self.at].used = true;
        let daemon = self.open_daemon().await;
        self.welcome(daemon);
    }

    async fn open_daemon(&self) -> Daemon {
        let http = "max_body_bytes = \"64 KiB\"\n";
        Daemon::start_in(&self.homes[self.at].dir, &self.configuration, http, &self.environment).await
    }

    fn welcome(&mut self, daemon: Daemon) {
        *self.told.addresses.lock().unwrap() = Some((daemon.tcp(), daemon.http()));
        self.daemon = Some(daemon);
    }

    fn farewell(&mut self) -> Daemon {
        *self.told.addresses.lock().unwrap() = None;
        self.daemon.take().expect("a daemon runs")
    }

    /// Waits until the daemon stores.
    pub async fn ready(&self) {
        wait_until("it stores", async || {
            assert!(!self.daemon().has_ended(), "the daemon ended by itself: {:#?}", self.daemon().log());
            let answer = request(self.daemon().http(), "GET", "/health/ready", &[], b"").await;
            answer.is_ok_and(|answer| answer.code == 200)
        })
        .await;
    }

    /// SIGKILL; nobody starts it again.
    pub fn kill(&mut self) {
        self.count("kills");
        self.farewell().kill();
    }

    /// Kills a daemon that has not got far with its start.
    pub async fn kill_at_start(&mut self, after: Duration) {
        self.count("kills");
        let daemon = Daemon::spawn(&self.homes[self.at].dir, &self.configuration);
        tokio::time::sleep(after).await;
        daemon.kill();
    }

    /// SIGTERM; nobody starts it again.
    pub async fn terminate(&mut self) {
        self.count("ends");
        let (code, _) = self.farewell().stop().await;
        assert_eq!(code, Some(0), "after SIGTERM");
    }

    /// SIGSTOP, and SIGCONT later.
    pub async fn pause(&mut self, time: Duration) {
        self.count("pauses");
        self.daemon().signal(Signal::SIGSTOP);
        tokio::time::sleep(time).await;
        self.daemon().signal(Signal::SIGCONT);
    }

    /// Another daemon, with a journal of its own, takes over database and files. The one before must end by itself; until it does, the
    /// senders talk to it.
    pub async fn take_over(&mut self, chance: &mut Chance) {
        // Of two that start, the one that reaches the database last would have taken over.
        self.ready().await;
        self.count("takeovers");
        self.at = 1 - self.at;
        self.homes[self.at].used = true;
        let after = self.open_daemon().await;
        let deadline = Instant::now() + PATIENCE;
        let mut chance = Some(chance.clone());
        while !self.daemon().has_ended() {
            assert!(Instant::now() < deadline, "the daemon goes on although another has taken over");
            // Only who has something to commit can notice.
            self.told.send(self.daemon().tcp(), 3, 100, &mut chance).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (code, log) = self.farewell().ended().await;
        assert_eq!(code, Some(1), "another has taken over: {log:#?}");
        self.welcome(after);
    }

    /// Stops PostgreSQL as a power cut would.
    pub async fn crash_database(&mut self) {
        self.count("database crashes");
        self.on_server(|server| server.embedded.crash().unwrap()).await;
    }

    /// SIGKILL for PostgreSQL's first process; its children notice.
    pub async fn kill_postmaster(&mut self) {
        self.count("postmaster kills");
        self.on_server(|server| nix::sys::signal::kill(server.postmaster(), Signal::SIGKILL).unwrap()).await;
    }

    /// Stops PostgreSQL, with an abort for those who are connected.
    pub async fn stop_database(&mut self) {
        self.count("database stops");
        self.on_server(|server| server.embedded.stop().unwrap()).await;
    }

    pub async fn start_database(&self) {
        self.on_server(|server| {
            // After SIGKILL it has to wait for what is left of it.
            let deadline = Instant::now() + PATIENCE;
            while let Err(error) = server.embedded.start_again() {
                assert!(Instant::now() < deadline, "{error}");
                std::thread::sleep(Duration::from_millis(50));
            }
        })
        .await;
    }

    async fn on_server(&self, act: impl FnOnce(&Server) + Send + 'static) {
        let server = Arc::clone(&self.database.server);
        tokio::task::spawn_blocking(move || act(&server)).await.unwrap();
    }

    /// Once the senders rest: waits until everything is committed, and compares.
    async fn end(mut self) -> Report {
        let expected = (crate::story::FILE_LINES + crate::story::LINKED_LINES) as i64;
        let deadline = Instant::now() + PATIENCE;
        // What is missing then is told below.
        while Instant::now() < deadline {
            let count = self.database.try_number("SELECT count(*) FROM logs WHERE source IN ('auth', 'linked')").await;
            if matches!(count, Ok(n) if n >= expected) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut report = Report::default();
        // The other journal has to be emptied, too.
        for at in [1 - self.at, self.at] {
            if self.homes[at].used {
                self.empty(at, &mut report).await;
            }
        }
        let reckoning = self.told.reckon(&self.database, &self.excused).await;
        report.complaints.extend(reckoning.complaints);
        (report.lines, report.lost, report.repeated) = (reckoning.lines, reckoning.lost, reckoning.repeated);
        self.compare_verdict(&mut report);
        let miscounted = self.database.number(MISCOUNTED).await;
        if miscounted > 0 {
            report.complaints.push(format!("the roll-ups have {miscounted} counts that are not those of the records"));
        }
        report.incidents = self
            .database
            .column(&format!(
                "SELECT concat_ws('|', detector, group_key, severity, event_count, extract(epoch FROM first_seen) - {base}, \
                 extract(epoch FROM last_seen) - {base}, usernames, \
                 (SELECT count(*) FROM incident_evidence e WHERE e.incident_id = i.id)) FROM incidents i ORDER BY detector, group_key, first_seen",
                base = self.told.base_secs()
            ))
            .await;
        self.counts.insert("refused posts", self.told.refused.load(Ordering::Relaxed));
        self.counts.insert("rotations", self.told.rotations.load(Ordering::Relaxed));
        report.counts.append(&mut self.counts);
        self.keep = !(report.lost.is_empty() && report.repeated.is_empty() && report.complaints.is_empty());
        if !self.keep {
            self.database.clone().remove().await;
        }
        report
    }

    /// Runs the daemon of a home until nothing waits in its journal.
    async fn empty(&mut self, at: usize, report: &mut Report) {
        const ATTEMPTS: usize = 5;
        if at != self.at {
            if self.daemon.is_some() {
                let (code, _) = self.farewell().stop().await;
                assert_eq!(code, Some(0), "after SIGTERM");
            }
            self.at = at;
        }
        for _ in 0..ATTEMPTS {
            if self.daemon.is_none() {
                self.start().await;
            }
            self.ready().await;
            let (code, _) = self.farewell().stop().await;
            assert_eq!(code, Some(0), "after SIGTERM");
            let (_, verdict) = verify(&self.homes[at].dir, &[]);
            if verdict["waiting_in_journal"] == 0 {
                return;
            }
        }
        report.complaints.push(format!("the journal in {} is not emptied", self.homes[at].dir.display()));
    }

    /// `tocsin verify` must name what faults destroyed, and nothing else.
    fn compare_verdict(&self, report: &mut Report) {
        let (code, verdict) = verify(&self.homes[self.at].dir, &[]);
        let mut named = Vec::new();
        for finding in verdict["findings"].as_array().unwrap() {
            let bytes = (finding["bytes"][0].as_u64(), finding["bytes"][1].as_u64());
            match (finding["kind"].as_str(), finding["reason"].as_str(), bytes) {
                (Some("lost"), Some("damaged_record"), (Some(from), Some(to))) => {
                    named.push((finding["part"].as_str().unwrap().to_owned(), from, to));
                }
                // Rotated and compressed before the first look into it: it was read from the compressed file, but nobody can tell that the
                // plain one had the same content. What is really missing is told by the numbers.
                (Some("lost"), Some("truncated_unread"), (Some(0), _)) => {
                    *report.counts.entry("false alarms of unread files").or_default() += 1;
                }
                _ => report.complaints.push(format!("tocsin verify: {}", finding["text"])),
            }
        }
        let want_code = if findings(&verdict).is_empty() { 0 } else { 3 };
        if code != want_code {
            report.complaints.push(format!("tocsin verify ends with {code} instead of {want_code}: {verdict:#}"));
        }
        let (want, named) = (joined(self.damaged.clone()), joined(named));
        if want != named {
            report.complaints.push(format!("destroyed: {want:?}, named by tocsin verify: {named:?}"));
        }
    }
}

/// Ranges that touch each other as one.
fn joined(mut ranges: Vec<(String, u64, u64)>) -> Vec<(String, u64, u64)> {
    ranges.sort();
    let mut joined: Vec<(String, u64, u64)> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.0 == range.0 && last.2 == range.1 => last.2 = range.2,
            _ => joined.push(range),
        }
    }
    joined
}

impl Home {
    /// With a small file system for the state where this process may mount one.
    fn new(dir: PathBuf) -> Home {
        let state = dir.join("state");
        std::fs::create_dir_all(&state).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={SMALL_BYTES},mode=0711"), "tmpfs"]).arg(&state);
        let is_small = nix::unistd::geteuid().is_root() && mount.output().is_ok_and(|done| done.status.success());
        Home { dir, is_small, used: false }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.told.give_up();
        // It keeps the mounts busy.
        self.daemon = None;
        let keep = self.keep || std::thread::panicking();
        for home in self.homes.iter().filter(|home| home.is_small) {
            let state = home.dir.join("state");
            if keep {
                let _ = Command::new("cp").arg("-a").arg(&state).arg(home.dir.join("kept")).status();
            }
            let _ = Command::new("umount").arg("-l").arg(&state).status();
            if keep {
                let _ = std::fs::remove_dir(&state).and_then(|()| std::fs::rename(home.dir.join("kept"), &state));
            }
        }
    }
}
