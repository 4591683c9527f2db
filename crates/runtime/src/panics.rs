//! Panics as values: message and place, caught around one attempt. Panics elsewhere are left to the hook that was there before.
//! Needs unwinding: with `panic = "abort"` the process ends, and the broker delivers its messages again.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use futures_util::FutureExt;

use crate::error::{ErrorKind, TaskError};

tokio::task_local! {
    /// Where the code running in this scope panicked; the hook writes it, because the payload does not hold it.
    static PLACE: RefCell<Option<String>>;
}

/// A caught panic.
#[derive(Debug, thiserror::Error)]
#[error("the handler panicked at {place}: {message}")]
pub(crate) struct Panic {
    message: String,
    place: String,
}

impl Panic {
    fn caught(payload: &(dyn Any + Send)) -> Self {
        let place = PLACE
            .with(RefCell::take)
            .unwrap_or_else(|| "an unknown place".to_owned());
        Self {
            message: message_of(payload),
            place,
        }
    }

    pub(crate) fn into_error(self) -> TaskError {
        TaskError::new(ErrorKind::Panic, self)
    }
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Runs the future to its end or its panic. Not an `async fn`: that would keep the future twice over, and it is a large one.
pub(crate) fn catch_async<F: Future>(future: F) -> impl Future<Output = Result<F::Output, Panic>> {
    install_hook();
    let caught = AssertUnwindSafe(future)
        .catch_unwind()
        .map(|ended| ended.map_err(|payload| Panic::caught(payload.as_ref())));
    PLACE.scope(RefCell::new(None), caught)
}

/// Runs the function to its end or its panic.
pub(crate) fn catch<T>(function: impl FnOnce() -> T) -> Result<T, Panic> {
    install_hook();
    let caught = || {
        catch_unwind(AssertUnwindSafe(function)).map_err(|payload| Panic::caught(payload.as_ref()))
    };
    PLACE.sync_scope(RefCell::new(None), caught)
}

/// Inside an attempt the hook notes the place and stays silent: the attempt's own log line and span say it.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(ToString::to_string);
            if PLACE.try_with(|noted| noted.replace(place)).is_err() {
                previous(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_value_with_its_message_and_place() {
        let panic = catch_async(async { panic!("no {}", "good") })
            .await
            .map(|(): ()| ())
            .expect_err("panicked");
        assert_eq!(panic.message, "no good");
        assert!(panic.place.contains("panics.rs:"), "{}", panic.place);
    }

    #[test]
    fn what_does_not_panic_passes_through() {
        assert_eq!(catch(|| 3).expect("no panic"), 3);
        assert_eq!(
            catch(|| -> u8 { panic!("x") })
                .expect_err("panicked")
                .message,
            "x"
        );
    }
}
