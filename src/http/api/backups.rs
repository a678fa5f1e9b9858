//! `/api/v1/backups`: which there are, to make one, and to prove one. Restoring is for the command line alone, `tocsin backup restore`: the
//! daemon does not run then.
//!
//! What may take hours is only begun by a request: the answer is 202, and the list tells how far it is and how it ended. It goes on without
//! whoever asked for it, and ends with the daemon.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;
use tracing::Instrument;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::{Api, Caller, Path};
use crate::casework::backups::{Backup, Progress};
use crate::casework::{Actor, Casework, CaseworkError};
use crate::record::Timestamp;

/// Of the one that is made or tried: pieces on their way, and what it says of itself, in bytes.
pub(super) const BYTES: usize = 4 << 20;
/// Where there is to be seen how far it is.
const LIST: &str = "/api/v1/backups";

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(verify))
}

/// What may take long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WorkKind {
    /// A backup is made.
    Create,
    /// A backup is restored into a database of its own, compared, and that database is removed.
    Verify,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WorkState {
    /// It is under way.
    Running,
    /// It was done; of a backup that was tried, `problems` says what came of it.
    Done,
    /// It broke off.
    Failed,
}

/// Making or trying a backup.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Work {
    /// Which of the two.
    what: WorkKind,
    /// How far it is.
    state: WorkState,
    /// Name of the backup; null until one that is made has a name.
    backup: Option<String>,
    /// Who asked for it.
    by: String,
    /// When it began.
    began: Timestamp,
    /// When it ended; null while it is under way.
    ended: Option<Timestamp>,
    /// Bytes of the dump that were copied, before they are compressed and encrypted.
    bytes: u64,
    /// Rows of all tables in it; null until it is done.
    rows: Option<u64>,
    /// What is not as it should be in a backup that was tried: nothing where it is whole.
    problems: Vec<String>,
    /// Why it broke off; null unless it did.
    failure: Option<String>,
}

/// What is being made or tried, or was last, since the daemon was started. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Bench(Arc<Mutex<Option<Work>>>);

impl Bench {
    fn see(&self) -> Option<Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn begin(&self, work: Work) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
    }

    fn change(&self, change: impl FnOnce(&mut Work)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(change);
    }
}

/// The backups that there are.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Backups {
    /// The newest first.
    backups: Vec<Backup>,
    /// What is being made or tried, or was last since the daemon was started; null where nothing was. Those that the daemon makes by itself,
    /// and those of the command line, are not told of here.
    work: Option<Work>,
}

/// Show which backups there are, and how far the one is that is being made or tried
#[utoipa::path(get, path = "/backups", responses((status = 200, body = Backups), (status = 403)))]
async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<Backups>, Problem> {
    Ok(Json(Backups { backups: api.casework()?.backups(&caller.actor)?, work: api.bench.see() }))
}

/// Begin to make a backup, and then to remove those that are not kept any more
///
/// `GET /backups` tells how far it is, under `work`. One is made or tried at a time. To restore one is for the command line alone (`tocsin
/// backup restore`), since the daemon does not run then.
#[utoipa::path(post, path = "/backups",
    responses((status = 202, description = "It has begun", body = Work, headers(("Location" = String, description = "Where to look how far it is"))),
        (status = 403), (status = 409, description = "One is being made or tried, or the configuration does not say who can read it")))]
async fn create(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    begin(api, caller.actor, Wish::Create).await
}

/// Begin to restore a backup into a database of its own, to compare it with what it says of itself, and to remove that database
///
/// `GET /backups` tells how far it is, under `work`. One is made or tried at a time. The daemon needs the private key for it
/// (`backup.identity_file`); where that is kept elsewhere, `tocsin backup verify` does it there.
#[utoipa::path(post, path = "/backups/{name}/verify", params(("name" = String, Path)),
    responses((status = 202, description = "It has begun", body = Work, headers(("Location" = String, description = "Where to look how far it is"))),
        (status = 403), (status = 404), (status = 409, description = "One is being made or tried, or this one cannot be read here")))]
async fn verify(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<Response, Problem> {
    let path = api.casework()?.find_backup(&caller.actor, &name)?;
    begin(api, caller.actor, Wish::Verify(name, path)).await
}

/// What somebody wants to be done.
enum Wish {
    Create,
    Verify(String, PathBuf),
}

/// What came of it.
struct Done {
    backup: String,
    rows: u64,
    problems: Vec<String>,
}

impl Wish {
    fn begun(&self, by: &Actor) -> Work {
        let (what, backup) = match self {
            Wish::Create => (WorkKind::Create, None),
            Wish::Verify(name, _) => (WorkKind::Verify, Some(name.clone())),
        };
        Work {
            what,
            state: WorkState::Running,
            backup,
            by: by.name.clone(),
            began: Timestamp::now(),
            ended: None,
            bytes: 0,
            rows: None,
            problems: Vec::new(),
            failure: None,
        }
    }

    async fn come_true(&self, casework: &Casework, actor: &Actor, progress: Progress<'_>) -> Result<Done, CaseworkError> {
        match self {
            Wish::Create => {
                let made = casework.create_backup(actor, progress).await?;
                Ok(Done { backup: made.backup.name, rows: made.rows, problems: Vec::new() })
            }
            Wish::Verify(name, path) => {
                let tried = casework.try_backup(actor, path, progress).await?;
                Ok(Done { backup: name.clone(), rows: tried.manifest.contents.rows(), problems: tried.problems })
            }
        }
    }
}

/// Begins it in a task of its own. What stands in the way from the beginning is a problem; what comes later is told by the list.
async fn begin(api: Api, actor: Actor, wish: Wish) -> Result<Response, Problem> {
    let casework = api.casework()?.clone();
    let (bench, stop) = (api.bench.clone(), api.stop.clone());
    let (begun, has_begun) = oneshot::channel();
    let work = async move {
        let mut begun = Some(begun);
        let mut progress = |bytes| {
            if let Some(begun) = begun.take() {
                let work = wish.begun(&actor);
                bench.begin(work.clone());
                // Whoever asked may be gone.
                let _ = begun.send(Ok(work));
            }
            bench.change(|work| work.bytes = bytes);
        };
        let done = tokio::select! {
            done = wish.come_true(&casework, &actor, &mut progress) => done.map_err(problem),
            () = stop.cancelled() => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon was stopped")),
        };
        match (begun, done) {
            (Some(begun), Err(problem)) => drop(begun.send(Err(problem))),
            (_, done) => bench.change(|work| end(work, done)),
        }
    };
    api.tasks.spawn(work.in_current_span());
    match has_begun.await {
        Ok(Ok(work)) => Ok((StatusCode::ACCEPTED, [(header::LOCATION, LIST)], Json(work)).into_response()),
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "it ended before it had begun")),
    }
}

/// What was sent is right: what is wrong is in the configuration.
fn problem(error: CaseworkError) -> Problem {
    match error {
        CaseworkError::Invalid { field, problem } => Problem::new(StatusCode::CONFLICT, format!("{field} {problem}")),
        other => other.into(),
    }
}

fn end(work: &mut Work, done: Result<Done, Problem>) {
    work.ended = Some(Timestamp::now());
    match done {
        Ok(done) => {
            (work.state, work.backup) = (WorkState::Done, Some(done.backup));
            (work.rows, work.problems) = (Some(done.rows), done.problems);
        }
        Err(problem) => {
            tracing::warn!(work = ?work.what, problem = problem.detail, "a backup that somebody asked for was not made or tried");
            (work.state, work.failure) = (WorkState::Failed, Some(problem.detail));
        }
    }
}
