//! Killed at random moments, with the database crashed under it: nothing lost, nothing twice, the incidents of a run without faults.
//! `tests/chaos` does more of this, and worse.

use std::sync::Arc;

use tocsin::record::Timestamp;

use crate::stage::{Report, play};
use crate::story::Chance;
use crate::support::{Server, state_dir};

/// Chance with a seed that a failure prints.
fn chance() -> Chance {
    let seed = std::env::var("TOCSIN_TEST_SEED").ok().and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or_else(|| Timestamp::now().as_micros() as u64);
    eprintln!("TOCSIN_TEST_SEED={seed}");
    Chance::new(seed)
}

fn assert_kept(report: &Report) {
    assert!(report.lost.is_empty() && report.repeated.is_empty() && report.complaints.is_empty(), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_25_times_and_the_database_crashed_5_times() {
    let server = Arc::new(tokio::task::spawn_blocking(Server::start).await.unwrap());
    let calm = play(&server, state_dir().path(), None, 0, async |_, _| {}).await;
    assert_kept(&calm);
    assert!(calm.incidents.len() >= 10, "the story has attacks: {:#?}", calm.incidents);

    let mut chance = chance();
    let manners = chance.branch(1);
    let killed = play(&server, state_dir().path(), Some(&manners), 25, async |stage, _| {
        tokio::time::sleep(chance.millis_below(300)).await;
        stage.kill();
        stage.start().await;
    })
    .await;
    assert_kept(&killed);
    assert_eq!(killed.incidents, calm.incidents, "after 25 kills of the daemon");

    let manners = chance.branch(2);
    let crashed = play(&server, state_dir().path(), Some(&manners), 5, async |stage, _| {
        tokio::time::sleep(chance.millis_below(1_000)).await;
        stage.crash_database().await;
        stage.start_database().await;
    })
    .await;
    assert_kept(&crashed);
    assert_eq!(crashed.incidents, calm.incidents, "after 5 crashes of the database");
}
