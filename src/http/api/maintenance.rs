//! `/api/v1/maintenance`.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::{Api, Caller};
use crate::casework::maintenance::{Run, Upkeep};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show, run))
}

/// Show what is kept for how long, and what is due
#[utoipa::path(get, path = "/maintenance",
    responses((status = 200, body = Upkeep), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn show(State(api): State<Api>, caller: Caller) -> Result<Json<Upkeep>, Problem> {
    Ok(Json(api.casework()?.maintenance(&caller.actor).await?))
}

/// Take away what is due; the answer comes when it is done
#[utoipa::path(post, path = "/maintenance",
    responses((status = 200, body = Run), (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 503, body = Problem)))]
async fn run(State(api): State<Api>, caller: Caller) -> Result<Json<Run>, Problem> {
    Ok(Json(api.casework()?.maintain(&caller.actor, &mut |_| {}).await?))
}
