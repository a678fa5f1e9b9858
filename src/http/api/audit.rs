//! `/api/v1/audit`: who did what, and whether somebody has tampered with it.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::Sought;
use super::incidents::{plain, time};
use super::problem::Problem;
use super::{Api, Caller, Query, behind, place};
use crate::casework::audit::{AuditFilter, Entry, MAX_PAGE};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(verify))
}

/// Which acts to list.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// To what, such as `user:ada` or `incident:INC-2026-000123`.
    #[param(inline, value_type = Option<Sought>)]
    subject: Option<String>,
    /// By whom.
    #[param(inline, value_type = Option<Sought>)]
    actor: Option<String>,
    /// What, such as `incident.change`; `incident.*` for everything that begins so.
    #[param(inline, value_type = Option<Sought>)]
    action: Option<String>,
    /// At this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
    /// At most so many. There may be fewer on a page, where they are long.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(minimum = 1)]
    cursor: Option<i64>,
}

/// A page of acts, the newest first.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Acts {
    /// What was done.
    acts: Vec<Entry>,
    /// What to send as `cursor` for the page behind it; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<i64>,
}

/// Who did what, the newest first
#[utoipa::path(get, path = "/audit", params(ListQuery), responses((status = 200, description = "A page", body = Acts), (status = 403)))]
async fn list(State(api): State<Api>, caller: Caller, Query(asked): Query<ListQuery>) -> Result<Json<Acts>, Problem> {
    let filter = AuditFilter {
        subject: plain("subject", asked.subject)?,
        actor: plain("actor", asked.actor)?,
        action: plain("action", asked.action)?,
        from: asked.from.as_deref().map(|from| time("from", from)).transpose()?,
        to: asked.to.as_deref().map(|to| time("to", to)).transpose()?,
    };
    let cursor = behind(asked.cursor)?;
    let limit = asked.limit.unwrap_or(50);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::field("limit", format!("has to be 1 to {MAX_PAGE}")));
    }
    let (acts, next) = api.casework()?.audit(&caller.actor, &filter, cursor, limit).await?;
    Ok(Json(Acts { acts, next }))
}

/// What is known of the audit log.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VerifyQuery {
    /// `head` of an earlier check: that row must still be there, as it was.
    #[param(pattern = "^[0-9a-f]{64}$")]
    head: Option<String>,
}

/// What checking the audit log came to.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Verdict {
    /// Rows that were looked at, up to the first that is not as it was written.
    rows: u64,
    /// Hash of the last of them, in hexadecimal digits: to be noted somewhere else, and sent as `head` later.
    head: String,
    /// The first row that is not as it was written; null where each is.
    tampered: Option<Tampered>,
}

/// A row that is not as it was written.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Tampered {
    /// Its id.
    id: i64,
    /// What is wrong with it.
    what: String,
}

/// Check that every row of the audit log is as it was written
///
/// One check at a time.
#[utoipa::path(get, path = "/audit/verify", params(VerifyQuery), responses((status = 200, description = "It was checked", body = Verdict), (status = 403)))]
async fn verify(State(api): State<Api>, caller: Caller, Query(asked): Query<VerifyQuery>) -> Result<Json<Verdict>, Problem> {
    let is_head = |head: &String| head.len() == 64 && head.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if asked.head.as_ref().is_some_and(|head| !is_head(head)) {
        return Err(Problem::field("head", "is no hash of 64 hexadecimal digits in lower case"));
    }
    let _place = place(&api.places.verify, "somebody is checking the audit log already")?;
    let checked = api.casework()?.check_audit(&caller.actor, asked.head.as_deref(), &mut |_| {}).await?;
    let tampered = checked.tampered.map(|(id, what)| Tampered { id, what: what.to_owned() });
    Ok(Json(Verdict { rows: checked.rows, head: checked.head, tampered }))
}
