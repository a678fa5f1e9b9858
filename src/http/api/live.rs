//! `/api/v1/logs/live`: records as they are stored, as Server-Sent Events (WHATWG HTML §9.2).
//!
//! Each event has the record's id as its own, so that whoever was cut off goes on behind the last one that arrived. While there is nothing
//! to tell, nothing is held but the place: the database is asked once a second, over a connection that is given back each time. Where the
//! client takes nothing, nothing is asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::logs::read;
use super::problem::Problem;
use super::{Api, Caller, Query, place};
use crate::casework::logs::NewLogs;
use crate::casework::{Casework, CaseworkError, Via};
use crate::record::Timestamp;
use crate::store::logs::LogRow;
use crate::store::query;

/// So many at a time.
pub(super) const PLACES: usize = 32;
/// Of each: records that were read and not sent, and what is written of one.
pub(super) const BYTES: usize = 2 * crate::casework::logs::LIVE_BYTES;

/// How often the database is asked.
const INTERVAL: Duration = Duration::from_secs(1);
/// Something is sent at least this often, so that whoever is in between keeps the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(live))
}

/// Which records to tell of.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LiveQuery {
    /// As for searching. Records whose own time is more than 24 hours ago are left out, unless it says otherwise.
    #[serde(default)]
    #[param(max_length = 8192)]
    q: String,
}

/// An event (WHATWG HTML §9.2.6).
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it is written line by line")]
pub struct LiveEvent {
    /// The id of the record.
    #[schema(pattern = "^[0-9]+$")]
    id: String,
    /// Always the same.
    #[schema(pattern = "^message$")]
    event: String,
    /// The record, as searching gives it, in JSON.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// Follow log records as they are stored
///
/// Ends when the session does. At most 32 can be followed at a time.
#[utoipa::path(get, path = "/logs/live",
    params(LiveQuery, ("Last-Event-ID" = Option<i64>, Header, description = "Where to go on: the id of the last record that arrived")),
    responses((status = 200, description = "Events: a record each", body = LiveEvent, content_type = "text/event-stream"), (status = 403)))]
async fn live(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Query(asked): Query<LiveQuery>,
) -> Result<Response, Problem> {
    let query = read("q", &asked.q)?;
    let last = headers.get("last-event-id").map(|id| id.to_str().ok().and_then(|id| id.trim().parse::<i64>().ok()));
    if last == Some(None) {
        return Err(Problem::field("Last-Event-ID", "is none that came with an event"));
    }
    let permit = place(&api.places.live, "as many are following the logs as can at a time")?;
    let casework = api.casework()?.clone();
    let newest = casework.newest_log(&caller.actor, &query, Timestamp::now()).await?;
    let after = last.flatten().map_or(newest, |last| last.min(newest));
    let following = Following {
        casework,
        caller,
        query,
        after,
        read: VecDeque::new(),
        asked: None,
        told: Instant::now(),
        stop: api.stop.clone(),
        _place: permit,
    };
    let span = Span::current();
    let events = stream::unfold(following, move |mut following| {
        let next = async move { following.next().await.map(|event| (Ok::<_, Infallible>(event), following)) };
        next.instrument(span.clone())
    });
    Ok(Sse::new(events).into_response())
}

struct Following {
    casework: Casework,
    caller: Caller,
    query: query::Query,
    /// The id behind which nothing was read yet.
    after: i64,
    read: VecDeque<LogRow>,
    /// When the database was last asked, and for how long it thought.
    asked: Option<(Instant, Duration)>,
    /// When something was last sent.
    told: Instant,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Following {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(row) = self.read.pop_front() {
                self.told = Instant::now();
                let text = serde_json::to_string(&row).expect("a record is JSON");
                return Some(Event::default().id(row.id.to_string()).data(text));
            }
            if self.told.elapsed() >= KEEP_ALIVE {
                self.told = Instant::now();
                return Some(Event::default().comment("nothing new").id(self.after.to_string()));
            }
            if let Some((asked, thought)) = self.asked {
                // A database that needs long to answer is asked less often: a fifth of its time at most.
                let due = asked + INTERVAL.max(thought * 5).min(KEEP_ALIVE);
                tokio::select! {
                    () = self.stop.cancelled() => return None,
                    () = tokio::time::sleep_until(due.into()) => {}
                }
            }
            let asked = Instant::now();
            let read = self.ask().await;
            self.asked = Some((asked, asked.elapsed()));
            match read {
                Ok(()) => {}
                // It will be back.
                Err(CaseworkError::Store(error)) if error.is_transient() => {}
                Err(CaseworkError::Unrecognised | CaseworkError::Forbidden { .. } | CaseworkError::MustChangePassword) => {
                    return None;
                }
                Err(error) => {
                    tracing::error!(%error, "the logs cannot be followed any more");
                    return None;
                }
            }
        }
    }

    async fn ask(&mut self) -> Result<(), CaseworkError> {
        let actor = self.casework.still_recognise(&self.caller.token, Via::Api, self.caller.actor.address).await?;
        let NewLogs { logs, next, .. } = self.casework.new_logs(&actor, &self.query, Timestamp::now(), self.after).await?;
        (self.read, self.after) = (logs.into(), next);
        Ok(())
    }
}
