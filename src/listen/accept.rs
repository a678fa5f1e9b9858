//! The front of a door that takes connections: a limit on how many there are, and on how many one peer has.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::ListenError;
use super::refused::{Refusals, Refused};
use super::shares::{Exhausted, Share, Shares};
use crate::stats::{Counter, Stats};

/// The pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How many connections there may be at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of all peers together; further ones are closed at once.
    pub connections: usize,
    /// Of one address, or of one /64 of IPv6.
    pub per_peer: usize,
}

impl Limits {
    /// A quarter for each peer.
    pub fn new(connections: usize) -> Limits {
        Limits { connections, per_peer: connections.div_ceil(4) }
    }
}

/// A bound TCP socket.
#[derive(Debug)]
pub struct Acceptor {
    socket: TcpListener,
    address: SocketAddr,
    places: Arc<Shares>,
    open: Arc<Counter>,
    all: Refused,
    of_peer: Refused,
}

/// A connection, and its place. The place comes back when it is dropped.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: TcpStream,
    /// Who it is from.
    pub peer: SocketAddr,
    /// Its place among the connections.
    pub place: Place,
}

/// A connection's place.
#[derive(Debug)]
pub struct Place {
    _share: Share,
    open: Arc<Counter>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.sub(1);
    }
}

impl Acceptor {
    /// Binds the socket.
    ///
    /// # Errors
    /// [`ListenError::Bind`].
    pub async fn bind(
        listen: SocketAddr,
        limits: Limits,
        source: &str,
        stats: &Stats,
        refusals: &Arc<Refusals>,
    ) -> Result<Acceptor, ListenError> {
        let failed = |source| ListenError::Bind { protocol: "tcp", address: listen, source };
        let socket = TcpListener::bind(listen).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Acceptor {
            socket,
            address,
            places: Shares::new(limits.connections, limits.per_peer),
            open: stats.gauge("connections", "Open connections.", &[("source", source)]),
            all: Refused::visits(stats, refusals, source, "too many connections"),
            of_peer: Refused::visits(stats, refusals, source, "too many connections of one peer"),
        })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection that there is a place for; `None` when `stop` is cancelled.
    ///
    /// # Errors
    /// [`ListenError::Receive`]: the listening socket is broken.
    pub async fn next(&self, stop: &CancellationToken) -> Result<Option<Accepted>, ListenError> {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(None),
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let mut share = self.places.of(peer.ip());
                    match share.resize(1) {
                        Ok(()) => {
                            self.open.add(1);
                            let place = Place { _share: share, open: Arc::clone(&self.open) };
                            return Ok(Some(Accepted { stream, peer, place }));
                        }
                        Err(Exhausted::All) => self.all.add(Some(peer.ip()), 1),
                        Err(Exhausted::Peer) => self.of_peer.add(Some(peer.ip()), 1),
                    }
                    // A reset, since an end in order would tell a syslog sender that everything was stored.
                    let _ = stream.set_zero_linger();
                }
                // The peer has given up already.
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
                    return Err(ListenError::Receive { protocol: "tcp", address: self.address, source: e });
                }
                Err(e) => {
                    warn!(address = %self.address, error = %e, "cannot accept a connection");
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        }
    }
}
