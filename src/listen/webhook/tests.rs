//! Every answer, through a real socket, as bytes.

use std::io::Write as _;

use axum::http::HeaderName;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::journal::{Journal, Options as JournalOptions, Reader, Sources};
use crate::record::Zone;

const DEADLINE: Duration = Duration::from_secs(20);

struct Running {
    _dir: tempfile::TempDir,
    journal: Journal,
    stats: Stats,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn start(change: impl FnOnce(&mut Options), journal_options: JournalOptions) -> Running {
    let (dir, stats) = (tempfile::tempdir().unwrap(), Stats::default());
    let journal = Journal::open(dir.path(), journal_options, 0, &stats).unwrap();
    let named = |name: &str, auth| Source { name: name.to_owned(), auth };
    let mut options = Options {
        sources: vec![
            named("open", None),
            named("token", Some(Credentials::new(&["secret-token".into(), "second".into()], &[]))),
            named("signed", Some(Credentials::new(&[], &[b"key".to_vec()]))),
            named(
                "custom",
                Some(Credentials::new(&[], &[b"key".to_vec()]).with_signature_header(HeaderName::from_static("x-my-signature"))),
            ),
        ],
        ..Options::default()
    };
    change(&mut options);
    let router = router(options, journal.handle(), &stats, &Default::default());
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(socket, service).await.unwrap() });
    Running { _dir: dir, journal, stats, address, server }
}

/// Names and values.
type Headers<'h> = &'h [(&'h str, &'h str)];

/// An answer: status, head in lower case, body.
type Answer = (u16, String, String);

impl Running {
    async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("in time").unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
    }

    async fn post(&self, source: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request =
            format!("POST /ingest/{source} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        self.raw(&[request.as_bytes(), b"\r\n", body].concat()).await
    }

    /// The frames in the journal, as soon as there are `count`, and the delivery ids.
    async fn frames(&self, count: usize) -> (Vec<String>, Vec<String>) {
        let mut reader = Reader::new(&self.journal, 0, Sources { known: Default::default(), default_zone: Zone::UTC });
        let (mut out, mut ids) = (Vec::new(), Vec::new());
        while out.len() < count {
            let batch = timeout(DEADLINE, reader.next()).await.expect("in time").unwrap().unwrap();
            assert!(batch.origins.iter().all(|o| o.peer == Some([127, 0, 0, 1].into())));
            out.extend(batch.frames.iter().map(|f| String::from_utf8(batch.bytes_of(f).to_vec()).unwrap()));
            ids.extend(batch.deliveries.into_iter().map(|d| d.id));
        }
        (out, ids)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn signature(key: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test]
async fn every_shape_is_stored_as_it_was_written_before_it_is_answered() {
    // Nothing but the request itself can cause a sync.
    let slow = JournalOptions { sync_interval: Duration::from_secs(3600), ..JournalOptions::default() };
    let running = start(|_| {}, slow).await;
    let cases: [(&[u8], &str, usize); 6] = [
        (b"{\"a\": 1.0}", "application/json", 1),
        (b" [ {\"b\":  \"\\u00e9\"} ,\n{}]", "application/json; charset=utf-8", 2),
        (b"{\"c\":1}\n{\"d\":[{\"}\":\"\\\"]\"}]}\r\n\n{\"e\":null}", "application/x-ndjson", 3),
        (b"{\n  \"f\": 1\n}\n", "application/vnd.x+json", 1),
        (b"[]", "application/json", 0),
        (b"{\"g\":12345678901234567890.10}", "", 1),
    ];
    for (body, content_type, count) in cases {
        let headers = [("Content-Type", content_type)];
        let headers = if content_type.is_empty() { &[][..] } else { &headers[..] };
        let (status, _, answer) = running.post("open", headers, body).await;
        assert_eq!((status, answer.as_str()), (200, format!("{{\"accepted\":{count}}}").as_str()));
    }
    let (status, ..) =
        running.post("open", &[("Content-Encoding", "gzip"), ("X-GitHub-Delivery", "id-1")], &gzip(b"{\"h\":1}")).await;
    assert_eq!(status, 200);
    let (frames, ids) = running.frames(9).await;
    let want = [
        "{\"a\": 1.0}",
        "{\"b\":  \"\\u00e9\"}",
        "{}",
        "{\"c\":1}",
        "{\"d\":[{\"}\":\"\\\"]\"}]}",
        "{\"e\":null}",
        "{\n  \"f\": 1\n}",
        "{\"g\":12345678901234567890.10}",
        "{\"h\":1}",
    ];
    assert_eq!((frames, ids), (want.map(str::to_owned).to_vec(), vec!["id-1".to_owned()]));
}

#[tokio::test]
async fn only_who_knows_the_secret_gets_in() {
    let running = start(|_| {}, JournalOptions::default()).await;
    let body = b"{\"a\":1}";
    let right = format!("sha256={}", signature(b"key", body));
    let wrong = format!("sha256={}", signature(b"other", body));
    let cases: [(&str, Headers, u16); 14] = [
        ("token", &[("Authorization", "Bearer secret-token")], 200),
        ("token", &[("Authorization", "bearer second")], 200),
        ("token", &[("Authorization", "Bearer secret-toke")], 401),
        ("token", &[("Authorization", "Basic secret-token")], 401),
        ("token", &[], 401),
        ("token", &[("X-Hub-Signature-256", &right)], 401),
        ("signed", &[("X-Hub-Signature-256", &right)], 200),
        ("signed", &[("X-Signature-256", &right)], 200),
        ("signed", &[("X-Hub-Signature-256", &wrong)], 401),
        ("signed", &[("X-Hub-Signature-256", "sha256=zz")], 401),
        ("signed", &[("Authorization", "Bearer ")], 401),
        ("custom", &[("X-My-Signature", right.strip_prefix("sha256=").unwrap())], 200),
        ("custom", &[("X-Hub-Signature-256", &right)], 401),
        ("nobody", &[("Authorization", "Bearer secret-token")], 404),
    ];
    for (source, headers, want) in cases {
        let (status, head, _) = running.post(source, headers, body).await;
        assert_eq!(status, want, "{source} {headers:?}");
        assert_eq!(head.contains("www-authenticate: bearer"), want == 401);
    }
    // The signature is over the bytes as they were sent.
    let packed = gzip(body);
    let signed = format!("sha256={}", signature(b"key", &packed));
    let (status, ..) = running.post("signed", &[("Content-Encoding", "gzip"), ("X-Hub-Signature-256", &signed)], &packed).await;
    assert_eq!(status, 200);
    assert_eq!(running.stats.total("frames_total"), 6);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_place_and_nothing_is_stored() {
    let running = start(|_| {}, JournalOptions::default()).await;
    let deep = format!("[{{}},{{\"a\":{}{}}}]", "[".repeat(128), "]".repeat(128));
    let bottomless = "[".repeat(100_000);
    let cases: [(&[u8], &str); 10] = [
        (b"{\"a\":1}\n{\"a\":x}\n", "\"line\":2"),
        (b"[{\"a\":1},{\"b\":}]", "\"column\":15"),
        (b"[{},1]", "\"index\":1"),
        (b"{}\n\"text\"\n", "\"index\":1"),
        (b"[{}] {}", "\"line\":1"),
        (b"[{}", "\"line\":1"),
        (b"", "empty"),
        (b"{\"a\":\"\xff\"}", "\"line\":1"),
        (deep.as_bytes(), "\"index\":1"),
        (bottomless.as_bytes(), "\"status\":422"),
    ];
    for (body, want) in cases {
        let (status, head, answer) = running.post("open", &[], body).await;
        assert_eq!(status, 422, "{}", String::from_utf8_lossy(body));
        assert!(head.contains("application/problem+json") && answer.contains(want), "{answer}");
    }
    let long = "x".repeat(256);
    let cases: [(Headers, &[u8], u16); 6] = [
        (&[("Content-Type", "text/plain")], b"{}", 415),
        (&[("Content-Type", "application/xml")], b"{}", 415),
        (&[("Content-Encoding", "br")], b"{}", 415),
        (&[("Content-Encoding", "gzip")], b"{}", 400),
        (&[("X-Delivery-Id", &long)], b"{}", 400),
        (&[("Idempotency-Key", "\u{e9}")], b"{}", 400),
    ];
    for (headers, body, want) in cases {
        assert_eq!(running.post("open", headers, body).await.0, want, "{headers:?}");
    }
    let (status, head, _) = running.raw(b"GET /ingest/open HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await;
    assert_eq!((status, head.contains("allow: post")), (405, true));
    assert_eq!((running.stats.total("frames_total"), running.stats.total("journal_records_total")), (0, 0));
}

#[tokio::test]
async fn too_much_is_refused_before_it_is_held() {
    let limits = |o: &mut Options| (o.max_body_bytes, o.max_decompressed_bytes, o.max_events) = (1000, 100_000, 50);
    let running = start(limits, JournalOptions::default()).await;
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1000));
    assert_eq!(running.post("open", &[], long.as_bytes()).await.0, 413);
    let chunked = format!(
        "POST /ingest/open HTTP/1.1\r\nHost: t\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
        long.len()
    );
    assert_eq!(running.raw(chunked.as_bytes()).await.0, 413);
    let bomb = gzip(format!("{{\"a\":\"{}\"}}", "x".repeat(200_000)).as_bytes());
    assert!(bomb.len() < 1000);
    assert_eq!(running.post("open", &[("Content-Encoding", "gzip")], &bomb).await.0, 413);
    assert_eq!(running.post("open", &[], "{}".repeat(51).as_bytes()).await.0, 413);
    assert_eq!(running.post("open", &[], "{}".repeat(50).as_bytes()).await.0, 200);
}

#[tokio::test]
async fn a_full_journal_asks_to_come_back() {
    let tiny = JournalOptions { limit_bytes: 8192, segment_bytes: 1024, ..JournalOptions::default() };
    let running = start(|_| {}, tiny).await;
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(500));
    let mut accepted = 0;
    let head = loop {
        match running.post("open", &[], body.as_bytes()).await {
            (200, ..) => accepted += 1,
            (503, head, _) => break head,
            other => panic!("{other:?}"),
        }
    };
    assert!(head.contains("retry-after: 10"), "{head}");
    assert_eq!(running.frames(accepted).await.0.len(), accepted);
    running.journal.release(running.journal.synced());
    timeout(DEADLINE, async { while running.post("open", &[], body.as_bytes()).await.0 != 200 {} })
        .await
        .expect("space comes back");
}

#[tokio::test]
async fn patience_and_places_are_limited() {
    let running = start(|o| o.read_timeout = Duration::from_millis(50), JournalOptions::default()).await;
    let slow = b"POST /ingest/open HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 10\r\n\r\n{";
    assert_eq!(running.raw(slow).await.0, 408);

    let running = start(|o| o.max_requests = 0, JournalOptions::default()).await;
    let (status, head, _) = running.post("open", &[], b"{}").await;
    assert_eq!((status, head.contains("retry-after:")), (503, true));

    let running = start(|o| o.max_memory_bytes = 20_000, JournalOptions::default()).await;
    assert_eq!(running.post("open", &[], b"{}").await.0, 200);
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(10_000));
    assert_eq!(running.post("open", &[], long.as_bytes()).await.0, 503);
    let packed = gzip(long.as_bytes());
    assert_eq!(running.post("open", &[("Content-Encoding", "gzip")], &packed).await.0, 503);
    assert!(running.stats.render().contains("reason=\"memory for bodies\"} 2\n"), "{}", running.stats.render());
    assert_eq!(running.post("open", &[], b"{}").await.0, 200, "what was taken came back");
}
