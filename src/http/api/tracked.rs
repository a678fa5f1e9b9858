//! What every answer of the API has: an id, under which our own log tells of failures; headers that say that it is nobody else's and is
//! what it says it is; and, where something went wrong, a body that says what.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::problem::Problem;
use crate::random;

/// The header that brings an id, and takes it back.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id that is taken over.
const MAX_ID: usize = 64;

/// The outermost layer.
pub async fn tracked(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).and_then(sane).map_or_else(made, str::to_owned);
    // Of the highest level, so that it is there whatever is logged.
    let span = tracing::error_span!("api", request_id = %id);
    let mut response = next.run(request).instrument(span).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let (parts, _) = response.into_parts();
        let body = Json(problem.of(&id)).into_response().into_body();
        response = Response::from_parts(parts, body);
    }
    let headers = response.headers_mut();
    // Without it, the length of the empty body that was there before would stay.
    if headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json") {
        headers.remove(header::CONTENT_LENGTH);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An id that somebody else made, if it is fit to be shown and logged: a token (RFC 9110 §5.6.2) of at most 64 characters.
fn sane(value: &HeaderValue) -> Option<&str> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    value.to_str().ok().filter(|id| (1..=MAX_ID).contains(&id.len()) && id.bytes().all(is_token))
}

fn made() -> String {
    // Without chance there is no telling apart; everything else works.
    random::hex(16).unwrap_or_else(|_| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_others_are_taken_over_where_they_are_sane() {
        let longest = "a".repeat(64);
        for (id, taken) in [
            ("7b0c-4.x_~", true),
            (&*longest, true),
            (&*"a".repeat(65), false),
            ("", false),
            ("two words", false),
            ("a\"b", false),
            ("a/b", false),
        ] {
            assert_eq!(sane(&HeaderValue::from_str(id).unwrap()).is_some(), taken, "{id:?}");
        }
        assert_eq!(sane(&HeaderValue::from_bytes(b"\xc3\xa4").unwrap()), None);
        assert!(made() != made() && sane(&HeaderValue::from_str(&made()).unwrap()).is_some());
    }
}
