//! The HTTP server: connections with a place, and a time for everything that a peer may keep one waiting for.
//!
//! A connection without a request on its way is closed when none has come for [`Options::head_timeout`], whether its peer is silent
//! between two requests or sends a head byte by byte. A body has a time of its own, where it is read (`listen::webhook`). A peer that
//! does not take its answer is given up by the kernel. One that has to give its place to another peer (`listen::accept`) is closed where it
//! stands.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::sys::socket::{setsockopt, sockopt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::listen::ListenError;
use crate::listen::accept::{Accepted, Acceptor, Limits};
use crate::listen::refused::{Refusals, Refused};
use crate::stats::{Counter, Stats};

/// The name under which connections are counted, as that of a source.
const SOURCE: &str = "http";
/// A peer that takes nothing of what we send it for this long is given up (TCP_USER_TIMEOUT, tcp(7)), in milliseconds.
const SEND_PATIENCE_MILLIS: u32 = 30_000;

/// An HTTP server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 chooses one.
    pub listen: SocketAddr,
    /// Connections at a time; further ones are closed at once.
    pub connections: Limits,
    /// The longest head of a request, in bytes; at least 8 KiB.
    pub max_head_bytes: usize,
    /// A request's head must have arrived this long after the connection was opened, or after the answer before.
    pub head_timeout: Duration,
}

impl Options {
    /// 256 connections, 64 of each peer, heads of 16 KiB that arrive within 30 s.
    pub fn new(listen: SocketAddr) -> Options {
        Options { listen, connections: Limits::new(256), max_head_bytes: 16 << 10, head_timeout: Duration::from_secs(30) }
    }

    /// Memory in the worst case without the bodies of webhooks, in bytes: of each connection what is read of a head and what it is
    /// parsed into, and the answer.
    pub fn worst_bytes(&self) -> usize {
        /// `/metrics`, the longest answer, has about 10 KiB for a few sources.
        const ANSWER: usize = 32 << 10;
        self.connections.connections * (2 * self.max_head_bytes + ANSWER)
    }
}

/// A bound server.
#[derive(Debug)]
pub struct Server {
    door: Acceptor,
    options: Options,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    idle: Arc<Counter>,
    slow: Refused,
    head: Refused,
}

/// Binds the socket.
///
/// # Errors
/// [`ListenError::Bind`].
pub async fn bind(options: Options, stats: &Stats, refusals: &Arc<Refusals>) -> Result<Server, ListenError> {
    let door = Acceptor::bind(options.listen, options.connections, SOURCE, stats, refusals).await?;
    let shared = Shared {
        idle: stats.counter("idle_total", "Connections closed because their peer said nothing for long.", &[("source", SOURCE)]),
        slow: Refused::visits(stats, refusals, SOURCE, "slow head"),
        head: Refused::visits(stats, refusals, SOURCE, "not HTTP, or too long a head"),
    };
    Ok(Server { door, options, shared: Arc::new(shared) })
}

impl Server {
    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.door.address()
    }

    /// Serves until `stop` is cancelled. Requests that are under way then are answered; returns when all are.
    ///
    /// # Errors
    /// [`ListenError::Receive`]: the listening socket is broken.
    pub async fn run(self, router: Router, stop: CancellationToken) -> Result<(), ListenError> {
        let connections = TaskTracker::new();
        let stop = stop.child_token();
        let _ended = stop.clone().drop_guard();
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.options.head_timeout).max_buf_size(self.options.max_head_bytes);
        let result = loop {
            match self.door.next(&stop).await {
                Ok(Some(accepted)) => {
                    connections.spawn(serve(http.clone(), accepted, router.clone(), Arc::clone(&self.shared), stop.clone()));
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        stop.cancel();
        connections.close();
        connections.wait().await;
        result
    }
}

/// Serves one connection to its end.
async fn serve(http: http1::Builder, accepted: Accepted, router: Router, shared: Arc<Shared>, stop: CancellationToken) {
    let Accepted { stream, peer, place, leave } = accepted;
    if let Err(error) = setsockopt(&stream, sockopt::TcpUserTimeout, &SEND_PATIENCE_MILLIS) {
        debug!(%peer, %error, "a peer that takes no answer will be waited for");
    }
    let asked = AtomicBool::new(false);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        place.heard();
        request.extensions_mut().insert(ConnectInfo(peer));
        TowerToHyperService::new(router.clone()).call(request.map(Body::new))
    });
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = leave.cancelled() => {
            if !stop.is_cancelled() {
                // Somebody needs its place, and does not wait for a body that may never end. What was not answered is to be sent again.
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    let Err(error) = ended else { return };
    match (error.is_timeout(), error.is_parse()) {
        // Between two requests silence is no offence.
        (true, _) if asked.load(Ordering::Relaxed) => shared.idle.add(1),
        (true, _) => shared.slow.add(Some(peer.ip()), 1),
        (_, true) => shared.head.add(Some(peer.ip()), 1),
        _ => debug!(%peer, %error, "a connection broke"),
    }
}
