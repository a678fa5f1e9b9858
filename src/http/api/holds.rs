//! `/api/v1/incidents/{number}/hold`: legal holds.

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::Line;
use super::incidents::numbered;
use super::problem::Problem;
use super::{Api, Body, Caller, Path, versioned};
use crate::store::cases::CaseRow;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(hold, release))
}

/// Why an incident is put under legal hold, or is not any more.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// One line.
    #[schema(inline, value_type = Line)]
    reason: String,
}

/// Put an incident under legal hold: it and its evidence stay, whatever is due
#[utoipa::path(put, path = "/incidents/{number}/hold", request_body = HoldRequest, params(("number" = String, Path)),
    responses((status = 200, body = CaseRow), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 503, body = Problem)))]
async fn hold(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    Body(given): Body<HoldRequest>,
) -> Result<Response, Problem> {
    let number = numbered(number)?;
    let held = api.casework()?.hold_incident(&caller.actor, &number, &given.reason).await?;
    Ok(versioned(held.version, &held))
}

/// Lift the legal hold of an incident
#[utoipa::path(delete, path = "/incidents/{number}/hold", request_body = HoldRequest, params(("number" = String, Path)),
    responses((status = 200, body = CaseRow), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn release(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    Body(given): Body<HoldRequest>,
) -> Result<Response, Problem> {
    let number = numbered(number)?;
    let released = api.casework()?.release_incident(&caller.actor, &number, &given.reason).await?;
    Ok(versioned(released.version, &released))
}
