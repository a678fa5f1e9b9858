//! `/api/v1/incidents/{number}/parties` and `/api/v1/parties`: the people behind incidents.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{Line, LineOrNothing, Lines, LinesOrNothing, PartyNotes, PartyNotesOrNothing};
use super::incidents::{numbered, word};
use super::problem::Problem;
use super::{Api, Body, Caller, Path, Query, precondition, seen, versioned};
use crate::casework::parties::{MAX_PAGE, Party, Person};
use crate::record::case::PartyRole;
use crate::store::parties::FoundParty;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(find)).routes(routes!(list, add)).routes(routes!(edit)).routes(routes!(erase))
}

/// Whom to look for.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FindQuery {
    /// A whole name, contact or organisation, whatever the case.
    #[param(inline, value_type = Line)]
    value: String,
}

/// In which incidents somebody has a part, at most 200; who they are is not told
#[utoipa::path(get, path = "/parties", params(FindQuery),
    responses((status = 200, body = Vec<FoundParty>), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)))]
async fn find(State(api): State<Api>, caller: Caller, Query(query): Query<FindQuery>) -> Result<Json<Vec<FoundParty>>, Problem> {
    Ok(Json(api.casework()?.find_parties(&caller.actor, &query.value).await?))
}

/// Which page.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// At most so many.
    #[param(minimum = 1, maximum = 50, default = 50)]
    limit: Option<usize>,
    /// `next` of the page before.
    after: Option<i64>,
}

/// A page of parties, in the order in which they were added.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct PartyPage {
    /// The parties.
    parties: Vec<Party>,
    /// What to send as `after` for the page behind it; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<i64>,
}

/// The people behind an incident; that somebody looked is written down
#[utoipa::path(get, path = "/incidents/{number}/parties", params(("number" = String, Path), PageQuery),
    responses((status = 200, body = PartyPage), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 500, body = Problem), (status = 503, body = Problem)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<PartyPage>, Problem> {
    let number = numbered(number)?;
    let limit = query.limit.unwrap_or(MAX_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::field("limit", format!("has to be 1 to {MAX_PAGE}")));
    }
    let parties = api.casework()?.parties(&caller.actor, &number, query.after, limit).await?;
    let next = parties.last().filter(|_| parties.len() == limit).map(|last| last.id);
    Ok(Json(PartyPage { parties, next }))
}

/// Somebody to be added: a role, and at least one of the other fields.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartyRequest {
    /// What they have to do with the incident.
    #[schema(value_type = PartyRole)]
    role: String,
    /// What they are called.
    #[schema(inline, value_type = Option<Line>)]
    name: Option<String>,
    /// E-mail address or telephone number.
    #[schema(inline, value_type = Option<Line>)]
    contact: Option<String>,
    /// Where they live or work.
    #[schema(inline, value_type = Option<Lines>)]
    address: Option<String>,
    /// Whom they belong to.
    #[schema(inline, value_type = Option<Line>)]
    organisation: Option<String>,
    /// What else is to be said.
    #[schema(inline, value_type = Option<PartyNotes>)]
    notes: Option<String>,
}

/// Which party.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct PartyVersion {
    /// Its key.
    id: i64,
    /// Its version.
    version: i64,
}

/// Add somebody to an incident
#[utoipa::path(post, path = "/incidents/{number}/parties", request_body = PartyRequest, params(("number" = String, Path)),
    responses((status = 201, body = PartyVersion), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 500, body = Problem), (status = 503, body = Problem)))]
async fn add(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    Body(given): Body<PartyRequest>,
) -> Result<(StatusCode, Json<PartyVersion>), Problem> {
    let number = numbered(number)?;
    let PartyRequest { role, name, contact, address, organisation, notes } = given;
    let role = word::<PartyRole>("role", &role)?;
    let person = Person { name, contact, address, organisation, notes };
    let id = api.casework()?.add_party(&caller.actor, &number, role, &person).await?;
    Ok((StatusCode::CREATED, Json(PartyVersion { id, version: 1 })))
}

/// What is to be changed of somebody; what is absent stays. An empty text takes one away.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartyPatch {
    /// What they have to do with the incident.
    #[schema(value_type = Option<PartyRole>)]
    role: Option<String>,
    /// What they are called.
    #[schema(inline, value_type = Option<LineOrNothing>)]
    name: Option<String>,
    /// E-mail address or telephone number.
    #[schema(inline, value_type = Option<LineOrNothing>)]
    contact: Option<String>,
    /// Where they live or work.
    #[schema(inline, value_type = Option<LinesOrNothing>)]
    address: Option<String>,
    /// Whom they belong to.
    #[schema(inline, value_type = Option<LineOrNothing>)]
    organisation: Option<String>,
    /// What else is to be said.
    #[schema(inline, value_type = Option<PartyNotesOrNothing>)]
    notes: Option<String>,
}

/// Change somebody
#[utoipa::path(patch, path = "/incidents/{number}/parties/{id}", request_body = PartyPatch,
    params(("number" = String, Path), ("id" = i64, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = PartyVersion, headers(("ETag" = String, description = "Its new version"))), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 500, body = Problem), (status = 503, body = Problem)))]
async fn edit(
    State(api): State<Api>,
    caller: Caller,
    Path((number, id)): Path<(String, i64)>,
    headers: HeaderMap,
    Body(given): Body<PartyPatch>,
) -> Result<Response, Problem> {
    let (seen, number) = (seen(&headers)?, numbered(number)?);
    let PartyPatch { role, name, contact, address, organisation, notes } = given;
    let role = role.as_deref().map(|role| word::<PartyRole>("role", role)).transpose()?;
    let edit = Person { name, contact, address, organisation, notes };
    let edited = api.casework()?.edit_party(&caller.actor, &number, id, role, &edit, seen).await;
    let version = edited.map_err(|error| precondition(error.into(), seen))?;
    Ok(versioned(version, &PartyVersion { id, version }))
}

/// Why somebody is to be erased.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// It is kept, so name nobody in it.
    #[schema(inline, value_type = Line)]
    reason: String,
}

/// Erase somebody for good; that there was a party of that role stays
#[utoipa::path(post, path = "/incidents/{number}/parties/{id}/erasure", request_body = Erasure,
    params(("number" = String, Path), ("id" = i64, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 500, body = Problem), (status = 503, body = Problem)))]
async fn erase(
    State(api): State<Api>,
    caller: Caller,
    Path((number, id)): Path<(String, i64)>,
    Body(given): Body<Erasure>,
) -> Result<StatusCode, Problem> {
    let number = numbered(number)?;
    api.casework()?.erase_party(&caller.actor, &number, id, &given.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}
