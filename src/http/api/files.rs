//! `/api/v1/incidents/{number}/files` and `…/evidence`: what proves an incident.

use std::time::Duration;

use axum::Json;
use axum::body::Body as RawBody;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{TryStreamExt, stream};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::Bytes;
use super::incidents::numbered;
use super::problem::Problem;
use super::{Api, Body, Caller, Path, Query};
use crate::casework::evidence::Attached;
use crate::casework::files::{CheckedFile, FileHistory, MAX_FILE_BYTES, Upload, too_large};
use crate::store::files::FileRow;

/// A sender who sends nothing for so long is given up …
const PATIENCE: Duration = Duration::from_secs(30);
/// … and one whose file is not there after this, too.
const LONGEST: Duration = Duration::from_secs(3600);

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(show, archive))
        .routes(routes!(content))
        .routes(routes!(verify))
        .routes(routes!(attach))
}

/// The files of an incident, those that were archived, too
#[utoipa::path(get, path = "/incidents/{number}/files", params(("number" = String, Path)),
    responses((status = 200, body = Vec<FileRow>), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn list(State(api): State<Api>, caller: Caller, Path(number): Path<String>) -> Result<Json<Vec<FileRow>>, Problem> {
    let number = numbered(number)?;
    Ok(Json(api.casework()?.files(&caller.actor, &number).await?))
}

/// What a file is called.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NameQuery {
    /// What it is called where it comes from; of a path the last part is taken.
    #[param(
        min_length = 1,
        pattern = r"[^./\\\s\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff][^/\\]*[/\\]*$"
    )]
    name: String,
}

/// Add a file of at most 100 MiB, whose bytes are the body; `Content-Type` says what it is
#[utoipa::path(post, path = "/incidents/{number}/files", params(("number" = String, Path), NameQuery),
    request_body(content = inline(Bytes), content_type = "application/octet-stream"),
    responses((status = 201, body = FileRow), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 408, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem),
        (status = 400, body = Problem), (status = 500, body = Problem), (status = 503, body = Problem)))]
async fn add(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    Query(query): Query<NameQuery>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<(StatusCode, Json<FileRow>), Problem> {
    let number = numbered(number)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_FILE_BYTES) {
        return Err(too_large().into());
    }
    let media_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let mut upload = api.casework()?.begin_file(&caller.actor, &number, &query.name, media_type).await?;
    let received = tokio::time::timeout(LONGEST, receive(&mut upload, body)).await.unwrap_or_else(|_| Err(too_slow()));
    if let Err(problem) = received {
        if let Err(error) = upload.abandon().await {
            tracing::debug!(%error, "an unfinished file stays for a day");
        }
        return Err(problem);
    }
    Ok((StatusCode::CREATED, Json(upload.finish().await?)))
}

async fn receive(upload: &mut Upload, body: RawBody) -> Result<(), Problem> {
    let mut body = body.into_data_stream();
    loop {
        match tokio::time::timeout(PATIENCE, body.try_next()).await {
            Ok(Ok(Some(bytes))) => upload.write(&bytes).await?,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(_)) => return Err(Problem::new(StatusCode::BAD_REQUEST, "the body ended before it was whole")),
            Err(_) => return Err(too_slow()),
        }
    }
}

fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")
}

/// A file, and who had it in hands
#[utoipa::path(get, path = "/incidents/{number}/files/{id}", params(("number" = String, Path), ("id" = i64, Path)),
    responses((status = 200, body = FileHistory), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn show(
    State(api): State<Api>,
    caller: Caller,
    Path((number, id)): Path<(String, i64)>,
) -> Result<Json<FileHistory>, Problem> {
    let number = numbered(number)?;
    Ok(Json(api.casework()?.file(&caller.actor, &number, id).await?))
}

/// What is in a file. An answer that ends before its Content-Length is of a file that was tampered with
#[utoipa::path(get, path = "/incidents/{number}/files/{id}/content", params(("number" = String, Path), ("id" = i64, Path)),
    responses((status = 200, body = inline(Bytes), content_type = "application/octet-stream"), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem), (status = 500, body = Problem),
        (status = 503, body = Problem)))]
async fn content(State(api): State<Api>, caller: Caller, Path((number, id)): Path<(String, i64)>) -> Result<Response, Problem> {
    let number = numbered(number)?;
    let download = api.casework()?.read_file(&caller.actor, &number, id).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, attachment(&download.file.name)),
        (header::CONTENT_LENGTH, HeaderValue::from(download.file.size)),
        // Whatever a browser takes it for, it runs nothing of it.
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
    ];
    let chunks = stream::try_unfold(download, async |mut download| match download.next().await {
        Ok(chunk) => Ok(chunk.map(|chunk| (chunk, download))),
        Err(error) => {
            tracing::error!(file = download.file.id, error = %error, "a file that was asked for is not sent to its end");
            Err(error)
        }
    });
    Ok((headers, RawBody::from_stream(chunks)).into_response())
}

/// `Content-Disposition` with a name of any characters (RFC 6266 §4.3, RFC 8187 §3.2).
fn attachment(name: &str) -> HeaderValue {
    let mut text = "attachment; filename*=UTF-8''".to_owned();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    HeaderValue::from_str(&text).expect("ASCII without control characters")
}

/// Check that a file is what was added
#[utoipa::path(post, path = "/incidents/{number}/files/{id}/verification", params(("number" = String, Path), ("id" = i64, Path)),
    responses((status = 200, body = CheckedFile), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 500, body = Problem), (status = 503, body = Problem)))]
async fn verify(
    State(api): State<Api>,
    caller: Caller,
    Path((number, id)): Path<(String, i64)>,
) -> Result<Json<CheckedFile>, Problem> {
    let number = numbered(number)?;
    Ok(Json(api.casework()?.verify_file(&caller.actor, &number, id, &mut |_, _| {}).await?))
}

/// Take a file out of sight; nothing of it is removed
#[utoipa::path(delete, path = "/incidents/{number}/files/{id}", params(("number" = String, Path), ("id" = i64, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn archive(State(api): State<Api>, caller: Caller, Path((number, id)): Path<(String, i64)>) -> Result<StatusCode, Problem> {
    let number = numbered(number)?;
    api.casework()?.archive_file(&caller.actor, &number, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Log records that prove an incident.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRequest {
    /// Their ids.
    #[schema(min_items = 1, max_items = 200)]
    logs: Vec<i64>,
}

/// Copy log records to an incident, where they outlive the originals
#[utoipa::path(post, path = "/incidents/{number}/evidence", request_body = EvidenceRequest, params(("number" = String, Path)),
    responses((status = 200, body = Attached), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 503, body = Problem)))]
async fn attach(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    Body(given): Body<EvidenceRequest>,
) -> Result<Json<Attached>, Problem> {
    let number = numbered(number)?;
    Ok(Json(api.casework()?.attach_logs(&caller.actor, &number, &given.logs).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_header_stays_a_name() {
        for (name, value) in [
            ("a b.txt", "attachment; filename*=UTF-8''a%20b.txt"),
            ("\"; x=\"", "attachment; filename*=UTF-8''%22%3B%20x%3D%22"),
            ("\u{e9}\r\n", "attachment; filename*=UTF-8''%C3%A9%0D%0A"),
        ] {
            assert_eq!(attachment(name), value);
        }
    }
}
