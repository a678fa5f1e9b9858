//! The API under `/api/v1`, for people's programs and for the pages: casework over HTTP, and no rules of its own. It is described at
//! `/api/v1/openapi.json`, from the code.
//!
//! Whoever asks carries a bearer token: of a session (`POST /api/v1/session`) or of a program (`tocsin token add`). What somebody may not
//! see as changed meanwhile has an `ETag`; a change that sends it back as `If-Match` is refused with 412 when somebody else was faster.

pub mod assets;
pub mod files;
pub mod holds;
pub mod incidents;
pub mod maintenance;
pub mod observables;
pub mod parties;
pub mod problem;
pub mod relations;
pub mod session;
pub mod suppressions;
pub mod tasks;
pub mod users;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use crate::casework::{Actor, Casework, Via};
use crate::journal::JournalHandle;
use crate::record::Timestamp;
use problem::Problem;

/// A body has at most so many bytes: the longest texts of casework, each character six bytes of JSON at worst.
const MAX_BODY_BYTES: usize = 1 << 20;

/// What the routes need.
#[derive(Clone)]
pub struct Api {
    /// Casework, once the database is there.
    pub casework: Arc<OnceLock<Casework>>,
    /// Where refused attempts to sign in are put, to be seen by our own detectors.
    pub journal: JournalHandle,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "tocsin", description = "Casework: users, incidents, tasks."),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("of a session or a program")).build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// All routes, and what describes them.
pub fn router(api: Api) -> Router {
    let routes = OpenApiRouter::with_openapi(Document::openapi())
        .merge(session::routes())
        .merge(users::routes())
        .merge(incidents::routes())
        .merge(parties::routes())
        .merge(files::routes())
        .merge(observables::routes())
        .merge(relations::routes())
        .merge(tasks::routes())
        .merge(assets::routes())
        .merge(holds::routes())
        .merge(suppressions::routes())
        .merge(maintenance::routes());
    let (router, document) = OpenApiRouter::new().nest("/api/v1", routes).split_for_parts();
    let document = Arc::new(document);
    router
        .route("/api/v1/openapi.json", axum::routing::get(async move || Json((*document).clone())))
        .method_not_allowed_fallback(async || Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no such method on this resource"))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::middleware::map_response(guard))
        .with_state(api)
}

/// What every answer carries: it is nobody else's, and is what it says it is.
async fn guard(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Api {
    fn casework(&self) -> Result<&Casework, Problem> {
        let missing = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the database is not available yet; try again");
        self.casework.get().ok_or_else(missing)
    }
}

/// Whoever asks, recognised by their token.
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// By which token.
    token: String,
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Caller, Problem> {
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        let missing = || Problem::new(StatusCode::UNAUTHORIZED, "a bearer token is needed: sign in at /api/v1/session");
        let token = token.ok_or_else(missing)?;
        let actor = api.casework()?.recognise(&token, Via::Api, peer(parts)).await;
        match actor {
            Ok(actor) => Ok(Caller { actor, token }),
            Err(crate::casework::CaseworkError::Unrecognised) => {
                Err(Problem::new(StatusCode::UNAUTHORIZED, "the token is not accepted: it has expired, was revoked, or is none"))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The address at the other end.
fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical())
}

/// A body, with a problem that says what is wrong with it.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Body(body)),
            Err(refused) => {
                let status = match &refused {
                    JsonRejection::JsonDataError(_) => StatusCode::UNPROCESSABLE_ENTITY,
                    other => other.status(),
                };
                Err(Problem::new(status, refused.body_text()))
            }
        }
    }
}

/// The parameters behind the `?`, likewise.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T>, Problem> {
        let query: Result<_, QueryRejection> = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|query| Query(query.0)).map_err(|refused| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, refused.body_text()))
    }
}

/// The parts of the path, likewise.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Problem> {
        let path: Result<_, PathRejection> = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|path| Path(path.0)).map_err(|refused| Problem::new(StatusCode::NOT_FOUND, refused.body_text()))
    }
}

/// Something with a version, which a change may name as seen.
fn versioned(version: i64, body: &impl serde::Serialize) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{version}\"")).expect("digits");
    ([(header::ETAG, tag)], Json(body)).into_response()
}

/// The version that a change names in `If-Match`; without one, or with `*`, it is made whatever others did meanwhile.
fn seen(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(tag) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let tag = tag.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(None);
    }
    let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).and_then(|tag| tag.parse().ok());
    let none = || Problem::new(StatusCode::PRECONDITION_FAILED, "If-Match is not an ETag that was sent with this resource");
    version.map(Some).ok_or_else(none)
}

/// With `If-Match`, a conflict means that it does not match.
fn precondition(problem: Problem, seen: Option<i64>) -> Problem {
    if seen.is_some() && problem.status == StatusCode::CONFLICT.as_u16() {
        return Problem::new(StatusCode::PRECONDITION_FAILED, problem.detail);
    }
    problem
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
    }
}

impl utoipa::ToSchema for Timestamp {}
