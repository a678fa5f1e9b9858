//! Faults at random times against the running program, with a seed: is every line stored once, and are the incidents those of a run
//! without faults?
//!
//!     cargo test --release --test chaos -- --rounds 200 --seed 7
//!
//! Each round plays the story of `tests/common/story.rs` on a database and state directories of its own, with faults chosen by the seed.
//! The seed fixes what happens and roughly when; the scheduler has its say, so a seed that fails need not fail each time. A failure keeps
//! the round's directory (state, logs, our own log, PostgreSQL) and says where. Without arguments it is short, for `cargo test`.

#![allow(clippy::unwrap_used, reason = "it ends where something is wrong")]

mod faults;
#[path = "../common/stage.rs"]
mod stage;
#[allow(dead_code, reason = "tests/it needs more of it")]
#[path = "../common/story.rs"]
mod story;
#[allow(dead_code, reason = "tests/it needs more of it")]
#[path = "../common/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::FutureExt;
use indicatif::{ProgressBar, ProgressStyle};
use tocsin::record::Timestamp;

use stage::{Report, play};
use story::Chance;
use support::{Server, state_dir};

/// As `cargo test` names it.
const NAME: &str = "chaos";
/// Without arguments: enough to see each kind of sender and most faults, in less than a minute in a debug build.
const SHORT_ROUNDS: usize = 3;

/// Kills, crashes, full disks and flipped bits at random times; then every line must be stored once
#[derive(Parser)]
#[command(name = NAME)]
struct Arguments {
    /// Rounds to play
    #[arg(long, default_value_t = SHORT_ROUNDS)]
    rounds: usize,
    /// Of all chance; default: the time
    #[arg(long)]
    seed: Option<u64>,
    /// Faults in a round
    #[arg(long, default_value_t = 10)]
    faults: usize,
    /// Only faults of this kind, by the name that the summary gives it; may be repeated
    #[arg(long)]
    only: Vec<faults::Fault>,
    /// As the standard test harness takes it: run if one of these is part of our name
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    harness: Harness,
}

/// What `cargo test` may pass on, and what other runners ask.
#[derive(clap::Args)]
struct Harness {
    #[arg(long, hide = true)]
    list: bool,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true)]
    skip: Vec<String>,
    #[arg(long, hide = true)]
    ignored: bool,
    #[arg(long, hide = true)]
    include_ignored: bool,
    #[arg(long, alias = "no-capture", hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    show_output: bool,
    #[arg(short, long, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    #[arg(long, hide = true)]
    format: Option<String>,
    #[arg(long, hide = true)]
    color: Option<String>,
}

impl Arguments {
    fn is_meant(&self) -> bool {
        let is_ours = |name: &String| if self.harness.exact { name == NAME } else { NAME.contains(name.as_str()) };
        let is_named = self.names.is_empty() || self.names.iter().any(is_ours);
        is_named && !self.harness.skip.iter().any(is_ours) && !self.harness.ignored
    }
}

/// Everything so far.
#[derive(Default)]
struct Tally {
    rounds: usize,
    lines: usize,
    lost: usize,
    repeated: usize,
    counts: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn add(&mut self, report: &Report) {
        self.rounds += 1;
        self.lines += report.lines;
        self.lost += report.lost.len();
        self.repeated += report.repeated.len();
        for (what, times) in &report.counts {
            *self.counts.entry(what).or_default() += times;
        }
    }

    fn tell(&self, seed: u64) -> String {
        let kills = self.counts.get("kills").copied().unwrap_or(0);
        format!(
            "{} rounds  {kills} kills  {} lines  {} lost  {} repeated  seed {seed}",
            self.rounds, self.lines, self.lost, self.repeated
        )
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.harness.list {
        if arguments.is_meant() {
            println!("{NAME}: test");
        }
        return ExitCode::SUCCESS;
    }
    if !arguments.is_meant() {
        println!("0 tests: {NAME} was not asked for");
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = state_dir();
    let has_passed = runtime.block_on(async {
        tokio::select! {
            has_passed = run(&arguments, dir.path()) => Some(has_passed),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    // Senders of a round that failed may be waiting for something that will not come; nobody writes to the directory after this.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match has_passed {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => {
            println!("everything is kept in {}", dir.keep().display());
            ExitCode::FAILURE
        }
        None => ExitCode::from(130),
    }
}

/// Whether everything was as it should be.
async fn run(arguments: &Arguments, dir: &Path) -> bool {
    let seed = arguments.seed.unwrap_or_else(|| Timestamp::now().as_micros() as u64);
    let began = Instant::now();
    println!("{NAME}: {} rounds of {} faults, seed {seed}", arguments.rounds, arguments.faults);
    let server = tokio::task::spawn_blocking({
        let dir = dir.to_owned();
        move || Arc::new(Server::within(&dir))
    })
    .await
    .unwrap();
    let bar = ProgressBar::new(arguments.rounds as u64);
    let style = "{bar:30} {pos}/{len} {msg} (about {eta} left)";
    bar.set_style(ProgressStyle::with_template(style).expect("a template that is a constant"));
    let mut tally = Tally::default();
    let failure = all_rounds(arguments, seed, &server, dir, &bar, &mut tally).await.err();
    bar.finish_and_clear();
    let others = tally.counts.iter().map(|(what, times)| format!("{what} {times}")).collect::<Vec<_>>();
    println!("{}", others.join(", "));
    println!("{}  {:.0} s", tally.tell(seed), began.elapsed().as_secs_f64());
    match &failure {
        None => println!("{NAME}: ok"),
        Some(what) => println!("{NAME}: FAILED, seed {seed}, {what}"),
    }
    failure.is_none()
}

async fn all_rounds(
    arguments: &Arguments,
    seed: u64,
    server: &Arc<Server>,
    dir: &Path,
    bar: &ProgressBar,
    tally: &mut Tally,
) -> Result<(), String> {
    let calm = round(server, &dir.join("calm"), None, &[], 0).await.map_err(|what| format!("without faults: {what}"))?;
    if calm.incidents.len() < 10 {
        return Err(format!("the story has too few attacks: {:#?}", calm.incidents));
    }
    let kinds: Vec<faults::Fault> = if arguments.only.is_empty() { faults::all() } else { arguments.only.clone() };
    for n in 1..=arguments.rounds {
        let began = Instant::now();
        let chance = Chance::new(seed).branch(n as u64);
        let played = round(server, &dir.join(format!("round-{n}")), Some(chance), &kinds, arguments.faults).await;
        let report = played.map_err(|what| format!("round {n}: {what}"))?;
        tally.add(&report);
        let line = format!(
            "round {n}: {} lines, {} lost, {} repeated, {:.1} s; {}",
            report.lines,
            report.lost.len(),
            report.repeated.len(),
            began.elapsed().as_secs_f64(),
            report.counts.iter().map(|(what, times)| format!("{what} {times}")).collect::<Vec<_>>().join(", ")
        );
        if bar.is_hidden() {
            println!("{line}");
        } else {
            bar.println(line);
        }
        bar.set_message(tally.tell(seed));
        bar.inc(1);
        if let Some(what) = complaint(&report, &calm) {
            return Err(format!("round {n}: {what}"));
        }
    }
    Ok(())
}

/// Plays a round; what a panic said otherwise.
async fn round(
    server: &Arc<Server>,
    dir: &Path,
    chance: Option<Chance>,
    kinds: &[faults::Fault],
    faults: usize,
) -> Result<Report, String> {
    let manners = chance.as_ref().map(|c| c.branch(1));
    let mut chance = chance.unwrap_or_else(|| Chance::new(0));
    let played = play(server, dir, manners.as_ref(), faults, async |stage, _| {
        faults::inject(stage, kinds, &mut chance).await;
    });
    let report = AssertUnwindSafe(played).catch_unwind().await.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        text.unwrap_or("a panic").to_owned()
    })?;
    if report.lost.is_empty() && report.repeated.is_empty() && report.complaints.is_empty() {
        std::fs::remove_dir_all(dir).map_err(|e| format!("cannot remove {}: {e}", dir.display()))?;
    }
    Ok(report)
}

/// What is wrong with a round, in some lines.
fn complaint(report: &Report, calm: &Report) -> Option<String> {
    const NAMED: usize = 20;
    let mut lines = report.complaints.clone();
    for (what, list) in [("lost", &report.lost), ("repeated", &report.repeated)] {
        if !list.is_empty() {
            let named = list.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            lines.push(format!("{} {what}: {named}{}", list.len(), if list.len() > NAMED { " …" } else { "" }));
        }
    }
    let missing = |these: &Report, those: &Report, what: &str| -> Vec<String> {
        these.incidents.iter().filter(|i| !those.incidents.contains(i)).map(|i| format!("{what}: {i}")).collect()
    };
    lines.extend(missing(calm, report, "incident of the run without faults"));
    lines.extend(missing(report, calm, "incident with faults"));
    (!lines.is_empty()).then(|| lines.join("\n  "))
}
