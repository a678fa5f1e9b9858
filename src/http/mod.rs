//! HTTP: the doors for webhooks, and what operators and their machines ask: health and metrics.
//!
//! `/health/live`: the process works. `/health/ready`: what arrives is taken and stored; 503 with the reasons where not. Either way it
//! tells how far behind each input is.
//! `/metrics`: every counter in Prometheus' text format.

pub mod api;
pub mod server;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use crate::stats::Stats;

/// What `/health/ready` tells.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Readiness {
    /// Everything works.
    pub ready: bool,
    /// What the database side is doing: `starting`, `storing`, or what it waits for.
    pub database: String,
    /// Since when; RFC 3339.
    pub database_since: String,
    /// Why it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_error: Option<String>,
    /// What the journal is doing.
    pub journal: String,
    /// How far behind each input is.
    pub inputs: Vec<Behind>,
}

/// How far an input is behind.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Behind {
    /// `journal`, or `files:<name of the set>`.
    pub input: String,
    /// Bytes that are there and not committed; `None` (`null`) where nobody has looked yet. Before the database has told where to go on
    /// it is all that the journal holds.
    pub bytes: Option<u64>,
    /// About how many records those are, reckoned from the mean length of those of the input that were seen since the start; `None`
    /// (`null`) where none was. 0 means 0.
    pub records: Option<u64>,
    /// For how long the oldest of them has been waiting, in seconds.
    pub seconds: u64,
}

/// What the routes need.
#[derive(Clone)]
pub struct Health {
    /// Refreshed before each scrape.
    pub stats: Arc<Stats>,
    /// How things are.
    pub readiness: watch::Receiver<Readiness>,
}

/// Health and metrics.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/health/live", get(|| async { "alive\n" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> Response {
    let now = health.readiness.borrow().clone();
    let code = if now.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, axum::Json(now)).into_response()
}

async fn metrics(State(health): State<Health>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], health.stats.render()).into_response()
}
