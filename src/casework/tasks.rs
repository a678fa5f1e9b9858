//! Tasks: what is to be done about an incident, by whom and until when.

use serde_json::{Value, json};

use super::audit::Act;
use super::incidents::{no_incident, subject, unseen};
use super::{Actor, Casework, CaseworkError, Change, ONE_LINE, Permission, text};
use crate::record::Timestamp;
use crate::record::case::TaskStatus;
use crate::store::cases::{self as rows, TaskRow};

/// Tasks on a page.
pub const MAX_PAGE: usize = 1_000;

/// What is to be done, or to be changed of it; `None` leaves it, and `Some(None)` takes it away.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct TaskEdit {
    pub title: Option<String>,
    pub status: Option<TaskStatus>,
    pub assignee: Option<Option<String>>,
    pub due_at: Option<Option<Timestamp>>,
    pub remind_at: Option<Option<Timestamp>>,
}

/// Which tasks to list.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Of that incident.
    pub incident: Option<String>,
    /// Of that user.
    pub assignee: Option<String>,
    /// That should have been done by now.
    pub overdue: bool,
    /// Those that are done or cancelled, too.
    pub all: bool,
}

impl Casework {
    /// Tasks; what is due first comes first.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn tasks(&self, actor: &Actor, filter: &TaskFilter, limit: usize) -> Result<Vec<TaskRow>, CaseworkError> {
        let mut reading = self.look(actor, Permission::ReadIncidents).await?;
        let due_before = filter.overdue.then(Timestamp::now);
        let limit = limit.clamp(1, MAX_PAGE) as i64;
        let (incident, assignee) = (filter.incident.as_deref(), filter.assignee.as_deref());
        let tasks =
            rows::tasks(&mut reading.connection, incident, assignee, due_before, filter.all && !filter.overdue, limit).await?;
        reading.done();
        Ok(tasks)
    }

    /// Makes a task; returns its id.
    ///
    /// # Errors
    /// Not permitted; no such incident; what was given is wrong; the database.
    pub async fn add_task(&self, actor: &Actor, number: &str, edit: &TaskEdit) -> Result<i64, CaseworkError> {
        let mut change = self.change(actor, Permission::WorkIncidents).await?;
        let incident = rows::by_number_to_change(change.connection(), number).await?.ok_or_else(|| no_incident(number))?;
        let blank = TaskRow {
            id: 0,
            incident_id: incident.id,
            incident: number.to_owned(),
            title: String::new(),
            status: TaskStatus::Open.to_string(),
            assignee: None,
            due_at: None,
            remind_at: None,
            created_by: actor.name.clone(),
            created_at: change.now,
            done_at: None,
            version: 1,
        };
        let mut task = edited(&blank, edit, change.now)?;
        if task.title.is_empty() {
            return Err(CaseworkError::invalid("title", "is empty"));
        }
        assignable(change.connection(), edit).await?;
        task.id = rows::insert_task(change.connection(), &task).await?;
        let shown = shown(&task);
        change.tell(incident.id, "task", None, Some(shown.clone())).await?;
        change.commit(&[Act::new("task.add", subject(number)).values(None, shown)]).await?;
        Ok(task.id)
    }

    /// Changes a task; returns it as it is then.
    ///
    /// # Errors
    /// Not permitted; no such task; somebody has changed it since `version`; what was given is wrong; the database.
    pub async fn edit_task(
        &self,
        actor: &Actor,
        id: i64,
        edit: &TaskEdit,
        version: Option<i64>,
    ) -> Result<TaskRow, CaseworkError> {
        let (mut change, before) = self.change_task(actor, id).await?;
        unseen(&format!("task {id}"), before.version, version)?;
        assignable(change.connection(), edit).await?;
        let after = edited(&before, edit, change.now)?;
        if after == before {
            return Ok(before);
        }
        rows::update_task(change.connection(), &after).await?;
        let (old, new) = (shown(&before), shown(&after));
        change.tell(before.incident_id, "task", Some(old.clone()), Some(new.clone())).await?;
        change.commit(&[Act::new("task.change", subject(&before.incident)).values(old, new)]).await?;
        Ok(TaskRow { version: before.version + 1, ..after })
    }

    /// Begins to change a task, under the lock of its incident. Where it went to another incident before that one was locked, from the
    /// beginning: whoever held the wrong one and waited for the right one could wait in a circle.
    async fn change_task<'a>(&self, actor: &'a Actor, id: i64) -> Result<(Change<'a>, TaskRow), CaseworkError> {
        loop {
            let mut change = self.change(actor, Permission::WorkIncidents).await?;
            let missing = || CaseworkError::NotFound(format!("task {id}"));
            let seen = rows::task(change.connection(), id).await?.ok_or_else(missing)?;
            let incident = rows::by_number_to_change(change.connection(), &seen.incident).await?.ok_or_else(missing)?;
            let task = rows::task(change.connection(), id).await?.ok_or_else(missing)?;
            if task.incident_id == incident.id {
                return Ok((change, task));
            }
        }
    }
}

async fn assignable(connection: &mut sqlx::PgConnection, edit: &TaskEdit) -> Result<(), CaseworkError> {
    match &edit.assignee {
        Some(Some(name)) if !rows::can_be_assigned(connection, name).await? => {
            Err(CaseworkError::invalid("assignee", format!("{name:?} is no user who may work on incidents")))
        }
        _ => Ok(()),
    }
}

fn edited(before: &TaskRow, edit: &TaskEdit, now: Timestamp) -> Result<TaskRow, CaseworkError> {
    let mut after = before.clone();
    if let Some(title) = &edit.title {
        after.title = text("title", title, ONE_LINE)?;
    }
    if let Some(assignee) = &edit.assignee {
        after.assignee.clone_from(assignee);
    }
    if let Some(due_at) = edit.due_at {
        after.due_at = due_at;
    }
    if let Some(remind_at) = edit.remind_at {
        after.remind_at = remind_at;
    }
    if let Some(status) = edit.status {
        after.status = status.to_string();
        let is_over = matches!(status, TaskStatus::Done | TaskStatus::Cancelled);
        after.done_at = is_over.then(|| before.done_at.unwrap_or(now));
    }
    Ok(after)
}

/// What timeline and audit log show of a task.
fn shown(task: &TaskRow) -> Value {
    json!({
        "id": task.id,
        "title": task.title,
        "status": task.status,
        "assignee": task.assignee,
        "due_at": task.due_at,
        "remind_at": task.remind_at,
    })
}
