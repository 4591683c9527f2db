//! A TCP proxy whose connections can be cut: what a network does to a client, on demand.
//! It knows no protocol; it ends with its last handle.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A proxy in front of one server.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<watch::Sender<State>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy)]
struct State {
    /// Connections of an earlier generation are cut.
    generation: u64,
    open: bool,
}

impl Proxy {
    /// Listens on a port of its own and passes everything on to `target`.
    pub(crate) async fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(watch::Sender::new(State {
            generation: 0,
            open: true,
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

    /// Cuts every connection; new ones pass.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// Cuts every connection, and every new one at once.
    pub(crate) fn refuse(&self) {
        self.state.send_modify(|state| {
            *state = State {
                generation: state.generation + 1,
                open: false,
            }
        });
    }

    /// Lets connections pass again.
    pub(crate) fn resume(&self) {
        self.state.send_modify(|state| state.open = true);
    }
}

async fn accept(listener: TcpListener, target: String, state: Arc<watch::Sender<State>>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a listening socket accepts");
        if state.borrow().open {
            connections.spawn(pass(client, target.clone(), state.subscribe()));
        }
    }
}

async fn pass(mut client: TcpStream, target: String, mut state: watch::Receiver<State>) {
    let generation = state.borrow().generation;
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        _ = state.wait_for(|state| state.generation != generation) => {}
        _ = copy_bidirectional(&mut client, &mut server) => {}
    }
}
