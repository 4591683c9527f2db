//! What breaks while work goes on, a module for each line of the table "When things break": connections, servers, handlers, sizes.
//! The worker is a process of its own, the servers are real. Deterministic parts are tested without them, where they stand.

mod broker_blocks_publishers;
mod broker_down_at_start;
mod broker_restarted;
mod cancel;
mod census;
mod claims;
mod connection_or_channel_lost;
mod delays;
mod ground;
mod half_open;
mod handler_ignores_its_timeout;
mod handler_panics;
mod left_behind;
mod limits;
mod priorities;
mod result_backend_down;
mod resuming;
mod sigterm;
mod soak;
mod tally;
mod telemetry;
mod too_large;
mod worker_killed;
