//! The real binaries against the real servers: what a person at a shell, a signal or a broken input makes of them.
//! Every test has a namespace of its own on the broker and a directory of its own; nothing is shared but the servers.

mod dead_command;
mod dead_letters;
mod demo;
mod downloading;
mod email;
mod email_once;
mod email_tls;
mod explain;
mod film_resumed;
mod health;
mod kicking;
mod killed;
mod levels;
mod operators;
mod progress;
mod proxying;
mod refusals;
mod resumed;
pub(crate) mod retried;
mod retrimmed;
pub(crate) mod stopping;
pub(crate) mod support;
mod swept;
mod traces;
