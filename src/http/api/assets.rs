//! `/api/v1/assets`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{AssetName, Line, LineOrNothing, LinesOrNothing};
use super::incidents::{plain, word};
use super::problem::Problem;
use super::{Api, Body, Caller, Path, precondition, seen, versioned};
use crate::casework::assets::{AssetEdit, NewAsset};
use crate::record::case::Criticality;
use crate::store::assets::AssetRow;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(change, remove))
}

/// List all assets, by name
#[utoipa::path(get, path = "/assets",
    responses((status = 200, body = Vec<AssetRow>), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<Vec<AssetRow>>, Problem> {
    Ok(Json(api.casework()?.assets(&caller.actor).await?))
}

/// An asset to be entered.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetRequest {
    /// What people call it.
    #[schema(inline, value_type = AssetName)]
    name: String,
    /// By what it is recognised: host names, `*.suffix`, addresses, networks.
    #[schema(value_type = Vec<Line>, min_items = 1, max_items = 50)]
    matches: Vec<String>,
    /// How much depends on it.
    #[schema(value_type = Criticality)]
    criticality: String,
    /// Who answers for it.
    #[schema(inline, value_type = Option<LineOrNothing>)]
    owner: Option<String>,
    /// What else there is to know.
    #[schema(inline, value_type = Option<LinesOrNothing>)]
    comment: Option<String>,
}

/// Enter an asset
#[utoipa::path(post, path = "/assets", request_body = AssetRequest,
    responses((status = 201, body = AssetRow), (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 503, body = Problem)))]
async fn add(
    State(api): State<Api>,
    caller: Caller,
    Body(given): Body<AssetRequest>,
) -> Result<(StatusCode, Json<AssetRow>), Problem> {
    let criticality = word("criticality", &given.criticality)?;
    let AssetRequest { name, matches, owner, comment, .. } = given;
    let entered = api.casework()?.add_asset(&caller.actor, &NewAsset { name, matches, criticality, owner, comment }).await?;
    Ok((StatusCode::CREATED, Json(entered)))
}

/// What is to be changed of an asset; what is absent stays, and an empty text takes one away.
#[derive(Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AssetPatch {
    /// By what it is recognised; replaces what was there.
    #[schema(value_type = Option<Vec<Line>>, min_items = 1, max_items = 50)]
    matches: Option<Vec<String>>,
    /// How much depends on it.
    #[schema(value_type = Option<Criticality>)]
    criticality: Option<String>,
    /// Who answers for it.
    #[schema(inline, value_type = Option<LineOrNothing>)]
    owner: Option<String>,
    /// What else there is to know.
    #[schema(inline, value_type = Option<LinesOrNothing>)]
    comment: Option<String>,
}

/// Change an asset
#[utoipa::path(patch, path = "/assets/{name}", request_body = AssetPatch, params(("name" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = AssetRow, headers(("ETag" = String, description = "Its new version"))), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem),
        (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(given): Body<AssetPatch>,
) -> Result<Response, Problem> {
    let (version, name) = (seen(&headers)?, plain("name", Some(name))?.unwrap_or_default());
    let criticality = given.criticality.as_deref().map(|c| word("criticality", c)).transpose()?;
    let edit = AssetEdit { matches: given.matches, criticality, owner: given.owner, comment: given.comment };
    let changed = api.casework()?.change_asset(&caller.actor, &name, &edit, version).await;
    let changed = changed.map_err(|error| precondition(error.into(), version))?;
    Ok(versioned(changed.version, &changed))
}

/// Remove an asset
#[utoipa::path(delete, path = "/assets/{name}", params(("name" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn remove(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    let name = plain("name", Some(name))?.unwrap_or_default();
    api.casework()?.remove_asset(&caller.actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
