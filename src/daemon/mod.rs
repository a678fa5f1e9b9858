//! The daemon: settings become values, values become tasks.
//!
//! The doors open first: whatever arrives while the database is away is in the journal. The other half (database, detectors, files)
//! starts when the database answers, and is started over by nobody: a task that ends early ends the daemon, and systemd starts it again.
//!
//! Stopping flows with the data: the doors close, the journal is synced and read to its end, the pipeline commits what it has, the
//! database connections close, the private PostgreSQL stops. What is not done by the deadline is left in journal and files.

mod additions;
mod assemble;
mod assessments;
mod backups;
mod descriptors;
mod gate;
mod health;
mod lag;
mod observables;
mod standby;
mod sweep;
pub mod telemetry;
mod upkeep;

pub use standby::{Turn, stand_by};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use self::gate::Gate;
use self::health::Lookout;
use self::lag::Progress;
use crate::casework::Casework;
use crate::config::Config;
use crate::frame::{Batch, PositionChange, Source};
use crate::http::api::backups::Bench;
use crate::http::api::limits::Limits;
use crate::http::api::{Api, Places};
use crate::http::{Health, Readiness};
use crate::journal::{self, Journal};
use crate::listen::refused::Refusals;
use crate::parse::Named;
use crate::parse::own::Own;
use crate::pipeline::{Pauses, Waits};
use crate::record::Zone;
use crate::stats::Stats;
use crate::store::embedded::Embedded;
use crate::store::seat::Seat;
use crate::store::{Servers, Store, StoreError};
use crate::{http, pipeline, tail};

/// From the signal to the end: what is not stored by then stays in journal and files.
const DRAIN_DEADLINE: Duration = Duration::from_millis(3000);
/// From the signal to the end of requests and connections that are under way.
const DOORS_DEADLINE: Duration = Duration::from_millis(1500);
/// What ends in order after the hard stop does so within this time.
const LAST_MOMENT: Duration = Duration::from_millis(200);
/// How long the private PostgreSQL may take to write down what it holds, when time is short. Its log has it all, for the next start.
const SERVER_DEADLINE: Duration = Duration::from_millis(1000);
/// Connecting and migrating takes no longer, unless nobody answers.
const CONNECT_PATIENCE: Duration = Duration::from_secs(60);
/// How often our own log tells who was refused most.
const REFUSALS_INTERVAL: Duration = Duration::from_secs(60);

/// Why the daemon cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state directory cannot be used.
    #[error("cannot use the state directory {}", path.display())]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another daemon uses the state directory.
    #[error("another tocsin is running with the state directory {}; stop it, or set state_dir", .0.display())]
    InUse(PathBuf),
    /// A setting that turned out to be wrong only now.
    #[error("{key}: {what}")]
    Setting {
        /// The key.
        key: String,
        /// What is wrong.
        what: String,
    },
    /// The journal.
    #[error("journal")]
    Journal(#[source] journal::JournalError),
    /// A listener.
    #[error("listener {name}")]
    Listen {
        /// Its configured name.
        name: String,
        /// Why.
        #[source]
        source: crate::listen::ListenError,
    },
    /// A set of files.
    #[error("files {name}")]
    Tail {
        /// Its configured name.
        name: String,
        /// Why.
        #[source]
        source: tail::TailError,
    },
    /// The database.
    #[error("database{}", advice(.0))]
    Store(#[source] StoreError),
    /// The pipeline.
    #[error("pipeline")]
    Pipeline(#[source] pipeline::PipelineError),
    /// A task panicked.
    #[error("a task of the daemon ended unexpectedly")]
    Died,
}

/// Where a running daemon can be reached.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// Syslog over UDP, by the listener's name.
    pub udp: Vec<(String, SocketAddr)>,
    /// Syslog over TCP, by the listener's name.
    pub tcp: Vec<(String, SocketAddr)>,
    /// HTTP.
    pub http: Option<SocketAddr>,
}

/// A running daemon. Dropping it does not stop it in order; [`Running::stop`] does.
#[derive(Debug)]
pub struct Running {
    /// Where it listens; real ports where port 0 was configured.
    pub addresses: Addresses,
    /// Its counters.
    pub stats: Arc<Stats>,
    readiness: watch::Receiver<Readiness>,
    database: watch::Receiver<Option<Database>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), DaemonError>>,
}

/// How to reach the database that the daemon uses.
#[derive(Debug, Clone)]
pub struct Database {
    /// The open store.
    pub store: Store,
    /// For people: what `psql` takes; only for the private PostgreSQL.
    pub conninfo: Option<String>,
}

impl Running {
    /// Waits until the database half works, too; `None` if the daemon ends before.
    pub async fn database(&mut self) -> Option<Database> {
        self.database.wait_for(Option::is_some).await.ok().and_then(|found| found.clone())
    }

    /// How things are.
    pub fn readiness(&self) -> Readiness {
        self.readiness.borrow().clone()
    }

    /// A token that stops the daemon when it is cancelled.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What it died of.
    pub async fn wait(self) -> Result<(), DaemonError> {
        self.task.await.unwrap_or(Err(DaemonError::Died))
    }

    /// Stops it: everything that arrived is committed, unless the database is away.
    ///
    /// # Errors
    /// What it died of before.
    pub async fn stop(self) -> Result<(), DaemonError> {
        self.stop.cancel();
        self.wait().await
    }
}

/// Opens the doors and starts everything else behind them.
///
/// # Errors
/// A door cannot be opened, or the state directory cannot be used.
pub async fn start(config: Config) -> Result<Running, DaemonError> {
    let lock = lock_state_dir(&config.state_dir)?;
    start_in_turn(config, Turn { lock, seat: None }).await
}

/// Starts a daemon that has stood by.
///
/// # Errors
/// As [`start`].
pub async fn start_in_turn(config: Config, Turn { lock, seat }: Turn) -> Result<Running, DaemonError> {
    let stats = Arc::new(Stats::default());
    let stop = CancellationToken::new();
    let config = assemble::with_default_inputs(config)?;
    let rules = assemble::rules(&config)?;
    descriptors::ensure(&config)?;
    let journal = Arc::new(assemble::open_journal(&config, &stats)?);
    let mut tasks: JoinSet<Result<(), DaemonError>> = JoinSet::new();
    let mut addresses = Addresses::default();
    let progress = Arc::new(Progress::new(config.files.iter().map(|files| &*files.name), journal.opened().next_offset));
    let waits = Arc::default();
    let lookout = Lookout::new(&journal, &progress, &waits, &stats);
    let readiness = lookout.readiness();
    let (database_out, database) = watch::channel(None);

    let doors = CancellationToken::new();
    let refusals = Arc::new(Refusals::default());
    tasks.spawn({
        let (refusals, doors) = (Arc::clone(&refusals), doors.clone());
        async move {
            refusals.report(REFUSALS_INTERVAL, doors).await;
            Ok(())
        }
    });
    for (name, listener) in assemble::udp(&config, &journal, &stats, &refusals)? {
        addresses.udp.push((name.clone(), listener.local_addr()));
        let doors = doors.clone();
        tasks.spawn(async move { listener.run(doors).await.map_err(|source| DaemonError::Listen { name, source }) });
    }
    for (name, listener) in assemble::tcp(&config, &journal, &stats, &refusals).await? {
        addresses.tcp.push((name.clone(), listener.local_addr()));
        let doors = doors.clone();
        tasks.spawn(async move { listener.run(doors).await.map_err(|source| DaemonError::Listen { name, source }) });
    }
    let casework = Arc::new(OnceLock::new());
    if let Some(server) = assemble::http(&config, &stats, &refusals).await? {
        let router = assemble::webhooks(&config, &journal, &stats, &refusals)?;
        let router = router.merge(http::router(Health { stats: Arc::clone(&stats), readiness: readiness.clone() }));
        let api = Api {
            casework: Arc::clone(&casework),
            journal: journal.handle(),
            limits: Arc::new(Limits::new(config.http.api_limits(), &stats, &refusals)),
            places: Places::default(),
            tasks: TaskTracker::new(),
            bench: Bench::default(),
            stop: doors.clone(),
        };
        let behind = api.tasks.clone();
        let router = router.merge(http::api::router(api));
        addresses.http = Some(server.local_addr());
        let doors = doors.clone();
        tasks.spawn(async move {
            let ended = server.run(router, doors).await;
            behind.close();
            behind.wait().await;
            ended.map_err(|source| DaemonError::Listen { name: "http".into(), source })
        });
    }
    for (kind, list) in [("udp", &addresses.udp), ("tcp", &addresses.tcp)] {
        for (name, address) in list {
            info!(source = name, "listening for syslog on {kind} {address}");
        }
    }
    if let Some(address) = addresses.http {
        info!("listening for HTTP on http://{address}");
    }

    let inner = Inner {
        casework,
        lookout,
        waits,
        progress,
        config,
        rules,
        stats: Arc::clone(&stats),
        journal,
        database: database_out,
        seat: Mutex::new(seat),
        _lock: lock,
    };
    let task = tokio::spawn(inner.run(tasks, doors, stop.clone()));
    Ok(Running { addresses, stats, readiness, database, stop, task })
}

/// What the daemon's main task owns.
struct Inner {
    lookout: Lookout,
    /// Casework, for the API, once the database is there.
    casework: Arc<OnceLock<Casework>>,
    /// What the database half waits for.
    waits: Arc<Waits>,
    progress: Arc<Progress>,
    config: Config,
    rules: Arc<crate::detect::Rules>,
    stats: Arc<Stats>,
    journal: Arc<Journal>,
    database: watch::Sender<Option<Database>>,
    /// Of a daemon that stood by, until it is taken.
    seat: Mutex<Option<Seat>>,
    _lock: std::fs::File,
}

impl Inner {
    async fn run(
        self,
        mut tasks: JoinSet<Result<(), DaemonError>>,
        doors: CancellationToken,
        stop: CancellationToken,
    ) -> Result<(), DaemonError> {
        let journal = Arc::clone(&self.journal);
        let files = doors.child_token();
        let hard_stop = CancellationToken::new();
        let mut storing = tokio::spawn(self.store(files, hard_stop.clone()));
        // Until somebody says stop, or something dies.
        let mut result = tokio::select! {
            () = stop.cancelled() => Ok(()),
            ended = &mut storing => {
                doors.cancel();
                journal.close().await;
                return match ended { Ok(Err(error)) => Err(error), _ => Err(DaemonError::Died) };
            }
            ended = tasks.join_next(), if !tasks.is_empty() => match ended {
                Some(Ok(Err(error))) => Err(error),
                _ => Err(DaemonError::Died),
            },
        };
        let deadline = Instant::now() + DRAIN_DEADLINE;
        info!("stopping: storing what has arrived");
        doors.cancel();
        // Whoever keeps a request open that is never finished does not keep us.
        let closed = async {
            while let Some(ended) = tasks.join_next().await {
                if let (Ok(()), Ok(Err(error))) = (&result, ended) {
                    result = Err(error);
                }
            }
        };
        if tokio::time::timeout(DOORS_DEADLINE, closed).await.is_err() {
            tasks.shutdown().await;
        }
        let drained = async {
            journal.close().await;
            (&mut storing).await
        };
        let ended = match tokio::time::timeout_at(deadline.into(), drained).await {
            Ok(ended) => ended,
            Err(_) => {
                warn!("not everything could be stored in time; the rest is in the journal and in its files");
                hard_stop.cancel();
                storing.await
            }
        };
        result?;
        ended.unwrap_or(Err(DaemonError::Died))
    }

    /// The database half, from start to end.
    async fn store(self, files: CancellationToken, hard_stop: CancellationToken) -> Result<(), DaemonError> {
        let embedded = OnceLock::new();
        let store = OnceLock::new();
        let work = async {
            self.reach_database(&embedded, &store).await?;
            let store = store.get().expect("the database was reached");
            self.pipeline(store, files, hard_stop.clone()).await
        };
        // After the hard stop, what is under way is dropped where it stands: a transaction that is not committed never was.
        let result = tokio::select! {
            done = work => done,
            never = self.lookout.run(&embedded, &store) => match never {},
            () = async { hard_stop.cancelled().await; tokio::time::sleep(LAST_MOMENT).await } => Ok(()),
        };
        if let Some(store) = store.get() {
            let _ = tokio::time::timeout(LAST_MOMENT, store.close()).await;
        }
        if let Some(server) = embedded.get().cloned() {
            let stopping = Arc::clone(&server);
            let mut stopped = tokio::task::spawn_blocking(move || stopping.stop());
            let late = async {
                hard_stop.cancelled().await;
                tokio::time::sleep(SERVER_DEADLINE).await;
            };
            let stopped = tokio::select! {
                stopped = &mut stopped => stopped,
                () = late => tokio::task::spawn_blocking(move || server.crash()).await,
            };
            if let Ok(Err(error)) = stopped {
                warn!(%error, "the private PostgreSQL did not stop");
            }
        }
        result
    }

    /// Starts the private PostgreSQL if that is what is used, and connects, however long it takes.
    async fn reach_database(&self, embedded: &OnceLock<Arc<Embedded>>, store: &OnceLock<Store>) -> Result<(), DaemonError> {
        let url =
            self.config.database.secret_url().map_err(|what| DaemonError::Setting { key: "database.url_file".into(), what })?;
        let servers = match url {
            Some(url) => Servers::from_url(&url).map_err(DaemonError::Store)?,
            None => {
                let dir = self.config.state_dir.join("postgres");
                self.lookout.say("starting the private PostgreSQL");
                let conninfo = Embedded::conninfo_in(&dir);
                let server = tokio::task::spawn_blocking(move || Embedded::start(&dir)).await;
                let server = server.map_err(|_| DaemonError::Died)?.map_err(DaemonError::Store)?;
                info!("the private PostgreSQL runs: psql \"{conninfo}\"");
                embedded.get_or_init(|| Arc::new(server)).options().into()
            }
        };
        let mut pauses = Pauses::new(&self.waits);
        self.lookout.say("connecting");
        loop {
            let connected = tokio::time::timeout(CONNECT_PATIENCE, Store::connect(servers.clone())).await;
            match connected.unwrap_or(Err(StoreError::Late)) {
                Ok(connected) => {
                    pauses.over();
                    let _ = store.set(connected);
                    return Ok(());
                }
                Err(error) if error.is_transient() => {
                    pauses.report(&error, "waiting for the database");
                    keep_running(embedded.get()).await;
                    tokio::time::sleep(pauses.next_pause()).await;
                }
                Err(error) => return Err(DaemonError::Store(error)),
            }
        }
    }

    /// Lets people in. Where there is nobody yet, the first account is made.
    async fn open_casework(&self, store: &Store) -> &Casework {
        let casework = self.casework.get_or_init(|| Casework::new(store.clone(), self.config.casework()));
        // What is not sealed works without.
        if let Err(error) = casework.prepare_keys().await {
            error!(error = %chain(&error), "what is sealed in the database cannot be opened");
        }
        match casework.create_first_admin().await {
            // Not into the log, which is kept and sent on.
            Ok(Some(secret)) => {
                let told = format!("The first account is admin. Its password, to be used once: {secret}\n");
                let _ = std::io::Write::write_all(&mut std::io::stdout(), told.as_bytes());
            }
            Ok(None) => {}
            Err(error) => warn!(%error, "the first account could not be made; \"tocsin user add admin --role admin\" makes one"),
        }
        casework
    }

    async fn pipeline(&self, store: &Store, files: CancellationToken, hard_stop: CancellationToken) -> Result<(), DaemonError> {
        let options = assemble::pipeline_options(&self.config, Arc::clone(&self.rules));
        self.lookout.say("rebuilding the detectors' windows");
        let mut pauses = Pauses::new(&self.waits);
        let (saved, engine) = loop {
            match pipeline::take_over(store, &options).await {
                Ok(taken) => {
                    pauses.over();
                    break taken;
                }
                Err(error) if error.is_transient() => {
                    pauses.report(&error, "waiting for the database");
                    tokio::select! { () = tokio::time::sleep(pauses.next_pause()) => {}, () = hard_stop.cancelled() => return Ok(()) }
                }
                Err(error) => return Err(DaemonError::Store(error)),
            }
        };
        let mut inputs: JoinSet<Result<(), DaemonError>> = JoinSet::new();
        // Few, since each holds thousands of frames: one being stored, one ready; and one before the gate.
        let (batches_out, batches_in) = mpsc::channel::<Batch>(1);
        let (passed_out, passed_in) = mpsc::channel::<Batch>(2);
        let gate = Gate::new(self.config.memory().under_way);
        for (name, tail) in assemble::tails(&self.config, &saved, &self.stats)? {
            let (out, stop) = (batches_out.clone(), files.clone());
            inputs.spawn(async move { tail.run(out, stop).await.map_err(|source| DaemonError::Tail { name, source }) });
        }
        let (reader, from) = assemble::journal_reader(&self.config, &self.journal, &saved)?;
        self.progress.begin(from);
        inputs.spawn(read_journal(reader, batches_out));
        inputs.spawn({
            let (gate, progress) = (Arc::clone(&gate), Arc::clone(&self.progress));
            async move {
                gate.run(batches_in, passed_out, |batch| progress.passed(batch)).await;
                Ok(())
            }
        });
        let conninfo = self.config.database.secret_url().ok().flatten().is_none().then(|| self.config.state_dir.join("postgres"));
        let _ = self
            .database
            .send(Some(Database { store: store.clone(), conninfo: conninfo.map(|dir| Embedded::conninfo_in(&dir)) }));
        let casework = self.open_casework(store).await;
        self.lookout.say("storing");

        let committed: pipeline::Committed = {
            let (journal, progress) = (Arc::clone(&self.journal), Arc::clone(&self.progress));
            Arc::new(move |positions: &[PositionChange]| {
                gate.committed(positions.len());
                progress.committed(positions);
                for change in positions.iter().filter(|p| &*p.input == "journal") {
                    journal.release(change.to);
                }
            })
        };
        let work = pipeline::Pipeline {
            store: store.clone(),
            saved,
            engine,
            options,
            batches: passed_in,
            committed,
            stats: Arc::clone(&self.stats),
            waits: Arc::clone(&self.waits),
            hard_stop: hard_stop.clone(),
        };
        let work = work.run();
        tokio::pin!(work);
        let seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner).take();
        let seat = standby::hold(store, seat);
        tokio::pin!(seat);
        let journal = self.journal.handle();
        let chores = async {
            tokio::join!(
                additions::take(store, &journal),
                backups::make_daily(casework, self.config.backup.daily_at(), &self.stats),
                observables::find(casework),
                assessments::assess(casework),
                upkeep::keep_up(casework, self.config.retention.at.0),
                sweep::sweep(casework),
            )
        };
        tokio::pin!(chores);
        loop {
            tokio::select! {
                // When the inputs have ended and everything is committed, or when it cannot go on.
                done = &mut work => {
                    files.cancel();
                    inputs.abort_all();
                    return done.map_err(DaemonError::Pipeline);
                }
                ended = inputs.join_next(), if !inputs.is_empty() => match ended {
                    Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(error))) => return Err(error),
                    _ => return Err(DaemonError::Died),
                },
                never = &mut seat => match never {},
                (never, ..) = &mut chores => match never {},
            }
        }
    }
}

/// What can be done about it, for those who read why the daemon ended.
fn advice(error: &StoreError) -> String {
    error.advice().map_or_else(String::new, |advice| format!(": {advice}"))
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Starts the private PostgreSQL again if it has ended, as after the kernel ran out of memory.
async fn keep_running(embedded: Option<&Arc<Embedded>>) {
    let Some(server) = embedded.cloned() else { return };
    match tokio::task::spawn_blocking(move || server.ensure_running()).await {
        Ok(Ok(true)) => warn!("the private PostgreSQL had ended; it was started again"),
        Ok(Err(error)) => warn!(%error, "the private PostgreSQL does not start"),
        _ => {}
    }
}

/// The journal as an input. Ends when the journal is closed and read to its end.
async fn read_journal(mut reader: journal::Reader, out: mpsc::Sender<Batch>) -> Result<(), DaemonError> {
    loop {
        match reader.next().await {
            Ok(Some(batch)) => {
                if out.send(batch).await.is_err() {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(error @ journal::JournalError::Closed) => return Err(DaemonError::Journal(error)),
            Err(error) => {
                warn!(%error, "the journal cannot be read; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Makes the state directory, and keeps other daemons away from it for as long as the file is held.
///
/// # Errors
/// Another daemon has it, or it cannot be made.
pub fn lock_state_dir(path: &Path) -> Result<std::fs::File, DaemonError> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |source| DaemonError::StateDir { path: path.to_owned(), source };
    // Others may pass through: the private PostgreSQL runs as another user when we are root.
    std::fs::DirBuilder::new().recursive(true).mode(0o711).create(path).map_err(failed)?;
    let lock = std::fs::File::create(path.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(DaemonError::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The zone of a validated configuration.
fn zone(name: &str) -> Result<Zone, DaemonError> {
    Zone::named(name).map_err(|e| DaemonError::Setting { key: "timezone".into(), what: e.to_string() })
}

/// The source of a validated configuration.
fn source(name: &str, timezone: &str, format: Option<&str>, own: &[Own]) -> Result<Arc<Source>, DaemonError> {
    let format = format.map(|format| Named::find(format, own)).transpose();
    let format = format.map_err(|what| DaemonError::Setting { key: "format".into(), what })?;
    Ok(Arc::new(Source { name: name.to_owned(), zone: zone(timezone)?, format }))
}

/// The sources of the journal by name.
fn network_sources(config: &Config) -> Result<HashMap<String, Arc<Source>>, DaemonError> {
    let syslog = config.syslog.iter().map(|s| (&s.name, &s.timezone, s.format.as_deref()));
    let webhooks = config.webhook.iter().map(|w| (&w.name, &w.timezone, w.format.as_deref()));
    let own = config.formats();
    syslog.chain(webhooks).map(|(name, timezone, format)| Ok((name.clone(), source(name, timezone, format, &own)?))).collect()
}
