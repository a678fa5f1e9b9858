//! `/api/v1/incidents/{number}/observables` and `/api/v1/observables`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{Line, LineOrNothing, Seen};
use super::incidents::{cursor, numbered, pair, word};
use super::problem::Problem;
use super::{Api, Body, Caller, Path, Query};
use crate::casework::observables::MAX_PAGE;
use crate::record::observable::{Kind, Tlp};
use crate::store::observables::{ObservableRow, Sighting};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(edit, remove)).routes(routes!(sightings))
}

/// What was seen in an incident
///
/// The TLP mark says to whom it may be told; it is always shown, and hides nothing from those who may see the incident.
#[utoipa::path(get, path = "/incidents/{number}/observables", params(("number" = String, Path)),
    responses((status = 200, body = Vec<ObservableRow>), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn list(State(api): State<Api>, caller: Caller, Path(number): Path<String>) -> Result<Json<Vec<ObservableRow>>, Problem> {
    let number = numbered(number)?;
    Ok(Json(api.casework()?.observables(&caller.actor, &number).await?))
}

/// Something that was seen.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObservableRequest {
    /// What it is.
    #[schema(value_type = Kind)]
    kind: String,
    /// The value; `hxxps://evil[.]example` is understood.
    #[schema(inline, value_type = Seen)]
    value: String,
    /// To whom it may be told, by the Traffic Light Protocol 2.0; amber without.
    #[schema(value_type = Option<Tlp>)]
    tlp: Option<String>,
    /// What there is to say of it.
    #[schema(inline, value_type = Option<Line>)]
    comment: Option<String>,
}

/// Which observable it is.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Noted {
    /// Its id.
    id: i64,
}

/// Give an incident an observable
#[utoipa::path(post, path = "/incidents/{number}/observables", request_body = ObservableRequest, params(("number" = String, Path)),
    responses((status = 201, body = Noted), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn add(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    Body(given): Body<ObservableRequest>,
) -> Result<(StatusCode, Json<Noted>), Problem> {
    let number = numbered(number)?;
    let kind = word("kind", &given.kind)?;
    let tlp = given.tlp.as_deref().map_or(Ok(Tlp::Amber), |tlp| word("tlp", tlp))?;
    let casework = api.casework()?;
    let id = casework.add_observable(&caller.actor, &number, (kind, &given.value), tlp, given.comment.as_deref()).await?;
    Ok((StatusCode::CREATED, Json(Noted { id })))
}

/// What is to be said of an observable; what is absent stays, and an empty comment takes it away.
#[derive(Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObservablePatch {
    /// To whom it may be told, by the Traffic Light Protocol 2.0.
    #[schema(value_type = Option<Tlp>)]
    tlp: Option<String>,
    /// What there is to say of it.
    #[schema(inline, value_type = Option<LineOrNothing>)]
    comment: Option<String>,
}

/// Change what is said of an observable of an incident
#[utoipa::path(patch, path = "/incidents/{number}/observables/{id}", request_body = ObservablePatch,
    params(("number" = String, Path), ("id" = i64, Path)),
    responses((status = 200, body = ObservableRow), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn edit(
    State(api): State<Api>,
    caller: Caller,
    Path((number, id)): Path<(String, i64)>,
    Body(given): Body<ObservablePatch>,
) -> Result<Json<ObservableRow>, Problem> {
    let number = numbered(number)?;
    let tlp = given.tlp.as_deref().map(|tlp| word("tlp", tlp)).transpose()?;
    let casework = api.casework()?;
    Ok(Json(casework.edit_observable(&caller.actor, &number, id, tlp, given.comment.as_deref()).await?))
}

/// Take an observable away from an incident; evidence does not bring it back
#[utoipa::path(delete, path = "/incidents/{number}/observables/{id}", params(("number" = String, Path), ("id" = i64, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn remove(State(api): State<Api>, caller: Caller, Path((number, id)): Path<(String, i64)>) -> Result<StatusCode, Problem> {
    let number = numbered(number)?;
    api.casework()?.remove_observable(&caller.actor, &number, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What to look for.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SightingsQuery {
    /// An address, a domain, a URL, a hash, a user, an e-mail address; `evil[.]example` is understood.
    #[param(inline, value_type = Seen)]
    value: String,
    /// At most so many.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    cursor: Option<String>,
}

/// Where something was seen, the newest incidents first.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Sightings {
    /// The incidents, and what of theirs it is.
    sightings: Vec<Sighting>,
    /// What to send as `cursor` for the page behind it; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// In which incidents something was seen
#[utoipa::path(get, path = "/observables", params(SightingsQuery),
    responses((status = 200, body = Sightings), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn sightings(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<SightingsQuery>,
) -> Result<Json<Sightings>, Problem> {
    let limit = query.limit.unwrap_or(50);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::field("limit", format!("has to be 1 to {MAX_PAGE}")));
    }
    let behind = query.cursor.as_deref().map(pair).transpose()?.map(|[incident, observable]| (incident, observable));
    let sightings = api.casework()?.sightings(&caller.actor, &query.value, behind, limit).await?;
    let next = sightings.last().filter(|_| sightings.len() == limit);
    let next = next.map(|last| cursor([last.incident_id, last.observable_id]));
    Ok(Json(Sightings { sightings, next }))
}
