//! JSON over HTTP: `POST /ingest/{source}` with an object, an array of objects, or objects one after the other (NDJSON).
//!
//! | answer | means |
//! | --- | --- |
//! | 200 `{"accepted":N}` | all N events are in the journal, and it is synced |
//! | 400 | the delivery id or the body cannot be read |
//! | 401 + WWW-Authenticate | the token or signature is missing or wrong |
//! | 404 | no such source; told after the comparison that a known source would cost, so that timing says nothing more |
//! | 408 | the body did not come in time |
//! | 413 | the body, what it decompresses to, or the number of events is over its limit |
//! | 415 | neither JSON nor NDJSON; or an encoding other than gzip |
//! | 422 | not JSON, or an event that is no object; `line` and `column`, or `index` tell where |
//! | 503 + Retry-After | the journal is full or its disk refuses, or too many requests at a time: send it again |
//!
//! Names of sources are no secret, tokens are. Errors are `application/problem+json` (RFC 9457). Every event is stored as the bytes that
//! its sender wrote. Content decides between array and objects; the content type only has to be JSON, NDJSON or absent.

mod auth;
mod body;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::Semaphore;

pub use auth::Credentials;

use self::body::{Encoding, Limits};
use super::received;
use super::refused::{Refusals, Refused};
use super::shares::{Exhausted, Share, Shares};
use crate::journal::{Group, JournalError, JournalHandle};
use crate::record::Timestamp;
use crate::stats::{Counter, Stats};

/// Headers that carry a delivery id, in the order in which they are looked for: GitHub's, the "Standard Webhooks" specification's, the
/// IETF draft "Idempotency-Key", and a plain name.
const DELIVERY_HEADERS: [&str; 4] = ["x-delivery-id", "idempotency-key", "webhook-id", "x-github-delivery"];
/// Bodies longer than this are read on a blocking thread, in bytes.
const INLINE_BYTES: usize = 64 << 10;

/// How long the rest of a refused body is taken, so that its sender reads why.
const LINGER: Duration = Duration::from_secs(2);

/// A source that may be posted to.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name, as in the address.
    pub name: String,
    /// Who may post. `None`: anybody who can reach the address.
    pub auth: Option<Credentials>,
}

/// Limits for all webhooks together.
#[derive(Debug, Clone)]
pub struct Options {
    /// The sources.
    pub sources: Vec<Source>,
    /// The longest body as sent, in bytes.
    pub max_body_bytes: usize,
    /// The longest body after decompression, in bytes.
    pub max_decompressed_bytes: usize,
    /// The most events in a body.
    pub max_events: usize,
    /// Requests at a time.
    pub max_requests: usize,
    /// Memory for the bodies of all requests together and what is made of them, in bytes; half of it for each peer, and at least what
    /// one request needs at most.
    pub max_memory_bytes: usize,
    /// A body must have arrived after this time.
    pub read_timeout: Duration,
    /// What Retry-After says.
    pub retry_after: Duration,
}

impl Default for Options {
    /// 16 MiB as sent and decompressed, 100,000 events, 256 requests, 64 MiB for all, 30 s to arrive, 10 s to retry.
    fn default() -> Options {
        Options {
            sources: Vec::new(),
            max_body_bytes: 16 << 20,
            max_decompressed_bytes: 16 << 20,
            max_events: 100_000,
            max_requests: 256,
            max_memory_bytes: 64 << 20,
            read_timeout: Duration::from_secs(30),
            retry_after: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// What one request needs of the memory for all at most, in bytes: its body as sent and decompressed, or that and the events in it,
    /// or the events and the record of them.
    pub fn worst_request_bytes(&self) -> usize {
        let events = body::worst_events_bytes(self.max_decompressed_bytes, self.max_events);
        events + self.max_decompressed_bytes.max(self.max_body_bytes)
    }
}

/// The routes, to be mounted at the root of the HTTP server. Serve with `ConnectInfo<SocketAddr>` for the peer's address to be stored.
pub fn router(options: Options, journal: JournalHandle, stats: &Stats, refusals: &Arc<Refusals>) -> Router {
    let refused = |source: &str| Refusal::REASONS.map(|reason| Refused::visits(stats, refusals, source, reason));
    let sources = options.sources.iter().map(|s| {
        let door = Door { auth: s.auth.clone(), received: received(stats, &s.name), refused: refused(&s.name) };
        (s.name.clone(), door)
    });
    let per_peer = (options.max_memory_bytes / 2).max(options.worst_request_bytes());
    let shared = Shared {
        sources: sources.collect(),
        requests: Semaphore::new(options.max_requests),
        memory: Shares::new(options.max_memory_bytes, per_peer),
        nowhere: refused(""),
        journal,
        options,
    };
    let routes = Router::new().route("/ingest/{source}", post(ingest));
    routes.layer(DefaultBodyLimit::disable()).with_state(Arc::new(shared))
}

struct Shared {
    options: Options,
    sources: HashMap<String, Door>,
    journal: JournalHandle,
    requests: Semaphore,
    memory: Arc<Shares>,
    /// What was refused before it had a source.
    nowhere: [Refused; Refusal::REASONS.len()],
}

struct Door {
    auth: Option<Credentials>,
    received: Arc<Counter>,
    /// By position in [`Refusal::REASONS`].
    refused: [Refused; Refusal::REASONS.len()],
}

/// Why a request was not taken.
#[derive(Debug)]
enum Refusal {
    UnknownSource,
    Unauthorized,
    Delivery,
    Broken,
    Slow,
    TooLarge(String),
    Unsupported(String),
    Malformed { detail: String, place: Place },
    Busy,
    Memory,
    Unavailable(String),
}

/// Where in a body something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A line and a column, both from 1.
    Text { line: usize, column: usize },
    /// An event, from 0.
    Event(usize),
}

async fn ingest(State(shared): State<Arc<Shared>>, Path(source): Path<String>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip().to_canonical());
    let (parts, mut body) = request.into_parts();
    match take(&shared, &source, peer, &parts, &mut body).await {
        Ok(count) => axum::Json(serde_json::json!({ "accepted": count })).into_response(),
        Err(refusal) => {
            let refused = shared.sources.get(&source).map_or(&shared.nowhere, |door| &door.refused);
            refused[refusal.reason()].add(peer, 1);
            // Who waits to be told to go on has sent nothing yet.
            if !matches!(refusal, Refusal::Slow | Refusal::Broken) && !parts.headers.contains_key(header::EXPECT) {
                let _ = tokio::time::timeout(LINGER, discard(&mut body, shared.options.max_body_bytes)).await;
            }
            refusal.into_response(&shared.options)
        }
    }
}

/// Takes a request's events; returns how many, once they are synced.
async fn take(shared: &Shared, source: &str, peer: Peer, parts: &Parts, body: &mut Body) -> Result<usize, Refusal> {
    let _place = shared.requests.try_acquire().map_err(|_| Refusal::Busy)?;
    let door = shared.sources.get(source);
    // What can be told without the body is told before it is read. An unknown source is compared too.
    let auth = match door {
        Some(door) => door.auth.as_ref(),
        None => Some(Credentials::nobody()),
    };
    let sign = match auth.map(|auth| auth.check_headers(&parts.headers)) {
        None | Some(auth::Verdict::Granted) => false,
        Some(auth::Verdict::DependsOnBody) => true,
        Some(auth::Verdict::Denied) if door.is_none() => return Err(Refusal::UnknownSource),
        Some(auth::Verdict::Denied) => return Err(Refusal::Unauthorized),
    };
    let Some(door) = door else { return Err(Refusal::UnknownSource) };
    content_type(&parts.headers)?;
    let encoding = content_encoding(&parts.headers)?;
    let delivery = delivery(&parts.headers)?;

    // Without a known peer, all are one.
    let mut memory = shared.memory.of(peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    let read = read(body, shared.options.max_body_bytes, &mut memory);
    let bytes = tokio::time::timeout(shared.options.read_timeout, read).await.map_err(|_| Refusal::Slow)??;
    if sign && !auth.is_some_and(|auth| auth.check_signature(&parts.headers, &bytes)) {
        return Err(Refusal::Unauthorized);
    }

    let group = Group::new(source, Timestamp::now()).with_delivery(delivery.as_deref());
    let limits = Limits { bytes: shared.options.max_decompressed_bytes, events: shared.options.max_events };
    let (group, _memory) = if encoding == Encoding::Identity && bytes.len() <= INLINE_BYTES {
        body::events(bytes, encoding, limits, group, peer, memory)?
    } else {
        let task = tokio::task::spawn_blocking(move || body::events(bytes, encoding, limits, group, peer, memory));
        task.await.map_err(|_| Refusal::Unavailable("shutting down".into()))??
    };
    if !group.is_empty() {
        shared.journal.append_and_wait(&group).await.map_err(|error| match error {
            JournalError::TooLarge { .. } => Refusal::TooLarge(error.to_string()),
            other => Refusal::Unavailable(other.to_string()),
        })?;
    }
    door.received.add(group.frames().len() as u64);
    Ok(group.frames().len())
}

/// The next piece of a body.
async fn next(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        match std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await? {
            Ok(frame) => match frame.into_data() {
                Ok(data) => return Some(Ok(data)),
                Err(_trailers) => {}
            },
            Err(error) => return Some(Err(error)),
        }
    }
}

/// Takes the rest of a refused body, about `limit` bytes of it: where a connection is closed with something unread, the answer is lost
/// with it.
async fn discard(body: &mut Body, limit: usize) {
    let mut left = limit;
    while left > 0
        && let Some(Ok(data)) = next(body).await
    {
        left = left.saturating_sub(data.len());
    }
}

/// Reads a body of at most `limit` bytes.
async fn read(body: &mut Body, limit: usize, memory: &mut Share) -> Result<Vec<u8>, Refusal> {
    let too_large = || Refusal::TooLarge(format!("the body is longer than {limit} bytes"));
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut out = Vec::new();
    while let Some(data) = next(body).await {
        let data = data.map_err(|_| Refusal::Broken)?;
        if out.len() + data.len() > limit {
            return Err(too_large());
        }
        body::make_room(&mut out, data.len(), limit, memory)?;
        out.extend_from_slice(&data);
    }
    Ok(out)
}

fn content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let known = matches!(
        essence.as_str(),
        "application/json" | "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines"
    );
    let json_suffix = essence.starts_with("application/") && essence.ends_with("+json");
    if known || json_suffix { Ok(()) } else { Err(Refusal::Unsupported("the content type is not JSON or NDJSON".into())) }
}

fn content_encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let encoding = match values.next().map(|v| v.to_str().unwrap_or("?").trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "identity") => Some(Encoding::Identity),
        Some("gzip" | "x-gzip") => Some(Encoding::Gzip),
        Some(_) => None,
    };
    encoding.filter(|_| values.next().is_none()).ok_or_else(|| Refusal::Unsupported("the content encoding is not gzip".into()))
}

fn delivery(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = DELIVERY_HEADERS.iter().find_map(|name| headers.get(*name)) else { return Ok(None) };
    let id = value.as_bytes();
    let fits = (1..=Group::MAX_NAME_BYTES).contains(&id.len()) && id.iter().all(|b| (b' '..=b'~').contains(b));
    if fits { Ok(Some(String::from_utf8_lossy(id).into_owned())) } else { Err(Refusal::Delivery) }
}

impl From<Exhausted> for Refusal {
    fn from(_: Exhausted) -> Refusal {
        Refusal::Memory
    }
}

impl Refusal {
    /// As they are counted.
    const REASONS: [&str; 11] = [
        "unknown source",
        "unauthorized",
        "delivery id",
        "broken body",
        "slow body",
        "too large",
        "unsupported",
        "malformed",
        "too many requests",
        "memory for bodies",
        "journal unavailable",
    ];

    /// Its position among them.
    fn reason(&self) -> usize {
        match self {
            Refusal::UnknownSource => 0,
            Refusal::Unauthorized => 1,
            Refusal::Delivery => 2,
            Refusal::Broken => 3,
            Refusal::Slow => 4,
            Refusal::TooLarge(_) => 5,
            Refusal::Unsupported(_) => 6,
            Refusal::Malformed { .. } => 7,
            Refusal::Busy => 8,
            Refusal::Memory => 9,
            Refusal::Unavailable(_) => 10,
        }
    }

    fn into_response(self, options: &Options) -> Response {
        let (status, detail, place) = match self {
            Refusal::UnknownSource => (StatusCode::NOT_FOUND, "there is no source of this name".to_owned(), None),
            Refusal::Unauthorized => (StatusCode::UNAUTHORIZED, "the token or signature is missing or wrong".to_owned(), None),
            Refusal::Delivery => {
                (StatusCode::BAD_REQUEST, "the delivery id is not 1 to 255 printable ASCII characters".to_owned(), None)
            }
            Refusal::Broken => (StatusCode::BAD_REQUEST, "the body ended early or cannot be decompressed".to_owned(), None),
            Refusal::Slow => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned(), None),
            Refusal::TooLarge(detail) => (StatusCode::PAYLOAD_TOO_LARGE, detail, None),
            Refusal::Unsupported(detail) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, detail, None),
            Refusal::Malformed { detail, place } => (StatusCode::UNPROCESSABLE_ENTITY, detail, Some(place)),
            Refusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time".to_owned(), None),
            Refusal::Memory => (StatusCode::SERVICE_UNAVAILABLE, "too much is being received".to_owned(), None),
            Refusal::Unavailable(detail) => (StatusCode::SERVICE_UNAVAILABLE, detail, None),
        };
        let title = status.canonical_reason().unwrap_or("error");
        let mut problem = serde_json::json!({ "title": title, "status": status.as_u16(), "detail": detail });
        match place {
            Some(Place::Text { line, column }) => {
                problem["line"] = line.into();
                problem["column"] = column.into();
            }
            Some(Place::Event(index)) => problem["index"] = index.into(),
            None => {}
        }
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], problem.to_string()).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"ingest\""));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, options.retry_after.as_secs().max(1).into());
        }
        response
    }
}

/// The address to store with events from a peer.
type Peer = Option<IpAddr>;
