//! The wire between the daemon and PostgreSQL, to be cut at an exact place.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Notify, watch};

use crate::support::Database;

/// What happens to a COMMIT.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The connection breaks before the server hears of it.
    CutBefore,
    /// The connection breaks as soon as it has been sent on.
    CutBehind,
    /// The connection breaks when the server has answered, and before the answer is sent on.
    CutWithAnswer,
    /// It never reaches the server; the connection stays open and silent.
    Hold,
    /// It reaches the server; the answer is lost, the connection stays open and silent.
    Swallow,
}

/// Forwards connections over TCP to the Unix socket of a server.
pub struct Wire {
    pub address: SocketAddr,
    state: Arc<State>,
    accepting: tokio::task::JoinHandle<()>,
}

struct State {
    socket: PathBuf,
    /// For the COMMITs to come, one each.
    faults: Mutex<VecDeque<Fault>>,
    happened: AtomicUsize,
    stalled: watch::Sender<bool>,
}

impl Wire {
    pub async fn to(database: &Database) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = database.options.get_socket().unwrap().join(".s.PGSQL.5432");
        let state = State { socket, faults: Mutex::default(), happened: AtomicUsize::new(0), stalled: watch::Sender::new(false) };
        let state = Arc::new(state);
        let accepting = tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                let mut connections = tokio::task::JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    let state = Arc::clone(&state);
                    connections.spawn(async move { carry(client, &state).await });
                    while connections.try_join_next().is_some() {}
                }
            }
        });
        Wire { address, state, accepting }
    }

    /// As `database.url` takes it.
    pub fn url(&self, database: &Database) -> String {
        format!("postgres://tocsin@{}/{}?sslmode=disable", self.address, database.options.get_database().unwrap())
    }

    /// What happens to the next COMMITs.
    pub fn expect(&self, faults: &[Fault]) {
        self.state.faults.lock().unwrap().extend(faults);
    }

    /// Faults that have happened.
    pub fn happened(&self) -> usize {
        self.state.happened.load(Ordering::SeqCst)
    }

    /// Nothing gets through in either direction while it is stalled; nothing is lost.
    pub fn stall(&self, stalled: bool) {
        self.state.stalled.send_replace(stalled);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries one connection to its end, or to its fault.
async fn carry(client: TcpStream, state: &State) -> std::io::Result<()> {
    let server = UnixStream::connect(&state.socket).await?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.into_split(), server.into_split());
    let (is_silent, answered) = (AtomicBool::new(false), Notify::new());
    let back = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let n = from_server.read(&mut bytes).await?;
            if n == 0 {
                return Ok(());
            }
            flows(state).await;
            if is_silent.load(Ordering::SeqCst) {
                answered.notify_one();
            } else {
                to_client.write_all(&bytes[..n]).await?;
            }
        }
    };
    let forth = async {
        // The first message has no type (PostgreSQL 15 manual, 55.2.1).
        let length = from_client.read_u32().await?;
        send(&mut to_server, None, &body(&mut from_client, length).await?).await?;
        loop {
            let kind = from_client.read_u8().await?;
            let length = from_client.read_u32().await?;
            let body = body(&mut from_client, length).await?;
            flows(state).await;
            let is_commit = kind == b'Q' && body == b"COMMIT\0";
            let fault = if is_commit { state.faults.lock().unwrap().pop_front() } else { None };
            state.happened.fetch_add(usize::from(fault.is_some()), Ordering::SeqCst);
            is_silent.fetch_or(matches!(fault, Some(Fault::CutWithAnswer | Fault::Swallow)), Ordering::SeqCst);
            match fault {
                Some(Fault::CutBefore) => return Ok(()),
                Some(Fault::Hold) => std::future::pending().await,
                _ => send(&mut to_server, Some(kind), &body).await?,
            }
            match fault {
                Some(Fault::CutBehind) => return Ok(()),
                Some(Fault::CutWithAnswer) => {
                    answered.notified().await;
                    return Ok(());
                }
                _ => {}
            }
        }
    };
    tokio::select! { ended = back => ended, ended = forth => ended }
}

async fn flows(state: &State) {
    // The sender lives in `state`.
    let _ = state.stalled.subscribe().wait_for(|stalled| !stalled).await;
}

async fn body(from: &mut (impl AsyncReadExt + Unpin), length: u32) -> std::io::Result<Vec<u8>> {
    let mut body = vec![0; length as usize - 4];
    from.read_exact(&mut body).await?;
    Ok(body)
}

async fn send(to: &mut (impl AsyncWriteExt + Unpin), kind: Option<u8>, body: &[u8]) -> std::io::Result<()> {
    let mut message: Vec<u8> = kind.into_iter().collect();
    message.extend((body.len() as u32 + 4).to_be_bytes());
    message.extend(body);
    to.write_all(&message).await
}
