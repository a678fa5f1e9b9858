//! Syslog over UDP, RFC 5426: a datagram is a message.
//!
//! Datagrams are received many at a time (recvmmsg). Where the journal's queue is busy for a moment, they wait in the socket's buffer;
//! what overflows there the kernel counts, and so do we: each datagram carries the count at its arrival (SO_RXQ_OVFL), and what came
//! after the last one is in `/proc/net/udp`.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt, sockopt};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::refused::{Refusals, Refused};
use super::{ListenError, received, without_trailer};
use crate::frame::LossReason;
use crate::journal::{DoorLoss, Group, JournalError, JournalHandle};
use crate::record::Timestamp;
use crate::stats::{Counter, Stats};

/// Datagrams received by one system call at most.
const BATCH: usize = 32;
/// No datagram is longer: the length in the UDP header has 16 bits.
const MAX_DATAGRAM: usize = 64 << 10;
/// How long a group waits for the journal's queue before it is dropped.
const QUEUE_PATIENCE: Duration = Duration::from_millis(500);
/// After this long without a datagram the kernel is asked what it dropped at last.
const QUIET: Duration = Duration::from_millis(500);
/// While datagrams keep coming, the journal is told of what was dropped this often.
const TELL_LOSSES_EVERY: Duration = Duration::from_secs(10);
/// How many receive calls are made after the stop, to take what has arrived.
const LAST_RECEIVES: usize = 1024;

/// A UDP listener.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the source.
    pub source: String,
    /// Where to listen; port 0 chooses one. `[::]` takes IPv4 too, where the system allows.
    pub listen: SocketAddr,
    /// The size asked of the kernel for the socket's buffer (SO_RCVBUF), in bytes.
    pub receive_buffer_bytes: usize,
}

impl Options {
    /// 8 MiB of receive buffer: a burst of a second at 50,000 messages a second.
    pub fn new(source: &str, listen: SocketAddr) -> Options {
        Options { source: source.to_owned(), listen, receive_buffer_bytes: 8 << 20 }
    }

    /// Memory of a listener in the worst case, in bytes: the buffers, and all of it once more as a group, in a vector that may have twice
    /// the room, and as a record. The socket's buffer is the kernel's.
    pub const fn worst_bytes() -> usize {
        4 * BATCH * MAX_DATAGRAM
    }
}

/// A bound UDP socket.
#[derive(Debug)]
pub struct Listener {
    socket: UdpSocket,
    address: SocketAddr,
    source: String,
    journal: JournalHandle,
    counters: Counters,
}

#[derive(Debug)]
struct Counters {
    received: Arc<Counter>,
    empty: Refused,
    kernel: Refused,
    full: Refused,
    busy: Refused,
}

/// Binds the socket. Must be called within a tokio runtime.
///
/// # Errors
/// [`ListenError::Bind`].
pub fn bind(options: Options, journal: JournalHandle, stats: &Stats, refusals: &Arc<Refusals>) -> Result<Listener, ListenError> {
    let failed = |source| ListenError::Bind { protocol: "udp", address: options.listen, source };
    let socket = std::net::UdpSocket::bind(options.listen).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let wanted = options.receive_buffer_bytes;
    // The first is for root only, and goes beyond net.core.rmem_max.
    if setsockopt(&socket, sockopt::RcvBufForce, &wanted).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &wanted).map_err(|e| failed(e.into()))?;
    }
    setsockopt(&socket, sockopt::RxqOvfl, &1).map_err(|e| failed(e.into()))?;
    let granted = nix::sys::socket::getsockopt(&socket, sockopt::RcvBuf).map_err(|e| failed(e.into()))?;
    // The kernel doubles what it gives, for its own bookkeeping (socket(7)).
    if granted / 2 < wanted {
        warn!(source.id = %options.source, wanted_bytes = wanted, granted_bytes = granted / 2, "the receive buffer is smaller than configured: raise net.core.rmem_max");
    }
    debug!(source.id = %options.source, %address, "listening on udp");
    let frames = |reason| Refused::frames(stats, refusals, &options.source, reason);
    let counters = Counters {
        received: received(stats, &options.source),
        empty: frames("empty"),
        kernel: frames("kernel"),
        full: frames("journal full"),
        busy: frames("journal busy"),
    };
    let socket = UdpSocket::from_std(socket).map_err(failed)?;
    Ok(Listener { socket, address, source: options.source, journal, counters })
}

impl Listener {
    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Receives until `stop` is cancelled, then takes what has already arrived. Runs on a thread of its own, as the buffers that the
    /// kernel fills belong to one thread.
    ///
    /// # Errors
    /// [`ListenError::Receive`], [`ListenError::Journal`].
    pub async fn run(self, stop: CancellationToken) -> Result<(), ListenError> {
        let (address, runtime) = (self.address, tokio::runtime::Handle::current());
        let (ended, end) = tokio::sync::oneshot::channel();
        let failed = |source| ListenError::Receive { protocol: "udp", address, source };
        std::thread::Builder::new()
            .name("udp".into())
            .spawn(move || {
                // Whoever ran this may have gone away.
                let _ = ended.send(runtime.block_on(self.receive(stop)));
            })
            .map_err(failed)?;
        end.await.unwrap_or_else(|_| Err(failed(io::Error::other("the receiving thread died"))))
    }

    async fn receive(self, stop: CancellationToken) -> Result<(), ListenError> {
        let failed = |source| ListenError::Receive { protocol: "udp", address: self.address, source };
        let mut buffers = Buffers::new(&self.socket);
        let mut losses = Losses::new(&self);
        // Nothing has overflowed since the kernel was asked.
        let mut told = true;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                ready = self.socket.readable() => {
                    ready.map_err(failed)?;
                    told = false;
                }
                () = tokio::time::sleep(QUIET), if !told => {
                    buffers.overflows.ask(&self.counters.kernel);
                    told = losses.tell(&self);
                    continue;
                }
            }
            match self.socket.try_io(Interest::READABLE, || buffers.receive(&self.socket, &self.source, &self.counters)) {
                Ok(group) => self.append(group).await?,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if is_passing(&e) => debug!(error = %e, "a receive failed"),
                Err(e) => return Err(failed(e)),
            }
            losses.tell_when_due(&self);
        }
        for _ in 0..LAST_RECEIVES {
            match buffers.receive(&self.socket, &self.source, &self.counters) {
                Ok(group) => self.append(group).await?,
                Err(e) if is_passing(&e) => {}
                Err(_) => break,
            }
        }
        buffers.overflows.ask(&self.counters.kernel);
        losses.tell(&self);
        Ok(())
    }

    async fn append(&self, group: Group) -> Result<(), ListenError> {
        if group.is_empty() {
            return Ok(());
        }
        let Err(rejected) = self.journal.try_append(group) else { return Ok(()) };
        match rejected.reason {
            JournalError::Full => refuse(&self.counters.full, &rejected.group),
            // For the length of a slow sync, the socket's buffer holds what arrives.
            JournalError::Unavailable(_) => {
                match tokio::time::timeout(QUEUE_PATIENCE, self.journal.append(&rejected.group)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return Err(ListenError::Journal(error)),
                    Err(_elapsed) => refuse(&self.counters.busy, &rejected.group),
                }
            }
            error => return Err(ListenError::Journal(error)),
        }
        Ok(())
    }
}

/// What was told to the journal of what had to be dropped, so that the ledger knows of it.
struct Losses {
    input: String,
    told: [u64; 2],
    told_at: Instant,
}

impl Losses {
    fn new(listener: &Listener) -> Losses {
        Losses {
            input: format!("syslog:{}", listener.source),
            told: Losses::totals(listener).map(|(_, n)| n),
            told_at: Instant::now(),
        }
    }

    fn totals(Listener { counters, .. }: &Listener) -> [(LossReason, u64); 2] {
        let full = counters.full.total() + counters.busy.total();
        [(LossReason::KernelDrop, counters.kernel.total()), (LossReason::JournalFull, full)]
    }

    /// While datagrams keep coming, now and then.
    fn tell_when_due(&mut self, listener: &Listener) {
        if self.told_at.elapsed() >= TELL_LOSSES_EVERY {
            self.tell(listener);
        }
    }

    /// Tells the journal what it was not told yet; whether it took all of it.
    fn tell(&mut self, listener: &Listener) -> bool {
        self.told_at = Instant::now();
        let mut all = true;
        for (told, (reason, total)) in self.told.iter_mut().zip(Losses::totals(listener)) {
            if total == *told {
                continue;
            }
            let (input, frames) = (self.input.clone(), total - *told);
            match listener.journal.try_append_loss(&DoorLoss { input, reason, frames, noticed_at: Timestamp::now() }) {
                true => *told = total,
                false => all = false,
            }
        }
        all
    }
}

/// Counts the frames of a group by who sent them.
fn refuse(reason: &Refused, group: &Group) {
    for same in group.frames().chunk_by(|a, b| a.peer == b.peer) {
        reason.add(group.peer_of(same[0]), same.len() as u64);
    }
}

/// An ICMP error for something that this socket sent, a signal, a moment without memory: none of them ends a listener.
fn is_passing(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(
        code,
        Some(Errno::EINTR | Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::ENOBUFS | Errno::ENOMEM)
    )
}

/// Room for one receive call. The memory is touched, and so resident, only as far as datagrams fill it.
struct Buffers {
    bytes: Vec<u8>,
    overflows: Overflows,
}

/// The kernel's count of the datagrams that it had no room for.
struct Overflows {
    /// As it was heard last; it wraps.
    seen: u32,
    /// By which the socket is found in `/proc/net/udp` and `/proc/net/udp6`.
    inode: Option<u64>,
}

impl Overflows {
    fn advance(&mut self, total: u32, kernel: &Refused) {
        let more = total.wrapping_sub(self.seen);
        // Not an older figure that was on its way longer.
        if more <= u32::MAX / 2 {
            kernel.add(None, u64::from(more));
            self.seen = total;
        }
    }

    /// What came last overflowed behind the last datagram that told of it: asks the kernel itself.
    fn ask(&mut self, kernel: &Refused) {
        let Some(inode) = self.inode else { return };
        let lists = ["/proc/net/udp", "/proc/net/udp6"];
        let found = lists.iter().find_map(|list| drops_of(inode, &std::fs::read_to_string(list).ok()?));
        if let Some(total) = found {
            self.advance(total, kernel);
        }
    }
}

/// The count of drops in the list of sockets, proc(5): the tenth field of a line is the inode, the last one the drops.
fn drops_of(inode: u64, list: &str) -> Option<u32> {
    list.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let here = fields.nth(9)?.parse::<u64>().ok()?;
        // The kernel prints it signed and SO_RXQ_OVFL has it unsigned: the same 32 bits.
        (here == inode).then(|| fields.last()?.parse::<i64>().ok().map(|drops| drops as u32)).flatten()
    })
}

impl Buffers {
    fn new(socket: &UdpSocket) -> Buffers {
        let inode = nix::sys::stat::fstat(socket).ok().map(|stat| stat.st_ino);
        Buffers { bytes: vec![0; BATCH * MAX_DATAGRAM], overflows: Overflows { seen: 0, inode } }
    }

    /// What is there, as one group; may be empty.
    fn receive(&mut self, socket: &UdpSocket, source: &str, counters: &Counters) -> io::Result<Group> {
        // Made anew each time: the kernel overwrites the lengths in them, and nothing in nix 0.31 puts them back.
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(nix::cmsg_space!(u32)));
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = self.bytes.chunks_mut(MAX_DATAGRAM).map(|b| [IoSliceMut::new(b)]).collect();
        let results = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        let mut group = Group::new(source, Timestamp::now());
        let mut datagrams = 0;
        for message in results {
            datagrams += 1;
            for control in message.cmsgs().into_iter().flatten() {
                if let ControlMessageOwned::RxqOvfl(total) = control {
                    self.overflows.advance(total, &counters.kernel);
                }
            }
            let whole = message.iovs().next().unwrap_or_default();
            match without_trailer(whole) {
                [] => counters.empty.add(message.address.as_ref().and_then(peer), 1),
                frame => group.push(message.address.as_ref().and_then(peer), frame, 0),
            }
        }
        counters.received.add(datagrams);
        Ok(group)
    }
}

fn peer(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| a.ip().to_canonical()))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::journal::{Journal, Options as JournalOptions, Reader, Sources};
    use crate::record::Zone;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// The peers and texts that are in the journal, as soon as there are `count`.
    async fn read(journal: &Journal, count: usize) -> Vec<(Option<IpAddr>, Vec<u8>)> {
        let mut reader = Reader::new(journal, 0, Sources { known: Default::default(), default_zone: Zone::UTC });
        let mut out = Vec::new();
        while out.len() < count {
            let batch = tokio::time::timeout(DEADLINE, reader.next()).await.expect("in time").unwrap().unwrap();
            out.extend(batch.frames.iter().map(|f| (batch.origins[f.origin as usize].peer, batch.bytes_of(f).to_vec())));
        }
        out
    }

    /// Waits until this many datagrams were received or dropped.
    async fn accounted_for(stats: &Stats, datagrams: u64) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while stats.total("frames_total") + stats.total("dropped_total") < datagrams {
            assert!(tokio::time::Instant::now() < deadline, "{}", stats.render());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_burst_arrives_whole_and_in_order() {
        let (dir, stats) = (tempfile::tempdir().unwrap(), Stats::default());
        let journal = Journal::open(dir.path(), JournalOptions::default(), 0, &stats).unwrap();
        let listener =
            bind(Options::new("lan", "127.0.0.1:0".parse().unwrap()), journal.handle(), &stats, &Default::default()).unwrap();
        let (address, stop) = (listener.local_addr(), CancellationToken::new());
        let running = tokio::spawn(listener.run(stop.clone()));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for i in 0..2000 {
            // No more at once than the buffer holds that a user gets where nobody has raised net.core.rmem_max from its 212,992 bytes.
            if i % 200 == 0 {
                accounted_for(&stats, i).await;
            }
            sender.send_to(format!("<13>message {i}\n").as_bytes(), address).unwrap();
        }
        sender.send_to(b"\n", address).unwrap();
        sender.send_to(&[b'x'; 65_507], address).unwrap();
        // Half a burst may still be in the socket's buffer: the stop takes it along.
        stop.cancel();
        tokio::time::timeout(DEADLINE, running).await.unwrap().unwrap().unwrap();
        let got = read(&journal, 2001).await;
        for (i, (peer, text)) in got[..2000].iter().enumerate() {
            assert_eq!((peer, text), (&Some([127, 0, 0, 1].into()), &format!("<13>message {i}").into_bytes()));
        }
        assert_eq!(got[2000].1.len(), 65_507);
        assert_eq!((stats.total("frames_total"), stats.total("dropped_total")), (2002, 1));
    }

    #[tokio::test]
    async fn what_the_kernel_drops_is_counted() {
        let (dir, stats) = (tempfile::tempdir().unwrap(), Stats::default());
        let journal = Journal::open(dir.path(), JournalOptions::default(), 0, &stats).unwrap();
        let options = Options { receive_buffer_bytes: 4096, ..Options::new("lan", "127.0.0.1:0".parse().unwrap()) };
        let listener = bind(options, journal.handle(), &stats, &Default::default()).unwrap();
        let (address, stop) = (listener.local_addr(), CancellationToken::new());
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Nobody receives yet.
        for _ in 0..500 {
            sender.send_to(&[b'x'; 200], address).unwrap();
        }
        let running = tokio::spawn(listener.run(stop.clone()));
        // The count comes with a datagram that is queued after the loss.
        let first = read(&journal, 1).await.len() as u64;
        assert!(first < 500);
        // Nothing comes after them that could tell.
        accounted_for(&stats, 500).await;
        stop.cancel();
        tokio::time::timeout(DEADLINE, running).await.unwrap().unwrap().unwrap();
        assert_eq!(stats.total("frames_total") + stats.total("dropped_total"), 500);
    }

    #[tokio::test]
    async fn one_socket_serves_both_address_families() {
        let (dir, stats) = (tempfile::tempdir().unwrap(), Stats::default());
        let journal = Journal::open(dir.path(), JournalOptions::default(), 0, &stats).unwrap();
        let Ok(listener) = bind(Options::new("lan", "[::]:0".parse().unwrap()), journal.handle(), &stats, &Default::default())
        else {
            return;
        };
        let (port, stop) = (listener.local_addr().port(), CancellationToken::new());
        let running = tokio::spawn(listener.run(stop.clone()));
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"four", ("127.0.0.1", port)).unwrap();
        assert_eq!(read(&journal, 1).await, [(Some([127, 0, 0, 1].into()), b"four".to_vec())]);
        stop.cancel();
        tokio::time::timeout(DEADLINE, running).await.unwrap().unwrap().unwrap();
    }
}
