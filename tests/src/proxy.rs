//! A TCP proxy that does to connections what networks do: cuts them, refuses them, delays them, and lets them stand while nothing
//! passes any more. It knows no protocol; it ends with its last handle.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// A proxy in front of one server.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<watch::Sender<State>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy)]
struct State {
    /// How many connections there have been.
    accepted: u64,
    /// How many there are now.
    standing: u64,
    /// Of these, so many of the first are cut.
    cut: u64,
    /// And in so many of the first, everything vanishes.
    half_open: u64,
    open: bool,
    /// How much later everything arrives, in each direction.
    delay: Duration,
    /// Nothing passes towards this end for now.
    stalled: Option<Towards>,
}

/// One direction of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Towards {
    Server,
    Client,
}

/// How many chunks of one direction may be on their way.
const IN_FLIGHT: usize = 1024;
const CHUNK: usize = 16 * 1024;

impl Proxy {
    /// Listens on a port of its own and passes everything on to `target`.
    pub(crate) async fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(watch::Sender::new(State {
            accepted: 0,
            standing: 0,
            cut: 0,
            half_open: 0,
            open: true,
            delay: Duration::ZERO,
            stalled: None,
        }));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target.to_owned(), Arc::clone(&state)));
        Self {
            port,
            state,
            _tasks: tasks,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many connections there have been.
    pub(crate) fn accepted(&self) -> u64 {
        self.state.borrow().accepted
    }

    /// How many connections stand, as far as both ends have said.
    pub(crate) fn standing(&self) -> u64 {
        self.state.borrow().standing
    }

    /// Cuts every connection; new ones pass.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.cut = state.accepted);
    }

    /// Cuts every connection, and every new one at once.
    pub(crate) fn refuse(&self) {
        self.state.send_modify(|state| {
            state.cut = state.accepted;
            state.open = false;
        });
    }

    /// Every connection stays open at both ends, and nothing passes through it ever again: the address table of a router was
    /// lost. New ones pass.
    pub(crate) fn half_open(&self) {
        self.state
            .send_modify(|state| state.half_open = state.accepted);
    }

    /// Bytes in this direction wait, and so does whoever sends more than the sockets hold.
    pub(crate) fn stall(&self, towards: Towards) {
        self.state
            .send_modify(|state| state.stalled = Some(towards));
    }

    /// Lets new connections pass again, and bytes that were stalled.
    pub(crate) fn resume(&self) {
        self.state.send_modify(|state| {
            state.open = true;
            state.stalled = None;
        });
    }

    /// Everything arrives this much later, in each direction.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }
}

async fn accept(listener: TcpListener, target: String, state: Arc<watch::Sender<State>>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a listening socket accepts");
        if state.borrow().open {
            state.send_modify(|state| {
                state.accepted += 1;
                state.standing += 1;
            });
            let (passing, ended) = (
                pass(client, target.clone(), state.subscribe()),
                Arc::clone(&state),
            );
            connections.spawn(async move {
                passing.await;
                ended.send_modify(|state| state.standing -= 1);
            });
        }
    }
}

async fn pass(client: TcpStream, target: String, mut state: watch::Receiver<State>) {
    let number = state.borrow().accepted;
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    for socket in [&client, &server] {
        socket.set_nodelay(true).expect("a TCP socket");
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let direction = |towards| Direction {
        number,
        towards,
        state: state.clone(),
    };
    let there = direction(Towards::Server).carry(from_client, to_server);
    let back = direction(Towards::Client).carry(from_server, to_client);
    tokio::select! {
        _ = state.wait_for(|state| state.cut >= number) => {}
        _ = async { tokio::join!(there, back) } => {}
    }
}

/// One direction of one connection.
struct Direction {
    number: u64,
    towards: Towards,
    state: watch::Receiver<State>,
}

impl Direction {
    /// Carries everything, to the end.
    async fn carry(self, from: OwnedReadHalf, to: OwnedWriteHalf) {
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        tokio::join!(
            take(from, sender, self.state.clone()),
            self.give(to, receiver)
        );
    }

    async fn give(
        mut self,
        mut to: OwnedWriteHalf,
        mut receiver: mpsc::Receiver<(Instant, Vec<u8>)>,
    ) {
        while let Some((due, bytes)) = receiver.recv().await {
            sleep_until(due).await;
            if self.vanishes().await {
                continue;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // Nor does this end's goodbye arrive in a half-open connection: the other end has to find out by itself.
        if self.vanishes().await {
            std::future::pending::<()>().await;
        }
        // An error means that the other end is gone already.
        let _ = to.shutdown().await;
    }

    /// Waits while this direction is stalled; then, whether what it carries is lost.
    async fn vanishes(&mut self) -> bool {
        let towards = Some(self.towards);
        let state = self.state.wait_for(|state| state.stalled != towards).await;
        state.is_ok_and(|state| state.half_open >= self.number)
    }
}

async fn take(
    mut from: OwnedReadHalf,
    sender: mpsc::Sender<(Instant, Vec<u8>)>,
    state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        let due = Instant::now() + state.borrow().delay;
        if sender.send((due, buffer[..size].to_vec())).await.is_err() {
            return;
        }
    }
}
