//! One of the two feeds: a source whose pull goes on while the other one's messages are taken.

use broadside_engine::supervision::Crew;
use broadside_engine::{Demand, Failure, Flow, Message, Source};
use futures::FutureExt;

use crate::killmail::Kill;

/// What a pull came to; the source comes back with it.
type Pulled = (Box<dyn Source<Kill>>, Demand<Kill>, Result<Flow, Failure>);

/// A source, and its pull if one is under way.
///
/// The pull is a task: what it waits for inside, such as a connection to the store, others wait for too, and it must not be given that and then lie
/// still because nobody pulls.
pub(super) struct Side {
    idle: Option<Box<dyn Source<Kill>>>,
    pull: Crew<Pulled>,
    is_pulling: bool,
    is_finished: bool,
}

impl Side {
    pub(super) fn new(source: Box<dyn Source<Kill>>) -> Self {
        Self { idle: Some(source), pull: Crew::new(), is_pulling: false, is_finished: false }
    }

    /// Begins a pull with this demand, unless one is under way.
    pub(super) fn start(&mut self, demand: impl FnOnce() -> Demand<Kill>) {
        if self.is_finished {
            return;
        }
        if let Some(mut source) = self.idle.take() {
            let mut demand = demand();
            self.is_pulling = true;
            self.pull.spawn(async move {
                let flow = source.pull(&mut demand).await;
                (source, demand, flow)
            });
        }
    }

    /// Whether a pull is under way, or has ended and was not taken yet.
    pub(super) fn is_pulling(&self) -> bool {
        self.is_pulling
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Waits for the pull under way; for ever when there is none. Dropping the future leaves the pull as it is.
    pub(super) async fn pulled(&mut self) -> (Vec<Message<Kill>>, Result<(), Failure>) {
        let Some(ended) = self.pull.next().await else { return std::future::pending().await };
        self.is_pulling = false;
        match ended {
            Ok((source, demand, flow)) => {
                self.idle = Some(source);
                self.is_finished |= matches!(flow, Ok(Flow::Finished));
                (demand.into_messages(), flow.map(drop))
            }
            // It panicked, and is gone: both are built anew.
            Err(failure) => (Vec::new(), Err(failure)),
        }
    }

    pub(super) async fn close(&mut self) {
        // A pull under way was interrupted long ago. What it brought is nobody's any more: the fallback has it.
        drop(self.pulled().now_or_never());
        // One that did not mind is given up with its source.
        self.pull.end().await;
        self.is_pulling = false;
        if let Some(source) = &mut self.idle {
            source.close().await;
        }
    }
}
