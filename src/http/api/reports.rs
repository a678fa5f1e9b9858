//! `/api/v1/reports`: the figures of a week, or of any other period.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::incidents::time;
use super::problem::Problem;
use super::{Api, Caller, Query};
use crate::casework::reports::{Period, Report, csv, page};
use crate::record::Timestamp;

/// What a page of ours may do in a browser: show itself.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(weekly)).routes(routes!(metrics))
}

/// As what it is wanted.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// All figures.
    #[default]
    Json,
    /// A line for each figure.
    Csv,
    /// A page with charts, which needs nothing else.
    Html,
}

/// Which week.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WeekQuery {
    /// Up to the hour of this time; now, unless it is given.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<String>,
    /// As what.
    #[serde(default)]
    #[param(inline, default = "json")]
    format: Format,
}

/// The figures of seven days
#[utoipa::path(get, path = "/reports/weekly", params(WeekQuery),
    responses((status = 200, description = "The report", content((Report = "application/json"), (String = "text/csv"), (String = "text/html"))),
        (status = 403)))]
async fn weekly(State(api): State<Api>, caller: Caller, Query(asked): Query<WeekQuery>) -> Result<Response, Problem> {
    let until = asked.until.as_deref().map_or_else(|| Ok(Timestamp::now()), |until| time("until", until))?;
    let report = api.casework()?.report(&caller.actor, Period::days_until(7, until)).await?;
    Ok(answer(&report, "Security week", asked.format))
}

/// Which period.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MetricsQuery {
    /// From the hour of this time on; 30 days before the end, unless it is given.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Up to this time; now, unless it is given. At most ten years after the beginning.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
    /// As what.
    #[serde(default)]
    #[param(inline, default = "json")]
    format: Format,
}

/// The figures of any period
#[utoipa::path(get, path = "/reports/metrics", params(MetricsQuery),
    responses((status = 200, description = "The report", content((Report = "application/json"), (String = "text/csv"), (String = "text/html"))),
        (status = 403)))]
async fn metrics(State(api): State<Api>, caller: Caller, Query(asked): Query<MetricsQuery>) -> Result<Response, Problem> {
    let to = asked.to.as_deref().map_or_else(|| Ok(Timestamp::now()), |to| time("to", to))?;
    let period = match &asked.from {
        Some(from) => Period::new(time("from", from)?, to)?,
        None => Period::days_until(30, to.plus_micros(-1)),
    };
    let report = api.casework()?.report(&caller.actor, period).await?;
    Ok(answer(&report, "Security metrics", asked.format))
}

fn answer(report: &Report, kind: &str, format: Format) -> Response {
    let title = report.title(kind);
    match format {
        Format::Json => Json(report).into_response(),
        Format::Csv => {
            let name =
                format!("attachment; filename=\"{}.csv\"", title.to_lowercase().replace([' ', ','], "-").replace("--", "-"));
            let name = HeaderValue::from_str(&name).expect("words and dates");
            let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
            ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], csv(report)).into_response()
        }
        Format::Html => {
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            let policy = HeaderValue::from_static(PAGE_POLICY);
            ([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, policy)], page(&title, report)).into_response()
        }
    }
}
