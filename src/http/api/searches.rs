//! `/api/v1/searches`: searches that people keep.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::incidents::word;
use super::problem::Problem;
use super::{Api, Body, Caller, Path, Query, behind, precondition, seen, versioned};
use crate::casework::searches::{MAX_PAGE, NewSearch, SearchEdit};
use crate::record::case::SearchKind;
use crate::store::searches::SavedRow;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, save)).routes(routes!(edit, delete))
}

/// Which searches to list.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Of what.
    #[param(inline, value_type = Option<SearchKind>)]
    kind: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(minimum = 1)]
    cursor: Option<i64>,
}

/// A page of searches, in the order in which they were made.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Searches {
    /// The searches.
    searches: Vec<SavedRow>,
    /// What to send as `cursor` for the page behind it; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<i64>,
}

/// One's own searches, and those that others share; all of them for an admin
#[utoipa::path(get, path = "/searches", params(ListQuery), responses((status = 200, description = "A page", body = Searches), (status = 403)))]
async fn list(State(api): State<Api>, caller: Caller, Query(asked): Query<ListQuery>) -> Result<Json<Searches>, Problem> {
    let kind = asked.kind.as_deref().map(|kind| word::<SearchKind>("kind", kind)).transpose()?;
    let cursor = behind(asked.cursor)?;
    let limit = asked.limit.unwrap_or(100);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::field("limit", format!("has to be 1 to {MAX_PAGE}")));
    }
    let (searches, next) = api.casework()?.saved_searches(&caller.actor, kind, cursor, limit).await?;
    Ok(Json(Searches { searches, next }))
}

/// A search to be kept.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// Of what.
    #[schema(value_type = SearchKind)]
    kind: String,
    /// What its owner calls it; no `/` in it.
    #[schema(pattern = r"^[^/\x00-\x1f\x7f-\x9f]*[^\s/\x00-\x1f\x7f-\x9f][^/\x00-\x1f\x7f-\x9f]*$", max_length = 100)]
    name: String,
    /// For logs, as `q` has it; for incidents, the parameters of their list as they stand behind the `?`.
    #[schema(max_length = 8192)]
    query: String,
    /// Whether everybody sees it.
    #[serde(default)]
    shared: bool,
}

/// Keep a search
#[utoipa::path(post, path = "/searches", request_body = SearchRequest,
    responses((status = 201, description = "It is kept", body = SavedRow), (status = 403),
        (status = 409, description = "The name is taken, or there are too many")))]
async fn save(
    State(api): State<Api>,
    caller: Caller,
    Body(given): Body<SearchRequest>,
) -> Result<(StatusCode, Json<SavedRow>), Problem> {
    let SearchRequest { kind, name, query, shared } = given;
    let new = NewSearch { kind: word("kind", &kind)?, name, query, shared };
    Ok((StatusCode::CREATED, Json(api.casework()?.save_search(&caller.actor, &new).await?)))
}

/// What is to be changed of a search; what is absent stays.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchPatch {
    /// What its owner calls it; no `/` in it.
    #[schema(pattern = r"^[^/\x00-\x1f\x7f-\x9f]*[^\s/\x00-\x1f\x7f-\x9f][^/\x00-\x1f\x7f-\x9f]*$", max_length = 100)]
    name: Option<String>,
    /// As when it was made.
    #[schema(max_length = 8192)]
    query: Option<String>,
    /// Whether everybody sees it.
    shared: Option<bool>,
}

/// Change a search of one's own
#[utoipa::path(patch, path = "/searches/{id}", request_body = SearchPatch,
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, description = "As it is now", body = SavedRow, headers(("ETag" = String, description = "Its new version"))),
        (status = 403), (status = 404), (status = 409, description = "The name is taken"), (status = 412)))]
async fn edit(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
    headers: HeaderMap,
    Body(given): Body<SearchPatch>,
) -> Result<Response, Problem> {
    let version = seen(&headers)?;
    let SearchPatch { name, query, shared } = given;
    let edited = api.casework()?.edit_search(&caller.actor, id, &SearchEdit { name, query, shared }, version).await;
    let edited = edited.map_err(|error| precondition(error.into(), version))?;
    Ok(versioned(edited.version, &edited))
}

/// Delete a search: one's own, or anybody's by an admin
#[utoipa::path(delete, path = "/searches/{id}", params(("id" = i64, Path)),
    responses((status = 204, description = "It is gone"), (status = 403), (status = 404)))]
async fn delete(State(api): State<Api>, caller: Caller, Path(id): Path<i64>) -> Result<StatusCode, Problem> {
    api.casework()?.delete_search(&caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
