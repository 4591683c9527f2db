//! What breaks while work goes on, a module for each line of the table "When things break": connections, servers, handlers, sizes.
//! The worker is a process of its own, the servers are real. Deterministic parts are tested without them, where they stand.

mod broker_blocks_publishers;
mod broker_down_at_start;
mod broker_restarted;
mod connection_or_channel_lost;
mod delays;
mod ground;
mod half_open;
mod handler_panics;
mod result_backend_down;
mod soak;
mod tally;
mod too_large;
