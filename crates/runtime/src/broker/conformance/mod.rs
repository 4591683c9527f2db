//! What every [`Broker`] must do, as cases to run against one. Needs nothing but the trait; knows no server.
//! A case panics when the broker does not keep its promise; it works on a queue of its own, so cases may run side by side.

mod baton;
mod delivering;
mod holding;
mod looking;
mod publishing;
mod support;
mod waiting;

use std::sync::Arc;

pub use baton::*;
pub use delivering::*;
pub use holding::*;
pub use looking::*;
pub use publishing::*;
pub use support::{ack, fresh_queue, hand_back, message, next, parcel, settled_depth};
pub use waiting::*;

use super::Broker;

/// Runs every case, one after the other. `make` connects: every call to the same broker.
///
/// # Panics
/// When a promise is broken.
pub async fn exercise(make: impl AsyncFn() -> Arc<dyn Broker>) {
    let broker = &*make().await;
    acked_messages_are_gone(broker).await;
    unroutable_is_an_error(broker).await;
    too_large_is_refused(broker).await;
    a_delay_beyond_the_limit_is_refused(broker).await;
    headers_travel_unchanged(broker).await;
    a_burst_arrives_exactly_once(broker).await;
    dead_letters_keep_everything(broker).await;
    dead_letters_are_replayed_dropped_and_kept(broker).await;
    dead_letters_stay_in_their_order(broker).await;
    depth_counts_everything(broker).await;
    the_oldest_is_seen_and_keeps_its_place(broker).await;
    a_queue_that_was_never_declared_is_said_to_be_none(broker).await;
    declaring_twice_changes_nothing(broker).await;
    the_highest_level_comes_first(broker).await;
    a_backlog_comes_strictly_by_level(broker).await;
    a_busy_worker_keeps_nothing_from_an_idle_one(broker).await;
    levels_stay_strict_while_more_is_held(broker).await;
    what_is_held_behind_a_long_one_starts_elsewhere(broker).await;
    handed_back_comes_again_on_its_level(broker).await;
    abandoned_comes_again(broker).await;
    prefetch_bounds_what_is_unsettled(broker).await;
    a_cancelled_next_takes_nothing(broker).await;
    stop_hands_back_what_was_buffered(broker).await;
    a_delay_is_waited_out_on_its_level(broker).await;
    a_short_delay_overtakes_a_long_one(broker).await;
    a_room_keeps_its_order_and_its_messages(broker).await;
    what_goes_back_to_a_room_is_the_first_again(broker).await;
    rooms_are_counted_and_apart(broker).await;
    a_baton_has_one_holder_and_keeps_stubs(broker, &*make().await).await;
    a_queue_that_is_not_there_is_missing(broker).await;
    another_connection_takes_from_the_same_room(broker, &*make().await).await;
    another_connection_sees_the_same_queue(broker, &*make().await).await;
}
