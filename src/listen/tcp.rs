//! Syslog over TCP, RFC 6587, octet counting and newline framing recognised frame by frame.
//!
//! TCP has no acknowledgement that a sender could wait for, except one: **when a peer ends its side of the connection (FIN), we append
//! and sync everything it sent, and only then end ours.** A sender that shuts its side down and reads until end of file knows that all
//! of it is on disk. Every other end of a connection (we are stopped or killed, it was idle, it broke a limit, another peer needs its
//! place) is a reset, so that no end can be taken for that one. A frame that is unfinished when the connection ends, in whatever way, is
//! kept as it is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::accept::{Accepted, Acceptor, Limits, Place};
use super::refused::{Refusals, Refused};
use super::shares::{Share, Shares};
use super::{ListenError, received, without_trailer};
use crate::frame::line::Piece;
use crate::frame::octet::Splitter;
use crate::journal::{Group, JournalError, JournalHandle};
use crate::record::Timestamp;
use crate::stats::{Counter, Stats};

/// What is read from a connection at a time, in bytes.
const READ_BYTES: usize = 64 << 10;
/// What is still read from a connection after the stop, in bytes: what has arrived, not what goes on arriving.
const LAST_BYTES: usize = 4 << 20;
/// An unfinished frame up to this length, in bytes, needs nothing of the memory for unfinished frames: whoever floods that does not
/// stop ordinary senders.
const SMALL_FRAME: usize = 4 << 10;
/// Connections that hold what they have read, until the journal takes it. The others wait, so that a full journal and many
/// connections do not add up. It is not waited for anything while one holds its turn, but for the journal.
const TURNS: usize = 2;
/// A frame of this many times the limit is not cut any more: its connection is closed.
const ENDLESS: usize = 16;

/// A TCP listener.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the source.
    pub source: String,
    /// Where to listen; port 0 chooses one. `[::]` takes IPv4 too, where the system allows.
    pub listen: SocketAddr,
    /// Connections at a time; further ones are reset at once.
    pub connections: Limits,
    /// A frame is cut at this length, in bytes.
    pub max_frame_bytes: usize,
    /// Memory for long unfinished frames of all connections together, in bytes; a quarter of it, and at least one frame, for each peer.
    /// A connection that would exceed it is closed.
    pub max_pending_bytes: usize,
    /// A connection that sends nothing for this long is closed.
    pub idle_timeout: Duration,
    /// A connection is closed when this long was spent waiting for the rest of one frame.
    pub frame_timeout: Duration,
}

impl Options {
    /// 1,024 connections, 256 of each peer, frames of 1 MiB, 16 MiB of unfinished frames, 10 minutes of silence, a minute for a frame.
    pub fn new(source: &str, listen: SocketAddr) -> Options {
        Options {
            source: source.to_owned(),
            listen,
            connections: Limits::new(1024),
            max_frame_bytes: 1 << 20,
            max_pending_bytes: 16 << 20,
            idle_timeout: Duration::from_secs(600),
            frame_timeout: Duration::from_secs(60),
        }
    }

    /// Memory of a listener in the worst case, in bytes: connections and their small frames; long unfinished frames; and what is held
    /// by those whose turn it is: what was read, in the worst case as lines of one byte, and a frame that it completed, as group and
    /// as record.
    pub fn worst_bytes(&self) -> usize {
        const CONNECTION: usize = 4 << 10;
        // Of each two bytes, a frame's entry: 12 in a vector that may have twice the room, 10 in the record.
        let turn = READ_BYTES + READ_BYTES / 2 * (2 * 12 + 10) + 3 * (READ_BYTES + self.max_frame_bytes);
        self.connections.connections * (CONNECTION + 2 * SMALL_FRAME) + self.max_pending_bytes + TURNS * turn
    }
}

/// A bound TCP socket.
#[derive(Debug)]
pub struct Listener {
    door: Acceptor,
    shared: Arc<Shared>,
}

/// What a listener's connections share.
#[derive(Debug)]
struct Shared {
    options: Options,
    journal: JournalHandle,
    pending: Arc<Shares>,
    turns: Semaphore,
    received: Arc<Counter>,
    cut: Arc<Counter>,
    idle: Arc<Counter>,
    slow: Refused,
    endless: Refused,
    memory: Refused,
    unfinished: Arc<Counter>,
    lost: Refused,
}

/// Binds the socket.
///
/// # Errors
/// [`ListenError::Bind`].
pub async fn bind(
    options: Options,
    journal: JournalHandle,
    stats: &Stats,
    refusals: &Arc<Refusals>,
) -> Result<Listener, ListenError> {
    let source = options.source.as_str();
    let door = Acceptor::bind(options.listen, options.connections, source, stats, refusals).await?;
    debug!(source.id = source, address = %door.address(), "listening on tcp");
    let label = [("source", source)];
    let visits = |reason| Refused::visits(stats, refusals, source, reason);
    let shared = Shared {
        journal,
        pending: Shares::new(options.max_pending_bytes, (options.max_pending_bytes / 4).max(2 * options.max_frame_bytes)),
        turns: Semaphore::new(TURNS),
        received: received(stats, source),
        cut: stats.counter("cut_total", "Frames over their limit that were cut.", &label),
        idle: stats.counter("idle_total", "Connections closed because their peer said nothing for long.", &label),
        slow: visits("slow frame"),
        endless: visits("endless frame"),
        memory: visits("memory for unfinished frames"),
        unfinished: stats.counter("unfinished_total", "Frames that a connection's end left unfinished; they are kept.", &label),
        lost: Refused::frames(stats, refusals, source, "journal closed"),
        options,
    };
    Ok(Listener { door, shared: Arc::new(shared) })
}

impl Listener {
    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.door.address()
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
            match self.door.next(&stop).await {
                Ok(Some(accepted)) => {
                    let leave = accepted.leave.clone();
                    connections.spawn(Connection::new(&self.shared, accepted).run(leave));
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

/// One peer's connection.
struct Connection {
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: IpAddr,
    splitter: Splitter,
    /// What this connection's unfinished frame takes of the memory for all.
    pending: Share,
    unfinished: Unfinished,
    place: Place,
}

/// What is known of the frame that is not finished yet.
#[derive(Default)]
struct Unfinished {
    /// Its bytes so far, those that were cut included, as far as whole reads tell.
    bytes: usize,
    /// How long its peer was waited for.
    waited: Duration,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The peer ended its side in order.
    Finished,
    /// The connection broke.
    Broken,
    Idle,
    Slow,
    Endless,
    Memory,
    Stopped,
}

impl Connection {
    fn new(shared: &Arc<Shared>, Accepted { stream, peer, place, .. }: Accepted) -> Connection {
        // Whoever closes this socket, the kernel after a crash of ours included, resets the connection; see `acknowledge`.
        let _ = stream.set_zero_linger();
        let peer = peer.ip().to_canonical();
        Connection {
            stream,
            peer,
            splitter: Splitter::new(shared.options.max_frame_bytes),
            pending: shared.pending.of(peer),
            unfinished: Unfinished::default(),
            place,
            shared: Arc::clone(shared),
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        let peer = Some(self.peer);
        match self.receive(&stop).await {
            Ok(End::Idle) => self.shared.idle.add(1),
            Ok(End::Slow) => self.shared.slow.add(peer, 1),
            Ok(End::Endless) => self.shared.endless.add(peer, 1),
            Ok(End::Memory) => self.shared.memory.add(peer, 1),
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

    /// Takes frames until the connection is over, or what has arrived when `stop` is cancelled; on return they are synced.
    async fn receive(&mut self, stop: &CancellationToken) -> Result<End, JournalError> {
        let shared = Arc::clone(&self.shared);
        let mut last_bytes = LAST_BYTES;
        let end = loop {
            let stopping = stop.is_cancelled();
            if !stopping {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => continue,
                    ready = self.readable() => if let Err(end) = ready { break end },
                }
            }
            let turn = turn(&shared).await?;
            // The buffer lives only while there is something to read, so that a silent connection takes no memory.
            let mut buffer = Vec::with_capacity(READ_BYTES);
            let read = if stopping { self.read_arrived(&mut buffer) } else { self.stream.try_read_buf(&mut buffer) };
            match read {
                Ok(0) => break End::Finished,
                Ok(n) => {
                    let group = self.split(&buffer);
                    drop(buffer);
                    self.append(&group).await?;
                    drop(turn);
                    if let Err(end) = self.account(n, !group.is_empty()) {
                        break end;
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
        if self.splitter.held_bytes() > 0 {
            let _turn = turn(&shared).await?;
            let mut group = Group::new(&shared.options.source, Timestamp::now());
            if let Some(piece) = self.splitter.finish() {
                shared.unfinished.add(1);
                push(&shared, &mut group, self.peer, piece);
            }
            self.append(&group).await?;
        }
        shared.journal.flush().await?;
        Ok(end)
    }

    /// Waits until there is something to read; an error is why it was not waited for any longer.
    async fn readable(&mut self) -> Result<(), End> {
        let options = &self.shared.options;
        let began = Instant::now();
        let (patience, end) = match options.frame_timeout.saturating_sub(self.unfinished.waited) {
            left if self.unfinished.bytes > 0 && left < options.idle_timeout => (left, End::Slow),
            _ => (options.idle_timeout, End::Idle),
        };
        match tokio::time::timeout(patience, self.stream.readable()).await {
            Ok(Ok(())) => {
                self.place.heard();
                self.unfinished.waited += began.elapsed();
                Ok(())
            }
            Ok(Err(_)) => Err(End::Broken),
            Err(_elapsed) => Err(end),
        }
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
        self.shared.journal.append(group).await.inspect_err(|error| {
            self.shared.lost.add(Some(self.peer), group.frames().len() as u64);
            if matches!(error, JournalError::Closed) {
                // Nobody need read what nobody takes.
                self.shared.turns.close();
            }
        })
    }

    /// Books what the unfinished frame takes now, after a read of that many bytes. An error is why it cannot go on.
    fn account(&mut self, read: usize, finished_one: bool) -> Result<(), End> {
        let options = &self.shared.options;
        let held = self.splitter.held_bytes();
        self.unfinished = match std::mem::take(&mut self.unfinished) {
            _ if held == 0 => Unfinished::default(),
            _ if finished_one => Unfinished { bytes: held, waited: Duration::ZERO },
            before => Unfinished { bytes: before.bytes.saturating_add(read), ..before },
        };
        if self.unfinished.bytes > options.max_frame_bytes.saturating_mul(ENDLESS).saturating_add(READ_BYTES) {
            return Err(End::Endless);
        }
        // A vector that grew to this may have twice the room.
        let long = if held <= SMALL_FRAME { 0 } else { 2 * held };
        self.pending.resize(long).map_err(|_| End::Memory)
    }
}

/// The turn to hold what was read.
async fn turn(shared: &Shared) -> Result<SemaphorePermit<'_>, JournalError> {
    shared.turns.acquire().await.map_err(|_| JournalError::Closed)
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
        let listener = bind(options, journal.handle(), &stats, &Default::default()).await.unwrap();
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
        let running = start(|o| o.connections = Limits::new(1), JournalOptions::default()).await;
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
    async fn where_many_fill_the_door_who_has_most_gives_way_and_equals_do_not() {
        let running = start(|o| o.connections = Limits { connections: 40, per_peer: 10 }, JournalOptions::default()).await;
        let connect = async |peer: u8| {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 0, peer], 0).into()).unwrap();
            socket.connect(running.address).await
        };
        let end = async |stream: &mut TcpStream| {
            let read = tokio::time::timeout(DEADLINE, stream.read(&mut [0; 1])).await.expect("ended in time");
            read.map_err(|e| e.kind())
        };
        let wait_for = async |name: &str, want: u64| {
            let deadline = Instant::now() + DEADLINE;
            while running.stats.total(name) != want {
                assert!(Instant::now() < deadline, "{name} is {}", running.stats.total(name));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // The reset may come before or after its peer knows that it is connected.
        let turned_away = async |peer: u8| match connect(peer).await {
            Ok(mut stream) => end(&mut stream).await,
            Err(error) => Err(error.kind()),
        };
        // Twenty peers with two each, and each has something to say on its first, and half of something on its second.
        let mut open = Vec::new();
        for peer in 100..120 {
            for text in ["<13>first\n", "<13>whole\n<13>half"] {
                let mut stream = connect(peer).await.unwrap();
                stream.write_all(text.as_bytes()).await.unwrap();
                open.push(stream);
                // One after the other, so that it is known who was heard last.
                wait_for("frames_total", open.len() as u64).await;
            }
        }
        assert_eq!(running.frames(40).await.len(), 40);
        open[0].write_all(b"<13>again\n").await.unwrap();
        assert_eq!(running.frames(41).await[40].0, "<13>again");

        let mut honest = connect(1).await.unwrap();
        honest.write_all(b"<13>honest\n").await.unwrap();
        assert_eq!(end(&mut open[1]).await, Err(io::ErrorKind::ConnectionReset), "the most silent, and not in order");
        assert_eq!(running.frames(43).await[41..], ["<13>half", "<13>honest"].map(|text| (text.to_owned(), 0)));
        wait_for("rejected_total", 1).await;
        wait_for("connections", 40).await;

        // It has one, the others one or two: one with two would only change places with it.
        for peer in [1, 100] {
            assert_eq!(turned_away(peer).await, Err(io::ErrorKind::ConnectionReset), "{peer}");
        }
        wait_for("rejected_total", 3).await;
        assert_eq!((running.stats.total("connections"), running.stats.total("frames_total")), (40, 43));
        // Those who are left can still be heard.
        honest.write_all(b"<13>still here\n").await.unwrap();
        for left in [0, 39] {
            open[left].write_all(b"<13>still here\n").await.unwrap();
        }
        running.frames(46).await;
        // Another may come for each that has two, and no more.
        let mut others = Vec::new();
        for peer in 2..21 {
            others.push(connect(peer).await.unwrap());
            others.last_mut().unwrap().write_all(b"<13>other\n").await.unwrap();
        }
        wait_for("rejected_total", 22).await;
        assert_eq!(turned_away(21).await, Err(io::ErrorKind::ConnectionReset), "all have one");
        wait_for("rejected_total", 23).await;
        wait_for("connections", 40).await;
        running.frames(46 + 19).await;
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
        stream.write_all(&[b'x'; 5000]).await.unwrap();
        let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("closed in time");
        assert_eq!(running.frames(1).await[0].0.len(), 5000);
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
