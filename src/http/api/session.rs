//! `/api/v1/session` and `/api/v1/me`: signing in and out, one's own password.

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use std::net::SocketAddr;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::{Api, Body, Caller};
use crate::casework::second_factor::Enrolment;
use crate::casework::sessions::{Origin, Proof};
use crate::casework::{CaseworkError, Role, Via};
use crate::journal::Group;
use crate::record::Timestamp;

/// What refused attempts to sign in are filed under.
const SOURCE: &str = "tocsin";

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(sign_in, sign_out))
        .routes(routes!(me))
        .routes(routes!(change_password))
        .routes(routes!(begin_second_factor, remove_second_factor))
        .routes(routes!(confirm_second_factor))
}

/// Name and password.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Of a user.
    #[schema(max_length = 1000)]
    name: String,
    /// Theirs.
    #[schema(max_length = 1000)]
    password: String,
    /// Of their second factor, or a recovery code, where signing in was answered with 401 and the field `code`.
    #[schema(max_length = 1000)]
    code: Option<String>,
}

/// A session.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Session {
    /// To be sent as `Authorization: Bearer …`. It ends after 30 minutes without use, and after 12 hours.
    token: String,
    /// Whose it is.
    #[serde(flatten)]
    me: Me,
}

/// Whoever asks.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Me {
    /// Their name.
    name: String,
    /// What they may do.
    #[schema(value_type = Role)]
    role: String,
    /// Nothing else is allowed before the password is changed.
    must_change_password: bool,
}

impl From<&crate::casework::Actor> for Me {
    fn from(actor: &crate::casework::Actor) -> Me {
        Me { name: actor.name.clone(), role: actor.role.to_string(), must_change_password: actor.must_change_password }
    }
}

/// Sign in
#[utoipa::path(post, path = "/session", security(()), request_body = Credentials,
    responses((status = 201, body = Session), (status = 401, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem),
        (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn sign_in(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Body(given): Body<Credentials>,
) -> Result<(StatusCode, Json<Session>), Problem> {
    let address = peer.ip().to_canonical();
    let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).map(str::to_owned);
    let origin = Origin { address: Some(address), user_agent };
    let Credentials { name, password, code } = given;
    match api.casework()?.sign_in(&name, Proof { password, code }, Via::Api, &origin).await {
        Ok((token, actor)) => Ok((StatusCode::CREATED, Json(Session { token, me: Me::from(&actor) }))),
        Err(error) => {
            if matches!(error, CaseworkError::Unrecognised | CaseworkError::WrongCode | CaseworkError::LockedOut(_)) {
                note_refusal(&api, &name, peer).await;
            }
            Err(error.into())
        }
    }
}

/// Attacks on us are attacks: what was refused is a log record like any other, in ECS.
async fn note_refusal(api: &Api, name: &str, peer: SocketAddr) {
    let now = Timestamp::now();
    let record = serde_json::json!({
        "@timestamp": now,
        "event": { "category": ["authentication"], "type": ["start"], "outcome": "failure", "action": "sign_in" },
        "user": { "name": name.chars().take(64).collect::<String>() },
        "source": { "ip": peer.ip().to_canonical(), "port": peer.port() },
        "process": { "name": "tocsin" },
        "message": "signing in to tocsin was refused",
    });
    let mut group = Group::new(SOURCE, now);
    group.push(Some(peer.ip().to_canonical()), record.to_string().as_bytes(), 0);
    // Nobody is kept waiting for it; where the journal takes nothing, the audit log has it all the same.
    if let Err(refused) = api.journal.try_append(group) {
        tracing::warn!(reason = %refused.reason, "a refused attempt to sign in could not be put in the journal");
    }
}

/// Sign out
#[utoipa::path(delete, path = "/session", responses((status = 204), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn sign_out(State(api): State<Api>, caller: Caller) -> Result<StatusCode, Problem> {
    api.casework()?.sign_out(&caller.actor, &caller.token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who am I?
#[utoipa::path(get, path = "/me", responses((status = 200, body = Me), (status = 401, body = Problem), (status = 503, body = Problem)))]
async fn me(caller: Caller) -> Json<Me> {
    Json(Me::from(&caller.actor))
}

/// An old and a new password.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The one that is in force.
    #[schema(max_length = 1000)]
    old: String,
    /// At least twelve characters, and not easily guessed.
    #[schema(min_length = 12, max_length = 1000)]
    new: String,
}

/// Change one's own password; ends all of one's sessions
#[utoipa::path(post, path = "/me/password", request_body = PasswordChange,
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 503, body = Problem)))]
async fn change_password(
    State(api): State<Api>,
    caller: Caller,
    Body(given): Body<PasswordChange>,
) -> Result<StatusCode, Problem> {
    api.casework()?.change_own_password(&caller.actor, given.old, given.new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One's password.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// The one that is in force.
    #[schema(max_length = 1000)]
    password: String,
}

/// Begin to enrol a second factor; it is asked for once it is confirmed
#[utoipa::path(post, path = "/me/totp", request_body = Password,
    responses((status = 201, body = Enrolment), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 429, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 500, body = Problem), (status = 503, body = Problem)))]
async fn begin_second_factor(
    State(api): State<Api>,
    caller: Caller,
    Body(given): Body<Password>,
) -> Result<(StatusCode, Json<Enrolment>), Problem> {
    let begun = api.casework()?.begin_own_second_factor(&caller.actor, given.password).await?;
    Ok((StatusCode::CREATED, Json(begun)))
}

/// A code of a second factor.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Six digits; to remove one, a recovery code is taken as well.
    #[schema(max_length = 1000)]
    code: String,
}

/// What stands in for a lost second factor.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct RecoveryCodes {
    /// Each is accepted once. They are kept nowhere.
    recovery_codes: Vec<String>,
}

/// Confirm a second factor with its first code
#[utoipa::path(post, path = "/me/totp/confirm", request_body = Code,
    responses((status = 200, body = RecoveryCodes), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 500, body = Problem), (status = 503, body = Problem)))]
async fn confirm_second_factor(
    State(api): State<Api>,
    caller: Caller,
    Body(given): Body<Code>,
) -> Result<Json<RecoveryCodes>, Problem> {
    let recovery_codes = api.casework()?.confirm_second_factor(&caller.actor, &caller.actor.name, &given.code).await?;
    Ok(Json(RecoveryCodes { recovery_codes }))
}

/// Remove one's own second factor
#[utoipa::path(delete, path = "/me/totp", request_body = Code,
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 429, body = Problem), (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 500, body = Problem), (status = 503, body = Problem)))]
async fn remove_second_factor(State(api): State<Api>, caller: Caller, Body(given): Body<Code>) -> Result<StatusCode, Problem> {
    api.casework()?.remove_own_second_factor(&caller.actor, &given.code).await?;
    Ok(StatusCode::NO_CONTENT)
}
