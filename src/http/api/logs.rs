//! `/api/v1/logs`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{Line, LogLine, LogNote};
use super::incidents::time;
use super::problem::Problem;
use super::{Api, Body, Caller, Path, Query};
use crate::casework::logs::{Cursor, LogDetails, MAX_PAGE, NewLine};
use crate::record::Timestamp;
use crate::store::logs::{ArchivedRow, LogRow, NoteRow};
use crate::store::query::{self, Mark, Term, Test};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(show))
        .routes(routes!(annotate))
        .routes(routes!(archive))
        .routes(routes!(restore))
}

/// Reads a query, or says where it goes wrong.
pub(super) fn read(field: &str, text: &str) -> Result<query::Query, Problem> {
    query::Query::parse(text, Timestamp::now()).map_err(|error| {
        let position = text[..error.offset].chars().count();
        Problem::field(field, error.problem).at(position)
    })
}

/// Which records to list.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// What to look for, such as `event_type:login_failed -user:root src_ip:203.0.113.0/24 "invalid user" last:7d`: words in the message,
    /// `field:value` elsewhere, all of which must hold. Where it does not say since when, the last 24 hours are searched.
    #[serde(default)]
    #[param(max_length = 8192)]
    q: String,
    /// Those that were put out of sight, and no others.
    #[serde(default)]
    archived: bool,
    /// At most so many. There may be fewer on a page, where they are long.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{32}$")]
    cursor: Option<String>,
}

/// A page of records, the newest first.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Logs {
    /// The records.
    logs: Vec<LogRow>,
    /// What to send as `cursor` for the page behind it; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Search log records, the newest first
#[utoipa::path(get, path = "/logs", params(ListQuery), responses((status = 200, description = "A page", body = Logs), (status = 403)))]
async fn list(State(api): State<Api>, caller: Caller, Query(asked): Query<ListQuery>) -> Result<Json<Logs>, Problem> {
    let mut query = read("q", &asked.q)?;
    if asked.archived {
        query.terms.push(Term { negated: false, test: Test::Is(Mark::Archived) });
    }
    let limit = asked.limit.unwrap_or(50);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::field("limit", format!("has to be 1 to {MAX_PAGE}")));
    }
    let cursor = asked.cursor.as_deref().map(str::parse::<Cursor>).transpose()?;
    let page = api.casework()?.search_logs(&caller.actor, &query, cursor, limit).await?;
    Ok(Json(Logs { logs: page.logs, next: page.next.map(|next| next.to_string()) }))
}

/// Everything about a record.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Record {
    /// The record.
    log: LogRow,
    /// The line as it was received; absent where that is no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    original: Option<String>,
    /// The bytes, where they are no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    original_base64: Option<String>,
    /// What people noted about it, in order.
    notes: Vec<NoteRow>,
    /// Who put it out of sight.
    archived: Option<ArchivedRow>,
}

/// Everything about a log record
#[utoipa::path(get, path = "/logs/{id}", params(("id" = i64, Path)),
    responses((status = 200, description = "The record", body = Record), (status = 403), (status = 404)))]
async fn show(State(api): State<Api>, caller: Caller, Path(id): Path<i64>) -> Result<Json<Record>, Problem> {
    let LogDetails { log, original, notes, archived } = api.casework()?.log(&caller.actor, id).await?;
    let (original, original_base64) = match String::from_utf8(original) {
        Ok(text) => (Some(text), None),
        Err(bytes) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
    };
    Ok(Json(Record { log, original, original_base64, notes, archived }))
}

/// A line to be added by hand.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLog {
    /// What happened; without the rest, a whole line as it would stand in a log file.
    #[schema(inline, value_type = LogLine)]
    message: String,
    /// When; the time of adding, unless the line says.
    #[schema(value_type = Option<Timestamp>)]
    time: Option<String>,
    /// On which machine.
    #[schema(pattern = "^[!-~]+$", min_length = 1, max_length = 255)]
    host: Option<String>,
    /// In which program; its parser reads the message.
    #[schema(pattern = "^[!-~]+$", min_length = 1, max_length = 48)]
    app: Option<String>,
}

/// Add a log record by hand
///
/// It is stored within seconds; parsers and detectors look at it as at any other.
#[utoipa::path(post, path = "/logs", request_body = NewLog, responses((status = 202, description = "It will be stored"), (status = 403)))]
async fn add(State(api): State<Api>, caller: Caller, Body(given): Body<NewLog>) -> Result<StatusCode, Problem> {
    let NewLog { message, time: at, host, app } = given;
    let line = NewLine { message, time: at.as_deref().map(|at| time("time", at)).transpose()?, host, app };
    api.casework()?.add_log(&caller.actor, &line).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Something to be noted.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Annotation {
    /// What.
    #[schema(inline, value_type = LogNote)]
    note: String,
}

/// Note something about a log record
#[utoipa::path(post, path = "/logs/{id}/notes", params(("id" = i64, Path)), request_body = Annotation,
    responses((status = 204, description = "It is noted"), (status = 403), (status = 404)))]
async fn annotate(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
    Body(given): Body<Annotation>,
) -> Result<StatusCode, Problem> {
    api.casework()?.annotate_log(&caller.actor, id, &given.note).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Why a record is put out of sight.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Archival {
    /// One line.
    #[schema(inline, value_type = Option<Line>)]
    reason: Option<String>,
}

/// Put a log record out of sight; it stays where it is
#[utoipa::path(post, path = "/logs/{id}/archive", params(("id" = i64, Path)), request_body = Archival,
    responses((status = 204, description = "It is out of sight"), (status = 403), (status = 404),
        (status = 409, description = "It is out of sight already")))]
async fn archive(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
    Body(given): Body<Archival>,
) -> Result<StatusCode, Problem> {
    api.casework()?.archive_log(&caller.actor, id, given.reason.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Put a log record back in sight
#[utoipa::path(post, path = "/logs/{id}/restore", params(("id" = i64, Path)),
    responses((status = 204, description = "It is in sight"), (status = 403), (status = 409, description = "It is in sight already")))]
async fn restore(State(api): State<Api>, caller: Caller, Path(id): Path<i64>) -> Result<StatusCode, Problem> {
    api.casework()?.unarchive_log(&caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
