//! Schedulers as processes, on a real broker: each tick once, however many run and however they die. What they fire is counted in the
//! broker's queue, by a consumer that runs nothing.

mod cleanup;
mod commands;
mod drill;
mod embedded;
mod figures;
mod fleet;
mod gallery;
mod many;
mod once;
mod standby;
mod takeover;
mod without_redis;
mod world;
