//! Any body, plain or gzip, to a webhook: an answer that is documented, and after a 200 that many JSON objects in the journal.
//! The first byte picks how the rest is sent.
#![no_main]

use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tocsin::journal::{self, Journal, Reader, Sources};
use tocsin::listen::webhook::{self, Options, Source};
use tocsin::record::Zone;
use tocsin::stats::Stats;
use tower_service::Service;

struct Door {
    runtime: tokio::runtime::Runtime,
    router: Router,
    reader: Reader,
    journal: Journal,
    _dir: tempfile::TempDir,
}

static DOOR: LazyLock<Mutex<Door>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (dir, stats) = (tempfile::tempdir().expect("a temporary directory"), Stats::default());
    let small = journal::Options { segment_bytes: 1 << 20, limit_bytes: 64 << 20, ..journal::Options::default() };
    let journal = Journal::open(dir.path(), small, 0, &stats).expect("opened");
    let reader = Reader::new(&journal, 0, Sources { known: Default::default(), default_zone: Zone::UTC });
    let sources = vec![Source { name: "any".into(), auth: None }];
    let limits = Options { sources, max_decompressed_bytes: 1 << 20, max_events: 1000, ..Options::default() };
    let router = webhook::router(limits, journal.handle(), &stats, &Default::default());
    Mutex::new(Door { runtime, router, reader, journal, _dir: dir })
});

fuzz_target!(|data: &[u8]| {
    let Some((&how, sent)) = data.split_first() else { return };
    let (encoding, body) = match how % 3 {
        0 => ("identity", sent.to_vec()),
        1 => ("gzip", sent.to_vec()),
        _ => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(sent).expect("in memory");
            ("gzip", gzip.finish().expect("in memory"))
        }
    };
    let request = Request::post("/ingest/any").header("content-encoding", encoding).body(Body::from(body)).expect("a request");
    let mut door = DOOR.lock().unwrap_or_else(PoisonError::into_inner);
    let Door { runtime, router, reader, journal, .. } = &mut *door;
    runtime.block_on(async {
        let Ok(response) = router.call(request).await;
        let status = response.status().as_u16();
        assert!([200, 400, 413, 422].contains(&status), "{status}");
        let answer = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
        if status != 200 {
            assert_eq!(answer["status"], status);
            return;
        }
        let accepted = answer["accepted"].as_u64().expect("a number");
        let mut stored = 0;
        while stored < accepted {
            let batch = reader.next().await.expect("read").expect("what was accepted");
            for frame in &batch.frames {
                assert!(batch.bytes_of(frame).starts_with(b"{"));
                serde_json::from_slice::<&RawValue>(batch.bytes_of(frame)).expect("JSON");
            }
            stored += batch.frames.len() as u64;
            journal.release(batch.positions[0].to);
        }
        assert_eq!(stored, accepted);
    });
});
