//! `/api/v1/keys`: the master keys, without themselves.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::{Api, Body, Caller, place};
use crate::casework::keys::{KeyStatus, Rotated};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(rotate))
}

/// Show the master keys, when each was made, and how much is sealed with it
///
/// What seals is never shown.
#[utoipa::path(get, path = "/keys", responses((status = 200, body = KeyStatus), (status = 403)))]
async fn show(State(api): State<Api>, caller: Caller) -> Result<Json<KeyStatus>, Problem> {
    Ok(Json(api.casework()?.key_status(&caller.actor).await?))
}

/// How to rotate.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Then take master keys that nothing is sealed with out of the file, for good: what is sealed in older backups of the database can be
    /// opened only with a copy of the file as it was.
    #[serde(default)]
    forget_old: bool,
}

/// Seal all data keys with a new master key, while others work
///
/// One rotation at a time; the answer comes when it is done. One that was interrupted is taken up by the next.
#[utoipa::path(post, path = "/keys/rotate", request_body = Rotation,
    responses((status = 200, body = Rotated), (status = 403), (status = 409, description = "There are as many master keys as can be")))]
async fn rotate(State(api): State<Api>, caller: Caller, Body(given): Body<Rotation>) -> Result<Json<Rotated>, Problem> {
    let _place = place(&api.places.rotate, "the keys are being rotated already")?;
    Ok(Json(api.casework()?.rotate_keys(&caller.actor, given.forget_old, &mut |_, _| {}).await?))
}
