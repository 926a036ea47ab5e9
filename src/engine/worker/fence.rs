//! The only place that catches panics.
//!
//! User code runs behind a fence: its panic becomes a [`Failure`] of class [`Class::Panic`] and the worker goes on. Unwind safety is
//! asserted because what the code was lent is either failed or settled right after.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt;

use crate::failure::{Class, Failure};
use crate::message::Message;

/// Awaits user code; a panic comes back as a failure.
pub(crate) async fn guard<R>(code: impl Future<Output = R>) -> Result<R, Failure> {
    AssertUnwindSafe(code).catch_unwind().await.map_err(|panic| failure(&*panic))
}

/// Runs a step on each message; a panic fails only the message it happened on.
pub(crate) fn each<T>(messages: &mut [Message<T>], step: impl Fn(&mut Message<T>)) {
    let mut next = 0;
    while next < messages.len() {
        let run = catch_unwind(AssertUnwindSafe(|| {
            while let Some(message) = messages.get_mut(next) {
                step(message);
                next += 1;
            }
        }));
        if let Err(panic) = run {
            messages[next].fail(failure(&*panic));
            next += 1;
        }
    }
}

/// Calls a plain function of user code.
pub(crate) fn call<R>(code: impl FnOnce() -> R) -> Result<R, Failure> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| failure(&*panic))
}

fn failure(panic: &(dyn Any + Send)) -> Failure {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a text".to_owned());
    Failure::new(Class::Panic, format!("panicked: {text}"))
}
