//! `/api/v1/users` and `/api/v1/tokens`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{Line, UserName};
use super::problem::Problem;
use super::{Api, Body, Caller, Path, precondition, seen, versioned};
use crate::casework::Role;
use crate::casework::users::{NewUser, User, UserChange};
use crate::store::users::TokenRow;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(users, create_user))
        .routes(routes!(change_user))
        .routes(routes!(reset_password))
        .routes(routes!(end_sessions))
        .routes(routes!(reset_second_factor))
        .routes(routes!(tokens, create_token))
        .routes(routes!(revoke_token))
}

fn role(text: &str) -> Result<Role, Problem> {
    text.parse().map_err(|problem: String| Problem::field("role", problem))
}

/// All users
#[utoipa::path(get, path = "/users",
    responses((status = 200, body = Vec<User>), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn users(State(api): State<Api>, caller: Caller) -> Result<Json<Vec<User>>, Problem> {
    Ok(Json(api.casework()?.users(&caller.actor).await?))
}

/// A user to be made.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRequest {
    /// Lower-case letters, digits, dots, hyphens and underscores.
    #[schema(inline, value_type = UserName)]
    name: String,
    /// What they may do.
    #[schema(value_type = Role)]
    role: String,
    /// What others call them.
    #[schema(inline, value_type = Option<Line>)]
    display_name: Option<String>,
    /// Where they are written to.
    #[schema(pattern = r"^[^@\s\x00-\x1f\x7f-\x9f]+@[^@\s\x00-\x1f\x7f-\x9f]+$", max_length = 254)]
    email: Option<String>,
}

/// A secret that is shown once.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Secret {
    /// A password to be used once, or a token. It is kept nowhere.
    secret: String,
}

/// Make a user
#[utoipa::path(post, path = "/users", request_body = UserRequest,
    responses((status = 201, body = Secret), (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 503, body = Problem)))]
async fn create_user(
    State(api): State<Api>,
    caller: Caller,
    Body(given): Body<UserRequest>,
) -> Result<(StatusCode, Json<Secret>), Problem> {
    let UserRequest { name, role: wanted, display_name, email } = given;
    let new = NewUser { name, display_name, email, role: role(&wanted)? };
    let secret = api.casework()?.create_user(&caller.actor, &new).await?;
    Ok((StatusCode::CREATED, Json(Secret { secret })))
}

/// What is to be changed of a user.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// What they may do.
    #[schema(value_type = Option<Role>)]
    role: Option<String>,
    /// Whether signing in is refused.
    disabled: Option<bool>,
    /// Ends a lock-out.
    #[serde(default)]
    unlock: bool,
}

/// Change what a user may do
#[utoipa::path(patch, path = "/users/{name}", request_body = UserPatch, params(("name" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = User), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn change_user(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(given): Body<UserPatch>,
) -> Result<Response, Problem> {
    let version = seen(&headers)?;
    let wanted =
        UserChange { role: given.role.as_deref().map(role).transpose()?, disabled: given.disabled, unlock: given.unlock };
    let changed = api.casework()?.change_user(&caller.actor, &name, &wanted, version).await;
    let changed = changed.map_err(|error| precondition(error.into(), version))?;
    Ok(versioned(changed.version, &changed))
}

/// Give a user a new password to be used once
#[utoipa::path(post, path = "/users/{name}/password", params(("name" = String, Path)),
    responses((status = 201, body = Secret), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn reset_password(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Secret>), Problem> {
    let secret = api.casework()?.reset_password(&caller.actor, &name).await?;
    Ok((StatusCode::CREATED, Json(Secret { secret })))
}

/// End all sessions of a user: anybody's own, everybody's for an admin
#[utoipa::path(delete, path = "/users/{name}/sessions", params(("name" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn end_sessions(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    api.casework()?.end_sessions(&caller.actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove the second factor of a user who has lost it
#[utoipa::path(delete, path = "/users/{name}/totp", params(("name" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn reset_second_factor(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    api.casework()?.reset_second_factor(&caller.actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One's own tokens; all of them for an admin
#[utoipa::path(get, path = "/tokens",
    responses((status = 200, body = Vec<TokenRow>), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn tokens(State(api): State<Api>, caller: Caller) -> Result<Json<Vec<TokenRow>>, Problem> {
    Ok(Json(api.casework()?.tokens(&caller.actor).await?))
}

/// A token to be made.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What it is for.
    #[schema(inline, value_type = Line)]
    name: String,
    /// On whose behalf it acts; without, one's own.
    #[schema(inline, value_type = Option<UserName>)]
    user: Option<String>,
    /// What it may do.
    #[schema(value_type = Role)]
    role: String,
    /// For how many days it is accepted.
    #[schema(minimum = 1, maximum = 366)]
    days: u32,
}

/// Make a token
#[utoipa::path(post, path = "/tokens", request_body = TokenRequest,
    responses((status = 201, body = Secret), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn create_token(
    State(api): State<Api>,
    caller: Caller,
    Body(given): Body<TokenRequest>,
) -> Result<(StatusCode, Json<Secret>), Problem> {
    let user = given.user.as_deref().unwrap_or(&caller.actor.name);
    let secret = api.casework()?.create_token(&caller.actor, user, &given.name, role(&given.role)?, given.days).await?;
    Ok((StatusCode::CREATED, Json(Secret { secret })))
}

/// Refuse a token from now on
#[utoipa::path(delete, path = "/tokens/{user}/{name}", params(("user" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn revoke_token(
    State(api): State<Api>,
    caller: Caller,
    Path((user, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    api.casework()?.revoke_token(&caller.actor, &user, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
