//! A private Redis. It starts in a few milliseconds, so every test has its own.

use nix::sys::signal::Signal;

use super::server::Server;

/// A Redis that keeps every write on disk.
pub(crate) struct Store(Server);

impl Store {
    /// One that runs, and is empty.
    pub(crate) async fn started() -> Self {
        let mut server = Server::new("result");
        let settings = "appendonly yes\nappendfsync always\n";
        std::fs::write(server.dir().join("redis.conf"), settings).expect("writable");
        server.start().await;
        Self(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.0.port())
    }

    /// Host and port.
    pub(crate) fn place(&self) -> String {
        format!("127.0.0.1:{}", self.0.port())
    }

    /// Starts it again, with what it had.
    pub(crate) async fn start(&mut self) {
        self.0.start().await;
    }

    /// kill -9.
    pub(crate) async fn kill(&mut self) {
        self.0.end(Signal::SIGKILL).await;
    }

    /// As after a disk that was lost.
    pub(crate) async fn kill_and_forget(&mut self) {
        self.kill().await;
        std::fs::remove_dir_all(self.0.dir().join("appendonlydir")).expect("its data");
    }
}
