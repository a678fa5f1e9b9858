//! `/api/v1/export`: logs, incidents, tasks and observables as CSV, at any size. What is read from the database waits until the client has taken what
//! was read before, and the work ends with the connection.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::task::JoinHandle;
use tracing::Instrument;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::incidents::time;
use super::problem::Problem;
use super::{Api, Caller, Path, Query, place};
use crate::casework::CaseworkError;
use crate::casework::export::Table;
use crate::record::Timestamp;
use crate::store::ledger::day_name;

/// So many at a time: each keeps a connection of casework.
pub(super) const PLACES: usize = 2;
/// What is on its way to the client, in bytes.
const PIPE_BYTES: usize = 256 << 10;
/// Of each: a piece that was written, the pipe, and what is taken out of it.
pub(super) const BYTES: usize = 4 * PIPE_BYTES;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(export))
}

/// What can be exported.
#[derive(Debug, Clone, Copy, serde::Deserialize, utoipa::ToSchema)]
pub enum File {
    /// Log records, by the time of the event.
    #[serde(rename = "logs.csv")]
    Logs,
    /// Incidents, by the time when they were opened.
    #[serde(rename = "incidents.csv")]
    Incidents,
    /// Tasks, by the time when they were made.
    #[serde(rename = "tasks.csv")]
    Tasks,
    /// What was seen in which incident, by the time when it was added.
    #[serde(rename = "observables.csv")]
    Observables,
}

/// What of it.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RangeQuery {
    /// Only from this time on.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Only before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
}

/// Take out logs, incidents, tasks or observables as CSV
///
/// RFC 4180, safe to open in a spreadsheet. Two at a time.
#[utoipa::path(get, path = "/export/{file}", params(("file" = inline(File), Path), RangeQuery),
    responses((status = 200, description = "All of it", body = String, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "The name of a file, with today's date"))), (status = 403)))]
async fn export(
    State(api): State<Api>,
    caller: Caller,
    Path(file): Path<File>,
    Query(asked): Query<RangeQuery>,
) -> Result<Response, Problem> {
    let table = match file {
        File::Logs => Table::Logs,
        File::Incidents => Table::Incidents,
        File::Tasks => Table::Tasks,
        File::Observables => Table::Observables,
    };
    let from = asked.from.as_deref().map_or(Ok(Timestamp::MIN), |from| time("from", from))?;
    let to = asked.to.as_deref().map_or(Ok(Timestamp::MAX), |to| time("to", to))?;
    let permit = place(&api.places.export, "as much is being exported as can be at a time")?;
    let casework = api.casework()?.clone();
    let (mut writer, reader) = tokio::io::duplex(PIPE_BYTES);
    let work = async move {
        let _place = permit;
        casework.export(&caller.actor, table, (from, to), &mut writer, &mut |_| {}).await
    };
    // A task of its own, so that how it ended is written down when the client is gone.
    let work = api.tasks.spawn(work.in_current_span());
    let mut pipe = Pipe { reader, work: Some(work) };
    // Until it has begun there is a problem to be told of.
    let first = match pipe.next().await {
        Ok(first) => first,
        Err(None) => return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the export ended early")),
        Err(Some(error)) => return Err(error.into()),
    };
    let pieces = stream::unfold(Some((first, pipe)), |state| async {
        let (piece, mut pipe) = state?;
        let piece = piece?;
        match pipe.next().await {
            Ok(next) => Some((Ok(piece), Some((next, pipe)))),
            Err(error) => {
                if let Some(error) = error {
                    tracing::warn!(%error, "an export broke off");
                }
                // The connection is cut, so that nobody takes it for all of it.
                Some((Err(std::io::Error::other("the export broke off")), None))
            }
        }
    });
    let today = day_name(Timestamp::now().day());
    let name = format!("attachment; filename=\"tocsin-{}-{today}.csv\"", table.as_str());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&name).expect("a word and a date")),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// What an export writes.
struct Pipe {
    reader: DuplexStream,
    work: Option<JoinHandle<Result<u64, CaseworkError>>>,
}

impl Pipe {
    /// The next piece; `None` when everything was read.
    async fn next(&mut self) -> Result<Option<Bytes>, Option<CaseworkError>> {
        let mut piece = Vec::with_capacity(PIPE_BYTES / 4);
        if self.reader.read_buf(&mut piece).await.is_ok_and(|read| read > 0) {
            return Ok(Some(piece.into()));
        }
        match self.work.take() {
            None => Ok(None),
            Some(work) => match work.await {
                Ok(Ok(_)) => Ok(None),
                Ok(Err(error)) => Err(Some(error)),
                Err(_) => Err(None),
            },
        }
    }
}
