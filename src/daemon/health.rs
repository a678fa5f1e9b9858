//! What `/health/ready` says, kept true from the start to the end, with a database or without; and what our own log says of inputs that
//! are behind.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::warn;

use super::keep_running;
use super::lag::{Lag, Progress};
use crate::http::{Behind, Readiness};
use crate::journal::{self, Journal};
use crate::pipeline::{Wait, Waits};
use crate::record::Timestamp;
use crate::stats::Stats;
use crate::store::embedded::Embedded;
use crate::store::{Store, StoreError};

/// A journal that has no room for this many bytes is called full.
const NEARLY_FULL: u64 = 1 << 20;
/// How often the database is asked whether it is there, and after which time without an answer it is said not to be.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// An answer is waited for this long, since every server of `database.url` may have to be tried; then on another connection.
const PROBE_PATIENCE: Duration = Duration::from_secs(30);
/// How often `/health/ready` is brought up to date.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// An input that is behind by this long is told of in our own log, this often.
const BEHIND_INTERVAL: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct Lookout {
    readiness: watch::Sender<Readiness>,
    /// What the database half is doing, and since when.
    phase: Mutex<(&'static str, Timestamp)>,
    /// What it waits for.
    waits: Arc<Waits>,
    probe: Mutex<Probe>,
    lag: Mutex<Lag>,
    journal: Arc<Journal>,
    stats: Arc<Stats>,
}

impl Lookout {
    /// For a daemon whose doors are not open yet.
    pub fn new(journal: &Arc<Journal>, progress: &Arc<Progress>, waits: &Arc<Waits>, stats: &Arc<Stats>) -> Lookout {
        let (phase, since) = ("starting", Timestamp::now());
        let readiness = Readiness {
            ready: false,
            database: phase.to_owned(),
            database_since: since.to_string(),
            database_error: None,
            journal: state_of(journal),
            inputs: Vec::new(),
        };
        Lookout {
            readiness: watch::Sender::new(readiness),
            phase: Mutex::new((phase, since)),
            waits: Arc::clone(waits),
            probe: Mutex::default(),
            lag: Mutex::new(Lag::new(Arc::clone(progress), Arc::clone(journal), Arc::clone(stats))),
            journal: Arc::clone(journal),
            stats: Arc::clone(stats),
        }
    }

    /// How things are, from now on.
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.subscribe()
    }

    /// Notes what the database half is doing.
    pub fn say(&self, what: &'static str) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = (what, Timestamp::now());
        self.tell(None, None);
    }

    /// Keeps `/health/ready` true to what happens, the private PostgreSQL running, and the memory of deliveries short.
    pub async fn run(&self, embedded: &OnceLock<Arc<Embedded>>, store: &OnceLock<Store>) -> Infallible {
        tokio::select! {
            never = self.ask(embedded, store) => never,
            never = self.look() => never,
        }
    }

    /// Asks the database from time to time whether it is there.
    async fn ask(&self, embedded: &OnceLock<Arc<Embedded>>, store: &OnceLock<Store>) -> Infallible {
        let mut forgot = Instant::now();
        loop {
            tokio::time::sleep(PROBE_INTERVAL).await;
            let Some(store) = store.get() else { continue };
            self.probe().asked = Some((Instant::now(), Timestamp::now()));
            let answer = tokio::time::timeout(PROBE_PATIENCE, store.probe()).await.unwrap_or(Err(StoreError::Late));
            let is_there = answer.is_ok();
            self.probe().answered(answer);
            if !is_there {
                keep_running(embedded.get()).await;
            } else if forgot.elapsed() > Duration::from_secs(3600) {
                forgot = Instant::now();
                let _ = store.forget_old_deliveries().await;
            }
        }
    }

    /// Tells from time to time how things are.
    async fn look(&self) -> Infallible {
        let waiting =
            self.stats.gauge("database_waiting_seconds", "For how long something has been waiting for the database.", &[]);
        let mut reminder = Reminder::default();
        loop {
            let now = Instant::now();
            let inputs = self.lag.lock().unwrap_or_else(PoisonError::into_inner).look(now);
            let probed = self.probe().wait();
            waiting.set(self.waits.longest().or(probed.clone()).map_or(0, |wait| wait.began.elapsed().as_secs()));
            reminder.look(now, &inputs);
            self.tell(probed, Some(inputs));
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Brings `/health/ready` up to date: with what the database half is doing, unless it waits for something, or the probe does.
    fn tell(&self, probe: Option<Wait>, inputs: Option<Vec<Behind>>) {
        let (phase, since) = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let journal = state_of(&self.journal);
        let wait = self.waits.longest().or(probe);
        self.readiness.send_modify(|now| {
            now.ready = wait.is_none() && phase == "storing" && journal == "good";
            now.database = wait.as_ref().map_or(phase, |wait| wait.what).to_owned();
            now.database_since = wait.as_ref().map_or(since, |wait| wait.since).to_string();
            now.database_error = wait.map(|wait| wait.error);
            now.journal = journal;
            if let Some(inputs) = inputs {
                now.inputs = inputs;
            }
        });
    }

    fn probe(&self) -> MutexGuard<'_, Probe> {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the journal is doing, in a word.
fn state_of(journal: &Journal) -> String {
    match &*journal.health().borrow() {
        journal::Health::Good if journal.is_full(NEARLY_FULL) => "full".to_owned(),
        journal::Health::Good => "good".to_owned(),
        journal::Health::Failing(why) => format!("failing: {why}"),
        journal::Health::Closed => "closed".to_owned(),
    }
}

/// What asking the database came to.
#[derive(Debug, Default)]
struct Probe {
    /// When it was asked what it has not answered.
    asked: Option<(Instant, Timestamp)>,
    /// What it answered, where that was not what it should be.
    failed: Option<Wait>,
}

impl Probe {
    fn answered(&mut self, answer: Result<(), StoreError>) {
        let asked = self.asked.take().unwrap_or_else(|| (Instant::now(), Timestamp::now()));
        let (began, since) = self.failed.as_ref().map_or(asked, |failed| (failed.began, failed.since));
        self.failed = answer.err().map(|e| Wait { since, began, what: "waiting for the database", error: e.in_one_line() });
    }

    /// What is wrong at the moment.
    fn wait(&self) -> Option<Wait> {
        let late = self.asked.filter(|(began, _)| began.elapsed() > PROBE_INTERVAL).map(|(began, since)| Wait {
            since,
            began,
            what: "waiting for the database",
            error: StoreError::Late.to_string(),
        });
        self.failed.clone().or(late)
    }
}

/// Tells our own log which inputs are behind, when it was last told long enough ago.
#[derive(Debug, Default)]
struct Reminder {
    told: Option<Instant>,
}

impl Reminder {
    fn look(&mut self, now: Instant, inputs: &[Behind]) {
        if self.told.is_some_and(|told| now.duration_since(told) < BEHIND_INTERVAL) {
            return;
        }
        for behind in inputs.iter().filter(|behind| behind.seconds >= BEHIND_INTERVAL.as_secs()) {
            self.told = Some(now);
            warn!(input = behind.input, bytes = behind.bytes, records = behind.records, seconds = behind.seconds, "behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a test's log goes.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_log_tells_once_a_minute_of_inputs_that_are_behind() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        let behind = |input: &str, seconds, bytes: Option<u64>| Behind {
            input: input.to_owned(),
            bytes,
            records: bytes.map(|n| n / 100),
            seconds,
        };
        tracing::subscriber::with_default(subscriber, || {
            let (start, mut reminder) = (Instant::now(), Reminder::default());
            // The journal is behind from second 0 to 199, the files never are.
            for second in 0..300 {
                let journal =
                    if second < 200 { behind("journal", second, Some(second * 1000)) } else { behind("journal", 0, Some(0)) };
                reminder.look(start + Duration::from_secs(second), &[journal, behind("files:auth", 2, None)]);
            }
            reminder.look(start + Duration::from_secs(400), &[behind("journal", 70, Some(500)), behind("files:auth", 60, None)]);
        });
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> = lines.iter().map(|line| (line["level"].as_str().unwrap(), line["fields"].clone())).collect();
        let said = |fields: serde_json::Value| ("WARN", fields);
        let want = |input: &str, seconds: u64, bytes: u64| {
            let records = bytes / 100;
            said(serde_json::json!({"message": "behind", "input": input, "bytes": bytes, "records": records, "seconds": seconds}))
        };
        let unknown = said(serde_json::json!({"message": "behind", "input": "files:auth", "seconds": 60}));
        assert_eq!(
            told,
            [
                want("journal", 60, 60_000),
                want("journal", 120, 120_000),
                want("journal", 180, 180_000),
                want("journal", 70, 500),
                unknown
            ]
        );
    }
}
