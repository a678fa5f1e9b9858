//! The doors: syslog over UDP (RFC 5426) and TCP (RFC 6587), and JSON over HTTP. What arrives goes to the journal, unread and in order.
//!
//! A listener is bound, asked for its address and run until it is stopped. It limits what strangers can take, all together and each of
//! them: connections, sizes, time, memory; where many fill it together, who has most makes room for who has less. What it does not keep
//! it counts, as `dropped_total{source,reason}` and `rejected_total{source,reason}`, and who is refused most stands in our own log.
//!
//! When the journal is full, each door does the honest thing of its protocol: UDP drops the newest and counts it, TCP stops reading, HTTP
//! answers 503 with Retry-After.

pub mod accept;
pub mod refused;
pub mod shares;
pub mod tcp;
pub mod udp;
pub mod webhook;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::journal::JournalError;
use crate::stats::{Counter, Stats};

/// Why a listener cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("cannot listen on {protocol} {address}")]
    Bind {
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its socket failed.
    #[error("cannot receive on {protocol} {address}")]
    Receive {
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The journal takes nothing any more.
    #[error("cannot append to the journal")]
    Journal(#[source] JournalError),
}

/// Frames that a source has received.
pub(crate) fn received(stats: &Stats, source: &str) -> Arc<Counter> {
    stats.counter("frames_total", "Frames received.", &[("source", source)])
}

/// A message without the LF, CRLF or NUL that some senders put at the end of a datagram or counted frame, where it delimits nothing.
fn without_trailer(mut frame: &[u8]) -> &[u8] {
    loop {
        frame = match frame {
            [rest @ .., b'\r', b'\n'] | [rest @ .., b'\n' | b'\0'] => rest,
            _ => return frame,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_no_part_of_a_message() {
        let cases = [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\0", "a"),
            ("a\n\0", "a"),
            ("a\r", "a\r"),
            ("\n", ""),
            ("a\nb\n\n", "a\nb"),
            ("", ""),
        ];
        for (frame, want) in cases {
            assert_eq!(without_trailer(frame.as_bytes()), want.as_bytes());
        }
    }
}
