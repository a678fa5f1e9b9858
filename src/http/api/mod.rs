//! The API under `/api/v1`, for people's programs and for the pages: casework over HTTP, and no rules of its own. It is described at
//! `/api/v1/openapi.json`, from the code.
//!
//! Whoever asks carries a bearer token: of a session (`POST /api/v1/session`) or of a program (`tocsin token add`). What somebody may not
//! see as changed meanwhile has an `ETag`; a change that sends it back as `If-Match` is refused with 412 when somebody else was faster.
//!
//! ```text
//!  request ─▶ tracked ─▶ admitted ─▶ route: Caller, Path, Query, Body ─▶ casework
//!             (its id,    (who asks, and              │
//!  answer  ◀── problems) ◀ whether too often) ◀───────┘
//! ```

pub mod assets;
pub mod audit;
pub mod backups;
pub mod document;
pub mod export;
pub mod files;
pub mod holds;
pub mod incidents;
pub mod keys;
pub mod limits;
pub mod live;
pub mod logs;
pub mod maintenance;
pub mod observables;
pub mod parties;
pub mod problem;
pub mod relations;
pub mod reports;
pub mod searches;
pub mod session;
pub mod suppressions;
pub mod tasks;
pub mod tracked;
pub mod users;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::casework::{Actor, Casework, CaseworkError, Via};
use crate::journal::JournalHandle;
use crate::listen::shares::holder;
use limits::{Key, Limits, Standing};
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
    /// Who asks how often.
    pub limits: Arc<Limits>,
    /// Answers that take long, and how many of a kind there may be.
    pub places: Places,
    /// What goes on behind an answer that was begun or given: exports, backups.
    pub tasks: TaskTracker,
    /// The backup that is being made or tried, or was last.
    pub bench: backups::Bench,
    /// Cancelled when the doors close: what would go on for ever ends.
    pub stop: CancellationToken,
}

/// What takes long has few places: each kind its own, so that none keeps the others from the connections of casework.
#[derive(Clone, Debug)]
pub struct Places {
    live: Arc<Semaphore>,
    export: Arc<Semaphore>,
    verify: Arc<Semaphore>,
    rotate: Arc<Semaphore>,
}

impl Places {
    /// Memory of those that are all taken, in bytes, without the records themselves.
    pub const WORST_BYTES: usize = live::PLACES * live::BYTES + export::PLACES * export::BYTES + backups::BYTES;
}

impl Default for Places {
    fn default() -> Places {
        let places = |n| Arc::new(Semaphore::new(n));
        Places { live: places(live::PLACES), export: places(export::PLACES), verify: places(1), rotate: places(1) }
    }
}

/// A place, or a problem that says what there is none for.
fn place(of: &Arc<Semaphore>, what: &str) -> Result<OwnedSemaphorePermit, Problem> {
    let taken = |_| Problem::new(StatusCode::TOO_MANY_REQUESTS, format!("{what}; try again later")).after(5);
    Arc::clone(of).try_acquire_owned().map_err(taken)
}

/// All routes, with what describes each.
fn routes() -> OpenApiRouter<Api> {
    let routes = OpenApiRouter::with_openapi(document::Document::openapi())
        .merge(session::routes())
        .merge(users::routes())
        .merge(incidents::routes())
        .merge(parties::routes())
        .merge(files::routes())
        .merge(observables::routes())
        .merge(relations::routes())
        .merge(holds::routes())
        .merge(suppressions::routes())
        .merge(assets::routes())
        .merge(tasks::routes())
        .merge(logs::routes())
        .merge(live::routes())
        .merge(searches::routes())
        .merge(reports::routes())
        .merge(export::routes())
        .merge(audit::routes())
        .merge(keys::routes())
        .merge(backups::routes())
        .merge(maintenance::routes());
    OpenApiRouter::new().nest("/api/v1", routes)
}

/// All routes, and what describes them.
pub fn router(api: Api) -> Router {
    let (router, document) = routes().split_for_parts();
    let document = Arc::new(document::complete(&document));
    let nothing = any(async || Problem::new(StatusCode::NOT_FOUND, "there is no such resource"));
    router
        .route("/api/v1/openapi.json", get(async move || Json((*document).clone())))
        .route("/api/v1/", nothing.clone())
        .route("/api/v1/{*rest}", nothing)
        .method_not_allowed_fallback(async || Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no such method on this resource"))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(api.clone(), admitted))
        .layer(from_fn(tracked::tracked))
        .with_state(api)
}

impl Api {
    fn casework(&self) -> Result<&Casework, Problem> {
        let missing = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the database is not available yet; try again");
        self.casework.get().ok_or_else(missing)
    }
}

/// Whoever asks, recognised by their token.
#[derive(Clone)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// By which token.
    token: String,
}

/// Finds out who asks, and refuses whoever does too often: a user, wherever they come from, or an address where nobody was recognised. An
/// address that has tried too many tokens is not listened to, but for those that were good a moment ago.
async fn admitted(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let peer = peer(&parts).map_or(IpAddr::from([0; 4]), holder);
    let (caller, key) = match bearer(&parts.headers) {
        None => {
            let missing = "a bearer token is needed: sign in at /api/v1/session";
            (Err(Problem::new(StatusCode::UNAUTHORIZED, missing)), Key::Address(peer))
        }
        Some(token) => {
            if !api.limits.knows(token)
                && let Err(standing) = api.limits.look(Key::Address(peer))
            {
                return refused(&api, peer, standing);
            }
            match recognised(&api, token, &parts).await {
                Ok(caller) => {
                    api.limits.remember(token);
                    let key = caller.actor.user_id.map_or(Key::Address(peer), Key::User);
                    (Ok(caller), key)
                }
                Err(problem) => (Err(problem), Key::Address(peer)),
            }
        }
    };
    let signs_in = parts.method == Method::POST && parts.uri.path() == "/api/v1/session";
    match api.limits.take(if signs_in { Key::SignIn(peer) } else { key }) {
        Err(standing) => refused(&api, peer, standing),
        Ok(standing) => {
            parts.extensions.insert(caller);
            request = Request::from_parts(parts, body);
            let mut response = next.run(request).await;
            standing.tell(response.headers_mut());
            response
        }
    }
}

fn refused(api: &Api, peer: IpAddr, standing: Standing) -> Response {
    api.limits.refused.add(Some(peer), 1);
    let what = "too many requests; Retry-After says in how many seconds there is room for another one";
    let mut response = Problem::new(StatusCode::TOO_MANY_REQUESTS, what).after(standing.wait_secs()).into_response();
    standing.tell(response.headers_mut());
    response
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn recognised(api: &Api, token: &str, parts: &Parts) -> Result<Caller, Problem> {
    match api.casework()?.recognise(token, Via::Api, peer(parts)).await {
        Ok(actor) => Ok(Caller { actor, token: token.to_owned() }),
        Err(CaseworkError::Unrecognised) => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "the token is not accepted: it has expired, was revoked, or is none"))
        }
        Err(error) => Err(error.into()),
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Caller, Problem> {
        parts.extensions.get::<Result<Caller, Problem>>().expect("every request passes `admitted`").clone()
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

/// The id behind which a page begins, if it is one.
fn behind(cursor: Option<i64>) -> Result<Option<i64>, Problem> {
    match cursor {
        Some(..1) => Err(Problem::field("cursor", "is none that came with a page")),
        id => Ok(id),
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
