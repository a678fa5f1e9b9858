//! The front of a door that takes connections: a limit on how many there are, and on how many one peer has.
//!
//! Many peers can fill it all the same, each within its own limit. So when every place is taken, who holds most gives one up for a peer
//! that holds fewer, even with the new one: the connection on which nothing was heard for longest is asked to end, and the newcomer waits
//! for its place. That can go on until all hold the same, and no further, so nobody can be pushed out by those who hold as many.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::ListenError;
use super::refused::{Refusals, Refused};
use super::shares::{Exhausted, Share, Shares, holder};
use crate::stats::{Counter, Stats};

/// The pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How many connections there may be at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of all peers together; further ones are closed at once, unless somebody has to give way.
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
    guests: Arc<Guests>,
    open: Arc<Counter>,
    all: Refused,
    of_peer: Refused,
    gave_way: Refused,
}

/// Who has a place.
#[derive(Debug, Default)]
struct Guests {
    here: Mutex<HashMap<u64, Guest>>,
    /// Numbers connections, and orders when something was heard on them.
    clock: AtomicU64,
    /// Told whenever one has left.
    left: Notify,
}

#[derive(Debug)]
struct Guest {
    peer: IpAddr,
    heard: Arc<AtomicU64>,
    leave: CancellationToken,
}

impl Guests {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    fn here(&self) -> MutexGuard<'_, HashMap<u64, Guest>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    /// Cancelled when it is to end: the door closes, or somebody else needs its place. It is waited for then, by whoever comes next.
    pub leave: CancellationToken,
}

/// A connection's place.
#[derive(Debug)]
pub struct Place {
    share: Share,
    number: u64,
    heard: Arc<AtomicU64>,
    guests: Arc<Guests>,
    open: Arc<Counter>,
}

impl Place {
    /// Something was heard from the peer.
    pub fn heard(&self) {
        self.heard.store(self.guests.tick(), Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.guests.here().remove(&self.number);
        self.open.sub(1);
        self.share.shrink(1);
        self.guests.left.notify_one();
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
            guests: Arc::default(),
            open: stats.gauge("connections", "Open connections.", &[("source", source)]),
            all: Refused::visits(stats, refusals, source, "too many connections"),
            of_peer: Refused::visits(stats, refusals, source, "too many connections of one peer"),
            gave_way: Refused::visits(stats, refusals, source, "gave way to a peer with fewer connections"),
        })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection that there is a place for, or is made; `None` when `stop` is cancelled.
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
                    let leave = stop.child_token();
                    match self.place(peer.ip(), &leave).await {
                        Ok(place) => return Ok(Some(Accepted { stream, peer, place, leave })),
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

    /// A place for a peer. Where another has to end for it, that is waited for: connections end within moments, unless the journal is full
    /// and takes nothing from anybody.
    async fn place(&self, peer: IpAddr, leave: &CancellationToken) -> Result<Place, Exhausted> {
        let mut share = self.places.of(peer);
        let mut asked = false;
        loop {
            match share.resize(1) {
                Ok(()) => break,
                Err(Exhausted::All) if !leave.is_cancelled() && (asked || self.ask_for_a_place(peer)) => {
                    asked = true;
                    tokio::select! {
                        () = self.guests.left.notified() => {}
                        () = leave.cancelled() => {}
                    }
                }
                Err(exhausted) => return Err(exhausted),
            }
        }
        self.open.add(1);
        let number = self.guests.tick();
        let heard = Arc::new(AtomicU64::new(number));
        self.guests.here().insert(number, Guest { peer, heard: Arc::clone(&heard), leave: leave.clone() });
        Ok(Place { share, number, heard, guests: Arc::clone(&self.guests), open: Arc::clone(&self.open) })
    }

    /// Asks a connection to end in favour of one of that peer, if one has to; whether one was asked.
    fn ask_for_a_place(&self, peer: IpAddr) -> bool {
        let rich = self.places.rich_beside(peer);
        if rich.is_empty() {
            return false;
        }
        let here = self.guests.here();
        let of_rich = here.values().filter(|guest| rich.contains(&holder(guest.peer)));
        let Some(silent) = of_rich.min_by_key(|guest| guest.heard.load(Ordering::Relaxed)) else { return false };
        // It may be on its way already, for somebody who found another place first.
        if !silent.leave.is_cancelled() {
            self.gave_way.add(Some(silent.peer), 1);
            silent.leave.cancel();
        }
        true
    }
}
