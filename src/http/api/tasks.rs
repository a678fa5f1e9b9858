//! `/api/v1/tasks`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{Line, Sought, TimeOrNothing};
use super::incidents::{numbered, plain, time, word};
use super::problem::Problem;
use super::{Api, Body, Caller, Path, Query, precondition, seen, versioned};
use crate::casework::tasks::{MAX_PAGE, TaskEdit, TaskFilter};
use crate::record::Timestamp;
use crate::record::case::TaskStatus;
use crate::store::cases::TaskRow;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(add)).routes(routes!(edit))
}

/// Which tasks to list.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Of this incident.
    #[param(inline, value_type = Option<Sought>)]
    incident: Option<String>,
    /// Of this user.
    #[param(inline, value_type = Option<Sought>)]
    assignee: Option<String>,
    /// That should have been done by now.
    #[serde(default)]
    overdue: bool,
    /// Those that are done or cancelled, too.
    #[serde(default)]
    all: bool,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// List tasks, what is due first
#[utoipa::path(get, path = "/tasks", params(ListQuery),
    responses((status = 200, body = Vec<TaskRow>), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn list(State(api): State<Api>, caller: Caller, Query(query): Query<ListQuery>) -> Result<Json<Vec<TaskRow>>, Problem> {
    let ListQuery { incident, assignee, overdue, all, limit } = query;
    let limit = limit.unwrap_or(100);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::field("limit", format!("has to be 1 to {MAX_PAGE}")));
    }
    let (incident, assignee) = (plain("incident", incident)?, plain("assignee", assignee)?);
    let filter = TaskFilter { incident, assignee, overdue, all };
    Ok(Json(api.casework()?.tasks(&caller.actor, &filter, limit).await?))
}

/// What is to be done, or to be changed of it; what is absent stays, and an empty text takes one away.
#[derive(Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskRequest {
    /// One line.
    #[schema(inline, value_type = Option<Line>)]
    title: Option<String>,
    /// Where it is.
    #[schema(value_type = Option<TaskStatus>)]
    status: Option<String>,
    /// Who is to do it; an empty text for nobody.
    #[schema(pattern = "^([a-z][a-z0-9._-]{0,63})?$")]
    assignee: Option<String>,
    /// Until when.
    #[schema(inline, value_type = Option<TimeOrNothing>)]
    due_at: Option<String>,
    /// When to remind the assignee.
    #[schema(inline, value_type = Option<TimeOrNothing>)]
    remind_at: Option<String>,
}

impl TaskRequest {
    fn wanted(self) -> Result<TaskEdit, Problem> {
        let at = |field: &str, text: Option<String>| -> Result<Option<Option<Timestamp>>, Problem> {
            match text.as_deref() {
                None => Ok(None),
                Some("") => Ok(Some(None)),
                Some(text) => Ok(Some(Some(time(field, text)?))),
            }
        };
        Ok(TaskEdit {
            title: self.title,
            status: self.status.as_deref().map(|s| word("status", s)).transpose()?,
            assignee: plain("assignee", self.assignee)?.map(|name| Some(name).filter(|name| !name.is_empty())),
            due_at: at("due_at", self.due_at)?,
            remind_at: at("remind_at", self.remind_at)?,
        })
    }
}

/// Which task it is.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Added {
    /// Its id.
    id: i64,
}

/// Make a task
#[utoipa::path(post, path = "/incidents/{number}/tasks", request_body = TaskRequest, params(("number" = String, Path)),
    responses((status = 201, body = Added), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 503, body = Problem)))]
async fn add(
    State(api): State<Api>,
    caller: Caller,
    Path(number): Path<String>,
    Body(given): Body<TaskRequest>,
) -> Result<(StatusCode, Json<Added>), Problem> {
    let number = numbered(number)?;
    let id = api.casework()?.add_task(&caller.actor, &number, &given.wanted()?).await?;
    Ok((StatusCode::CREATED, Json(Added { id })))
}

/// Change a task
#[utoipa::path(patch, path = "/tasks/{id}", request_body = TaskRequest, params(("id" = i64, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = TaskRow, headers(("ETag" = String, description = "Its new version"))), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem),
        (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 503, body = Problem)))]
async fn edit(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
    headers: HeaderMap,
    Body(given): Body<TaskRequest>,
) -> Result<Response, Problem> {
    let version = seen(&headers)?;
    let edited = api.casework()?.edit_task(&caller.actor, id, &given.wanted()?, version).await;
    let edited = edited.map_err(|error| precondition(error.into(), version))?;
    Ok(versioned(edited.version, &edited))
}
