//! What went wrong, as RFC 9457 has it: `application/problem+json`.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::casework::CaseworkError;
use crate::casework::keys::KeyError;

/// A problem. What a client reads says nothing about the inside; that is in our own log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, and what to do about it.
    pub detail: String,
    /// Which field of what was sent is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    /// A problem of that status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Problem { title, status: status.as_u16(), detail: detail.into(), field: None }
    }

    /// Something that was sent is wrong.
    pub fn field(field: &str, detail: impl Into<String>) -> Problem {
        Problem { field: Some(field.to_owned()), ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        match status {
            StatusCode::UNAUTHORIZED => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
            }
            _ => {}
        }
        // The type is the status and no more (RFC 9457 §4.2.1).
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        response
    }
}

impl From<CaseworkError> for Problem {
    fn from(error: CaseworkError) -> Problem {
        let text = error.to_string();
        match error {
            CaseworkError::Forbidden { .. } | CaseworkError::MustChangePassword => Problem::new(StatusCode::FORBIDDEN, text),
            CaseworkError::NotFound(_) => Problem::new(StatusCode::NOT_FOUND, text),
            CaseworkError::Invalid { field, problem } => Problem::field(field, problem),
            CaseworkError::Conflict(_) => Problem::new(StatusCode::CONFLICT, text),
            CaseworkError::Unrecognised => Problem::new(StatusCode::UNAUTHORIZED, text),
            CaseworkError::LockedOut(_) => Problem::new(StatusCode::TOO_MANY_REQUESTS, text),
            CaseworkError::TooLarge(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text),
            CaseworkError::Busy(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, text),
            // Nothing of the API writes files.
            CaseworkError::Output(error) => {
                tracing::error!(%error, "an answer could not be written");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong; the log of the daemon says what")
            }
            CaseworkError::Keys(error) => {
                let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
                let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
                tracing::error!(error = text, "something sealed could not be opened, or nothing sealed");
                if matches!(error, KeyError::Broken(_)) {
                    return Problem::new(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "something sealed does not open: it was tampered with",
                    );
                }
                let detail = "what is sealed cannot be opened now; the log of the daemon says what an admin has to do";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
            CaseworkError::Store(error) if error.is_transient() => {
                tracing::warn!(error = error.in_one_line(), "the database did not serve a request of the API");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the database is not available; try again")
            }
            CaseworkError::Store(error) => {
                tracing::error!(error = error.in_one_line(), "the database refused a request of the API");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong; the log of the daemon says what")
            }
        }
    }
}
