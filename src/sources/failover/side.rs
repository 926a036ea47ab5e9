//! One of the two feeds: a source whose pull goes on while the other one's messages are taken.

use broadside_engine::{Demand, Failure, Flow, Message, Source};
use futures::future::BoxFuture;

use crate::killmail::Kill;

/// What a pull came to; the source comes back with it.
type Pulled = (Box<dyn Source<Kill>>, Demand<Kill>, Result<Flow, Failure>);

/// A source, and its pull if one is under way.
pub(super) struct Side {
    idle: Option<Box<dyn Source<Kill>>>,
    pull: Option<BoxFuture<'static, Pulled>>,
    is_finished: bool,
}

impl Side {
    pub(super) fn new(source: Box<dyn Source<Kill>>) -> Self {
        Self { idle: Some(source), pull: None, is_finished: false }
    }

    /// Begins a pull with this demand, unless one is under way.
    pub(super) fn start(&mut self, demand: impl FnOnce() -> Demand<Kill>) {
        if self.is_finished {
            return;
        }
        if let Some(mut source) = self.idle.take() {
            let mut demand = demand();
            self.pull = Some(Box::pin(async move {
                let flow = source.pull(&mut demand).await;
                (source, demand, flow)
            }));
        }
    }

    /// Whether a pull is under way.
    pub(super) fn is_pulling(&self) -> bool {
        self.pull.is_some()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Waits for the pull under way; for ever when there is none. Dropping the future leaves the pull as it is.
    pub(super) async fn pulled(&mut self) -> (Vec<Message<Kill>>, Result<(), Failure>) {
        let Some(pull) = &mut self.pull else { return std::future::pending().await };
        let (source, demand, flow) = pull.await;
        self.pull = None;
        self.idle = Some(source);
        self.is_finished |= matches!(flow, Ok(Flow::Finished));
        (demand.into_messages(), flow.map(drop))
    }

    pub(super) async fn close(&mut self) {
        // A pull under way was interrupted long ago; one that did not mind is given up with its source.
        self.pull = None;
        if let Some(source) = &mut self.idle {
            source.close().await;
        }
    }
}
