//! What went wrong, as RFC 9457 has it: `application/problem+json`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::casework::CaseworkError;
use crate::casework::keys::KeyError;
use crate::record::Timestamp;

/// A problem. What a client reads says nothing about the inside; that is in our own log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong, and what to do about it.
    pub detail: String,
    /// Which field of what was sent is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    pub field: Option<Box<str>>,
    /// Where in that field, in characters from its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub position: Option<u32>,
    /// `X-Request-Id` of the answer, which our own log has, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    pub request_id: Option<Box<str>>,
    /// After how many seconds it may be otherwise.
    #[serde(skip)]
    retry_after: Option<u32>,
}

impl Problem {
    /// Of the request with that id.
    #[must_use]
    pub fn of(self, request_id: &str) -> Problem {
        Problem { request_id: Some(request_id.into()), ..self }
    }

    /// A problem of that status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(5);
        Problem {
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            position: None,
            request_id: None,
            retry_after,
        }
    }

    /// Something that was sent is wrong.
    pub fn field(field: &str, detail: impl Into<String>) -> Problem {
        Problem { field: Some(field.into()), ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    /// At that character of the field.
    #[must_use]
    pub fn at(self, position: usize) -> Problem {
        Problem { position: u32::try_from(position).ok(), ..self }
    }

    /// That may be tried again after so many seconds.
    #[must_use]
    pub fn after(self, secs: u32) -> Problem {
        Problem { retry_after: Some(secs), ..self }
    }
}

/// Its body is written by [`super::tracked`], which knows the id of the request.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(secs) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        // The type is the status and no more (RFC 9457 §4.2.1).
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.extensions_mut().insert(self);
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
            CaseworkError::SecondFactorNeeded | CaseworkError::WrongCode => {
                Problem { field: Some("code".into()), ..Problem::new(StatusCode::UNAUTHORIZED, text) }
            }
            CaseworkError::TooLarge(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text),
            CaseworkError::Busy(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, text),
            CaseworkError::LockedOut(until) => {
                let secs = until.micros_since(Timestamp::now()).max(0).unsigned_abs().div_ceil(1_000_000);
                Problem::new(StatusCode::TOO_MANY_REQUESTS, text).after(u32::try_from(secs).unwrap_or(u32::MAX).max(1))
            }
            CaseworkError::Output(error) => {
                tracing::error!(%error, "an answer could not be written");
                inside()
            }
            // character_not_in_repertoire: there is a NUL in it, in whatever part of a request.
            CaseworkError::Store(error) if error.sqlstate().as_deref() == Some("22021") => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "there are control characters in it")
            }
            CaseworkError::Keys(KeyError::TooMany { .. }) => {
                let full = "the key file is full: rotate with \"forget_old\", and the master keys that are not needed go";
                Problem::new(StatusCode::CONFLICT, full)
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
                inside()
            }
        }
    }
}

fn inside() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong; the log of the daemon says what, under the request_id")
}
