//! Syslog over TCP, RFC 6587, octet counting and newline framing recognised frame by frame.
//!
//! TCP has no acknowledgement that a sender could wait for, except one: **when a peer ends its side of the connection (FIN), we append
//! and sync everything it sent, and only then end ours.** A sender that shuts its side down and reads until end of file knows that all
//! of it is on disk. Every other end of a connection (we are stopped or killed, it was idle, it broke a limit) is a reset, so that no
//! end can be taken for that one. A frame that is unfinished when the connection ends, in whatever way, is kept as it is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::{ListenError, dropped, received, rejected, without_trailer};
use crate::frame::line::Piece;
use crate::frame::octet::Splitter;
use crate::journal::{Group, JournalError, JournalHandle};
use crate::record::Timestamp;
use crate::stats::{Counter, Stats};

/// What is read from a connection at a time, in bytes.
const READ_BYTES: usize = 64 << 10;
/// The pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// What is still read from a connection after the stop, in bytes: what has arrived, not what goes on arriving.
const LAST_BYTES: usize = 4 << 20;

/// A TCP listener.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the source.
    pub source: String,
    /// Where to listen; port 0 chooses one. `[::]` takes IPv4 too, where the system allows.
    pub listen: SocketAddr,
    /// Connections at a time; further ones are closed at once.
    pub max_connections: usize,
    /// A frame is cut at this length, in bytes.
    pub max_frame_bytes: usize,
    /// Memory for unfinished frames of all connections together, in bytes. A connection that would exceed it is closed.
    pub max_pending_bytes: usize,
    /// A connection that sends nothing for this long is closed.
    pub idle_timeout: Duration,
}

impl Options {
    /// 1,024 connections, frames of 1 MiB, 64 MiB of unfinished frames, 10 minutes of silence.
    pub fn new(source: &str, listen: SocketAddr) -> Options {
        Options {
            source: source.to_owned(),
            listen,
            max_connections: 1024,
            max_frame_bytes: 1 << 20,
            max_pending_bytes: 64 << 20,
            idle_timeout: Duration::from_secs(600),
        }
    }
}

/// A bound TCP socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    places: Arc<Semaphore>,
    shared: Arc<Shared>,
}

/// What a listener's connections share.
#[derive(Debug)]
struct Shared {
    options: Options,
    journal: JournalHandle,
    pending_bytes: AtomicUsize,
    received: Arc<Counter>,
    cut: Arc<Counter>,
    open: Arc<Counter>,
    too_many: Arc<Counter>,
    idle: Arc<Counter>,
    memory: Arc<Counter>,
    unfinished: Arc<Counter>,
    lost: Arc<Counter>,
}

/// Binds the socket.
///
/// # Errors
/// [`ListenError::Bind`].
pub async fn bind(options: Options, journal: JournalHandle, stats: &Stats) -> Result<Listener, ListenError> {
    let failed = |source| ListenError::Bind { protocol: "tcp", address: options.listen, source };
    let socket = TcpListener::bind(options.listen).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let source = options.source.as_str();
    debug!(source.id = source, %address, "listening on tcp");
    let label = [("source", source)];
    let shared = Shared {
        journal,
        pending_bytes: AtomicUsize::new(0),
        received: received(stats, source),
        cut: stats.counter("cut_total", "Frames over their limit that were cut.", &label),
        open: stats.gauge("connections", "Open connections.", &label),
        too_many: rejected(stats, source, "too many connections"),
        idle: rejected(stats, source, "idle"),
        memory: rejected(stats, source, "memory for unfinished frames"),
        unfinished: stats.counter("unfinished_total", "Frames that a connection's end left unfinished; they are kept.", &label),
        lost: dropped(stats, source, "journal closed"),
        options,
    };
    let places = Arc::new(Semaphore::new(shared.options.max_connections));
    Ok(Listener { socket, address, places, shared: Arc::new(shared) })
}

impl Listener {
    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `stop` is cancelled. Then connections take what has arrived, sync it and are closed; returns when all are. While
    /// the journal is full that can take for ever: closing the journal ends it, and what is not taken then is counted.
    ///
    /// # Errors
    /// [`ListenError::Receive`]: the listening socket is broken.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ListenError> {
        let connections = TaskTracker::new();
        // Connections end with the listener, whatever ends it.
        let stop = stop.child_token();
        let _ended = stop.clone().drop_guard();
        let result = loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break Ok(()),
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match Arc::clone(&self.places).try_acquire_owned() {
                    Ok(place) => {
                        let connection = Connection::new(&self.shared, stream, peer.ip().to_canonical(), place);
                        connections.spawn(connection.run(stop.clone()));
                    }
                    Err(_) => self.shared.too_many.add(1),
                },
                // The peer has given up already.
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
                    break Err(ListenError::Receive { protocol: "tcp", address: self.address, source: e });
                }
                Err(e) => {
                    warn!(address = %self.address, error = %e, "cannot accept a connection");
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        };
        stop.cancel();
        connections.close();
        connections.wait().await;
        result
    }
}

/// One peer's connection.
struct Connection {
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: IpAddr,
    splitter: Splitter,
    /// What this connection's unfinished frame takes of the memory for all.
    pending_bytes: usize,
    _place: OwnedSemaphorePermit,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The peer ended its side in order.
    Finished,
    /// The connection broke.
    Broken,
    Idle,
    Memory,
    Stopped,
}

impl Connection {
    fn new(shared: &Arc<Shared>, stream: TcpStream, peer: IpAddr, place: OwnedSemaphorePermit) -> Connection {
        // Whoever closes this socket, the kernel after a crash of ours included, resets the connection; see `acknowledge`.
        let _ = stream.set_zero_linger();
        shared.open.add(1);
        let splitter = Splitter::new(shared.options.max_frame_bytes);
        Connection { shared: Arc::clone(shared), stream, peer, splitter, pending_bytes: 0, _place: place }
    }

    async fn run(mut self, stop: CancellationToken) {
        match self.receive(&stop).await {
            Ok(End::Idle) => self.shared.idle.add(1),
            Ok(End::Memory) => self.shared.memory.add(1),
            Ok(End::Finished) => self.acknowledge(),
            Ok(End::Broken | End::Stopped) => {}
            Err(error) => debug!(peer = %self.peer, %error, "a connection's frames were not taken"),
        }
    }

    /// Lets the close that follows end the connection in order, now that everything is on disk.
    fn acknowledge(&self) {
        let in_order = nix::libc::linger { l_onoff: 0, l_linger: 0 };
        if let Err(error) = setsockopt(&self.stream, sockopt::Linger, &in_order) {
            debug!(peer = %self.peer, %error, "a connection could not be ended in order");
        }
    }

    /// Takes frames until the connection is over; on return they are synced.
    async fn receive(&mut self, stop: &CancellationToken) -> Result<End, JournalError> {
        let mut last_bytes = LAST_BYTES;
        let end = loop {
            let stopping = stop.is_cancelled();
            if !stopping {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => continue,
                    ready = tokio::time::timeout(self.shared.options.idle_timeout, self.stream.readable()) => match ready {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => break End::Broken,
                        Err(_elapsed) => break End::Idle,
                    },
                }
            }
            // The buffer lives only while there is something to read, so that a silent connection takes no memory.
            let mut buffer = Vec::with_capacity(READ_BYTES);
            let read = if stopping { self.read_arrived(&mut buffer) } else { self.stream.try_read_buf(&mut buffer) };
            match read {
                Ok(0) => break End::Finished,
                Ok(n) => {
                    let group = self.split(&buffer);
                    drop(buffer);
                    self.append(&group).await?;
                    if !self.account() {
                        break End::Memory;
                    }
                    last_bytes = if stopping { last_bytes.saturating_sub(n) } else { LAST_BYTES };
                    if last_bytes == 0 {
                        break End::Stopped;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && stopping => break End::Stopped,
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                // Reset: what came before is good all the same.
                Err(_) => break End::Broken,
            }
        };
        let mut group = Group::new(&self.shared.options.source, Timestamp::now());
        if let Some(piece) = self.splitter.finish() {
            self.shared.unfinished.add(1);
            push(&self.shared, &mut group, self.peer, piece);
        }
        self.append(&group).await?;
        self.shared.journal.flush().await?;
        Ok(end)
    }

    /// Reads what the kernel holds. The runtime's own reads look at the readiness that it last heard of, which may be older than the
    /// last bytes; there is no later moment to come back to.
    fn read_arrived(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        buffer.resize(READ_BYTES, 0);
        let n = recv(self.stream.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?;
        buffer.truncate(n);
        Ok(n)
    }

    fn split(&mut self, mut input: &[u8]) -> Group {
        let mut group = Group::new(&self.shared.options.source, Timestamp::now());
        while let Some(piece) = self.splitter.next(&mut input) {
            push(&self.shared, &mut group, self.peer, piece);
        }
        group
    }

    /// Waits while the journal is full: meanwhile nothing is read, and TCP makes the sender wait.
    async fn append(&self, group: &Group) -> Result<(), JournalError> {
        if group.is_empty() {
            return Ok(());
        }
        self.shared.journal.append(group).await.inspect_err(|_| self.shared.lost.add(group.frames().len() as u64))
    }

    /// Books what the unfinished frame takes now. False: it is too much for all connections together.
    fn account(&mut self) -> bool {
        let now = self.splitter.held_bytes();
        let others = self.shared.pending_bytes.fetch_sub(self.pending_bytes, Ordering::Relaxed) - self.pending_bytes;
        self.shared.pending_bytes.fetch_add(now, Ordering::Relaxed);
        let grown = now > self.pending_bytes;
        self.pending_bytes = now;
        !grown || others + now <= self.shared.options.max_pending_bytes
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.pending_bytes.fetch_sub(self.pending_bytes, Ordering::Relaxed);
        self.shared.open.sub(1);
    }
}

/// Adds a frame. Empty lines between frames are not frames.
fn push(shared: &Shared, group: &mut Group, peer: IpAddr, piece: Piece<'_>) {
    let frame = if piece.cut == 0 { without_trailer(piece.bytes) } else { piece.bytes };
    if frame.is_empty() && piece.cut == 0 {
        return;
    }
    shared.received.add(1);
    if piece.cut > 0 {
        shared.cut.add(1);
    }
    group.push(Some(peer), frame, piece.cut);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, Options as JournalOptions, Reader, Sources};
    use crate::record::Zone;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const DEADLINE: Duration = Duration::from_secs(20);

    struct Running {
        _dir: tempfile::TempDir,
        stats: Stats,
        journal: Journal,
        address: SocketAddr,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<Result<(), ListenError>>,
    }

    async fn start(change: impl FnOnce(&mut Options), journal_options: JournalOptions) -> Running {
        let (dir, stats) = (tempfile::tempdir().unwrap(), Stats::default());
        let journal = Journal::open(dir.path(), journal_options, 0, &stats).unwrap();
        let mut options = Options::new("lan", "127.0.0.1:0".parse().unwrap());
        change(&mut options);
        let listener = bind(options, journal.handle(), &stats).await.unwrap();
        let (address, stop) = (listener.local_addr(), CancellationToken::new());
        let task = tokio::spawn(listener.run(stop.clone()));
        Running { _dir: dir, stats, journal, address, stop, task }
    }

    impl Running {
        /// Sends, ends our side, waits for the end of the other; what is in the journal at that moment.
        async fn send(&self, bytes: &[u8]) {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("in time").unwrap();
            assert!(rest.is_empty());
        }

        async fn frames(&self, count: usize) -> Vec<(String, u32)> {
            let mut reader = Reader::new(&self.journal, 0, Sources { known: Default::default(), default_zone: Zone::UTC });
            let mut out = Vec::new();
            while out.len() < count {
                let batch = tokio::time::timeout(DEADLINE, reader.next()).await.expect("in time").unwrap().unwrap();
                out.extend(batch.frames.iter().map(|f| (String::from_utf8_lossy(batch.bytes_of(f)).into_owned(), f.cut)));
            }
            out
        }

        async fn stop(self) {
            self.stop.cancel();
            tokio::time::timeout(DEADLINE, self.task).await.expect("in time").unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn both_framings_on_one_port_and_the_end_acknowledges() {
        // Only the end of the connection can cause a sync in time.
        let slow = JournalOptions { sync_interval: Duration::from_secs(3600), ..JournalOptions::default() };
        let running = start(|o| o.max_frame_bytes = 20, slow).await;
        running.send(b"<13>line one\r\n9 <13>count\n\n<13>and this is far too long\n12 <13>\0counted<14>unfinished").await;
        let got = running.frames(5).await;
        let want =
            [("<13>line one", 0), ("<13>count", 0), ("<13>and this is far ", 8), ("<13>\0counted", 0), ("<14>unfinished", 0)];
        assert_eq!(got, want.map(|(text, cut)| (text.to_owned(), cut)));
        assert_eq!((running.stats.total("cut_total"), running.stats.total("unfinished_total")), (1, 1));
        running.stop().await;
    }

    #[tokio::test]
    async fn too_many_connections_are_turned_away() {
        let running = start(|o| o.max_connections = 1, JournalOptions::default()).await;
        let mut first = TcpStream::connect(running.address).await.unwrap();
        first.write_all(b"<13>first\n").await.unwrap();
        assert_eq!(running.frames(1).await.len(), 1);
        let mut second = TcpStream::connect(running.address).await.unwrap();
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(DEADLINE, second.read_to_end(&mut rest)).await.expect("closed in time");
        assert_eq!(running.stats.total("rejected_total"), 1);
        running.stop().await;
    }

    #[tokio::test]
    async fn silence_and_greed_end_a_connection_but_what_came_is_kept() {
        let running = start(|o| o.idle_timeout = Duration::from_millis(30), JournalOptions::default()).await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"<13>half").await.unwrap();
        let mut rest = Vec::new();
        let end = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("closed in time");
        assert_eq!(end.map_err(|e| e.kind()), Err(io::ErrorKind::ConnectionReset), "not an acknowledgement");
        assert_eq!(running.frames(1).await, [("<13>half".to_owned(), 0)]);
        running.stop().await;

        let running = start(|o| o.max_pending_bytes = 100, JournalOptions::default()).await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(&[b'x'; 200]).await.unwrap();
        let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("closed in time");
        assert_eq!(running.frames(1).await[0].0.len(), 200);
        assert_eq!(running.stats.total("rejected_total"), 1);
        running.stop().await;
    }

    #[tokio::test]
    async fn a_stop_takes_what_has_arrived() {
        let running = start(|_| {}, JournalOptions::default()).await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"<13>first\n").await.unwrap();
        assert_eq!(running.frames(1).await.len(), 1);
        stream.write_all(b"<13>second\n<13>third").await.unwrap();
        running.stop.cancel();
        let mut rest = Vec::new();
        let end = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("closed in time");
        assert_eq!(end.map_err(|e| e.kind()), Err(io::ErrorKind::ConnectionReset), "not an acknowledgement");
        assert_eq!(running.frames(3).await[1..], [("<13>second".to_owned(), 0), ("<13>third".to_owned(), 0)]);
        running.stop().await;
    }

    #[tokio::test]
    async fn a_full_journal_makes_the_sender_wait_and_loses_nothing() {
        let small = JournalOptions { limit_bytes: 1 << 20, segment_bytes: 64 << 10, ..JournalOptions::default() };
        let running = start(|_| {}, small).await;
        let sender = tokio::spawn({
            let address = running.address;
            async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                for i in 0..40_000 {
                    stream.write_all(format!("<13>{i:06} {}\n", "x".repeat(90)).as_bytes()).await.unwrap();
                }
                stream.shutdown().await.unwrap();
                stream.read_to_end(&mut Vec::new()).await.unwrap();
            }
        });
        let mut reader = Reader::new(&running.journal, 0, Sources { known: Default::default(), default_zone: Zone::UTC });
        let mut seen = 0;
        while seen < 40_000 {
            assert!(running.journal.used_bytes() <= 1 << 20);
            let batch = tokio::time::timeout(DEADLINE, reader.next()).await.expect("in time").unwrap().unwrap();
            for frame in &batch.frames {
                assert!(batch.bytes_of(frame).starts_with(format!("<13>{seen:06} ").as_bytes()));
                seen += 1;
            }
            running.journal.release(batch.positions[0].to);
        }
        tokio::time::timeout(DEADLINE, sender).await.unwrap().unwrap();
        running.stop().await;
    }
}
