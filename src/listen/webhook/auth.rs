//! Who may post: bearer tokens (RFC 6750 §2.1) and HMAC-SHA256 signatures over the body as sent, as GitHub documents them under
//! "Validating webhook deliveries". Every comparison takes the same time whatever is compared.

use std::fmt;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, header};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The headers that carry a signature where the source names none.
const SIGNATURE_HEADERS: [&str; 2] = ["x-hub-signature-256", "x-signature-256"];

/// What a sender must present: one of the tokens, or a signature made with one of the secrets.
#[derive(Clone)]
pub struct Credentials {
    /// Digests, so that tokens of different lengths compare alike.
    token_digests: Vec<[u8; 32]>,
    secrets: Vec<Vec<u8>>,
    signature_header: Option<HeaderName>,
}

/// Secrets do not show in logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials {{ {} tokens, {} secrets }}", self.token_digests.len(), self.secrets.len())
    }
}

/// What the headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Granted,
    /// There is a signature, to be checked against the body.
    DependsOnBody,
    Denied,
}

impl Credentials {
    /// Credentials with these tokens and signing secrets. An empty token or secret is left out: it would let in everybody.
    pub fn new(tokens: &[String], secrets: &[Vec<u8>]) -> Credentials {
        let token_digests = tokens.iter().filter(|t| !t.is_empty()).map(|t| Sha256::digest(t.as_bytes()).into()).collect();
        let secrets = secrets.iter().filter(|s| !s.is_empty()).cloned().collect();
        Credentials { token_digests, secrets, signature_header: None }
    }

    /// The header that carries the signature, instead of `X-Hub-Signature-256` or `X-Signature-256`.
    #[must_use]
    pub fn with_signature_header(mut self, name: HeaderName) -> Credentials {
        self.signature_header = Some(name);
        self
    }

    /// Those of a source that does not exist: nobody has them, but the comparison takes its time.
    pub(super) fn nobody() -> &'static Credentials {
        static NOBODY: LazyLock<Credentials> =
            LazyLock::new(|| Credentials { token_digests: vec![[0; 32]], secrets: Vec::new(), signature_header: None });
        &NOBODY
    }

    pub(super) fn check_headers(&self, headers: &HeaderMap) -> Verdict {
        let token = headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let token = match token.split_first_chunk::<7>() {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
            _ => b"",
        };
        let digest: [u8; 32] = Sha256::digest(token).into();
        let known = self.token_digests.iter().fold(Choice::from(0), |known, one| known | one.ct_eq(&digest));
        if bool::from(known) {
            Verdict::Granted
        } else if !self.secrets.is_empty() && self.signature(headers).is_some() {
            Verdict::DependsOnBody
        } else {
            Verdict::Denied
        }
    }

    /// The signature belongs to the body.
    pub(super) fn check_signature(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let Some(signature) = self.signature(headers) else { return false };
        let right = self.secrets.iter().fold(Choice::from(0), |right, secret| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length (RFC 2104 §2)");
            mac.update(body);
            let expected: [u8; 32] = mac.finalize().into_bytes().into();
            right | expected.ct_eq(&signature)
        });
        right.into()
    }

    fn signature(&self, headers: &HeaderMap) -> Option<[u8; 32]> {
        let value = match &self.signature_header {
            Some(name) => headers.get(name)?,
            None => SIGNATURE_HEADERS.iter().find_map(|name| headers.get(*name))?,
        };
        let text = value.as_bytes().trim_ascii();
        let digits = text.strip_prefix(b"sha256=").unwrap_or(text);
        (digits.len() == 64).then_some(())?;
        let mut out = [0; 32];
        for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |b: u8| char::from(b).to_digit(16);
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Some(out)
    }
}
