//! From batches of frames to committed transactions.
//!
//! ```text
//!  inputs ──Batch──▶ work (one thread) ──Prepared──▶ commit (two connections, in turns) ──▶ PostgreSQL
//!                    parse, detect, encode            copy ‖ commit                       └─▶ committed positions
//! ```
//!
//! The work is one thread, because the detectors have one owner and a record borrows from its frame: a line is parsed, observed and
//! encoded while it is in the cache, and costs no allocation of its own. Batches that wait are stored together, up to
//! [`Options::max_rows`]: alone when little arrives, by the thousand when much does.

mod commit;
mod deliveries;
mod floor;
mod ledger;
mod pauses;
mod rollups;
#[cfg(test)]
mod simulation;
mod steady;
mod work;

pub use deliveries::Deliveries;
pub use pauses::{Pauses, Wait, Waits};
pub use rollups::Hosts;

use std::sync::Arc;

use floor::Floor;
use steady::SteadyClock;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::detect::Engine;
use crate::frame::{Batch, PositionChange};
use crate::record::Timestamp;
use crate::stats::Stats;
use crate::store::{Database, Observed, Saved, StoreError};
use crate::{detect, parse};

/// How the pipeline works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Rows of a transaction, unless a single batch has more. Commits of 5,000 come within 8 % of 20,000.
    pub max_rows: usize,
    /// Log records that are copied to one incident at most.
    pub max_evidence: usize,
    /// An event that claims to be older than this at its receipt is filed under its time of receipt; microseconds.
    pub max_past_micros: i64,
    /// The same for the future; microseconds.
    pub max_future_micros: i64,
    /// The detectors.
    pub detect: detect::Options,
    /// The operator's rules.
    pub rules: Arc<detect::Rules>,
    /// The operator's formats.
    pub formats: Arc<[parse::own::Own]>,
}

/// Why the pipeline cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The database said something that waiting will not mend.
    #[error("store a batch")]
    Store(#[source] StoreError),
    /// A bug.
    #[error("the pipeline's thread ended early")]
    Died,
}

/// Takes over the database and rebuilds the detectors' windows from what it holds.
///
/// # Errors
/// A statement failed.
pub async fn take_over(store: &impl Database, options: &Options) -> Result<(Saved, Engine), StoreError> {
    let saved = store.take_over().await?;
    let mut engine = Engine::with_rules(options.detect.clone(), Arc::clone(&options.rules));
    // As it was when the last transaction was made: nothing of what is observed again may be forgotten meanwhile.
    engine.set_floor(saved.floor.map(Timestamp::from_micros));
    if saved.transaction > 0 {
        let before_floor = |micros: i64| saved.floor.map_or(Timestamp::MIN, |f| Timestamp::from_micros(f).plus_micros(-micros));
        let from = before_floor(options.detect.warmup_micros());
        let observe = &mut |Observed { id, event_time, mut record }: Observed| {
            if !record.message.is_empty() {
                (record.told_by, record.count) = parse::message::told(record.app.as_deref(), &record.message, &options.formats);
            }
            engine.observe(&record, id, event_time);
        };
        let seen = match options.rules.widest_window_micros() {
            None => store.each_observed(from, observe).await?,
            Some(window) => {
                let all_from = before_floor(options.detect.warmup_of_window_micros(window));
                store.each_stored(from, all_from, observe).await?
            }
        };
        engine.take_changes();
        tracing::info!(records = seen, epoch = saved.epoch, "detectors are where they were");
    }
    Ok((saved, engine))
}

/// Called after each commit, in order, with where inputs got to.
pub type Committed = Arc<dyn Fn(&[PositionChange]) + Send + Sync>;

/// A pipeline that is ready to run.
pub struct Pipeline<D> {
    /// Where to store.
    pub store: D,
    /// What [`take_over`] found.
    pub saved: Saved,
    /// The detectors, where they were.
    pub engine: Engine,
    /// How to work.
    pub options: Options,
    /// What the inputs read.
    pub batches: mpsc::Receiver<Batch>,
    /// Who is told of commits.
    pub committed: Committed,
    /// Counters.
    pub stats: Arc<Stats>,
    /// What waits for the database.
    pub waits: Arc<Waits>,
    /// Ends everything at once; what is not committed is left to be read again.
    pub hard_stop: CancellationToken,
}

impl<D: Database> Pipeline<D> {
    /// Stores batches until they end and everything is committed, or until the hard stop.
    ///
    /// # Errors
    /// Another daemon has taken over, or the database refuses for good.
    pub async fn run(self) -> Result<(), PipelineError> {
        let hard_stop = self.hard_stop.clone();
        let Some((work, commit)) = self.stages().await? else { return Ok(()) };
        let handle = tokio::runtime::Handle::current();
        let thread = std::thread::Builder::new()
            .name("pipeline".into())
            .spawn(move || handle.block_on(work))
            .map_err(|_| PipelineError::Died)?;
        commit.await?;
        if hard_stop.is_cancelled() {
            // The thread may be waiting for input; it ends as soon as the inputs do.
            return Ok(());
        }
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        match ended {
            Ok(Ok(())) => Ok(()),
            _ => Err(PipelineError::Died),
        }
    }

    /// The two stages, each to be run beside the other: the work, which keeps a thread busy, and the commits. `None` after a hard stop.
    async fn stages(
        self,
    ) -> Result<Option<(impl Future<Output = ()> + Send, impl Future<Output = Result<(), PipelineError>> + Send)>, PipelineError>
    {
        let Pipeline { store, saved, engine, options, batches, committed, stats, waits, hard_stop } = self;
        let mut pauses = Pauses::new(&waits);
        let mut deliveries = Deliveries::default();
        loop {
            // Tried again, it meets again what it has seen, and goes on from there.
            match store.recent_deliveries(Deliveries::MAX, &mut |source, id| deliveries.remember_older(source, id)).await {
                Ok(()) => break,
                Err(e) if e.is_transient() => {
                    pauses.report(&e, "waiting for the database");
                    tokio::select! { biased; () = hard_stop.cancelled() => return Ok(None), () = tokio::time::sleep(pauses.next_pause()) => {} }
                }
                Err(e) => return Err(PipelineError::Store(e)),
            }
        }
        drop(pauses);
        // Two transactions are under way; one more may be ready.
        let (prepared_out, prepared_in) = mpsc::channel(1);
        let ids = work::Ids::new(store.clone(), Arc::clone(&waits));
        let shared = commit::Shared::new(store, &saved, options.max_evidence, committed, &stats, waits, hard_stop.clone());
        let floor = Floor::resumed(&saved, Instant::now());
        let steady = SteadyClock::since(saved.last_received);
        let resumed = work::Resumed { engine, floor, steady, deliveries, transaction: saved.transaction };
        let worker = work::Worker::new(options, resumed, ids, &stats, hard_stop);
        Ok(Some((worker.run(batches, prepared_out), commit::run(shared, prepared_in))))
    }
}
