//! The end of a pipeline, in order and within a deadline: producers, then each group after the one that feeds it, then sinks and sources.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::pipeline::{Report, State};
use crate::shared::Shared;
use crate::sink::Sink;
use crate::source::Source;
use crate::worker::crew::Crew;
use crate::worker::fence;
use crate::worker::producer::{Valve, close};
use crate::worker::queue::Queue;

/// How often a drain says who is still at work.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// How long workers that were told to stop at once may take to notice.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// A worker group, as the drain sees it.
pub(crate) struct Section<T> {
    pub(crate) name: Arc<str>,
    pub(crate) queue: Arc<Queue<T>>,
    /// The workers on the queue; for a batcher the batcher, then its sink workers.
    pub(crate) crews: Vec<Arc<Crew>>,
}

pub(crate) struct Drain<T> {
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) source: Arc<str>,
    pub(crate) producers: JoinSet<Option<Box<dyn Source<T>>>>,
    /// In the order in which they end.
    pub(crate) sections: Vec<Section<T>>,
    pub(crate) sinks: Vec<(Arc<str>, Arc<dyn Sink<T>>)>,
    pub(crate) valve: Arc<Valve>,
    pub(crate) abort: CancellationToken,
    pub(crate) state: Arc<AtomicU8>,
    pub(crate) report: watch::Sender<Option<Report>>,
}

impl<T: Send + 'static> Drain<T> {
    /// Waits for the end of the producers or for the call to drain, then sees everything through.
    pub(crate) async fn run(mut self) {
        let mut sources = Vec::new();
        let valve = self.valve.clone();
        let _ = valve.drain.run_until_cancelled(join_producers(&mut self.producers, &mut sources, &self.source)).await;
        let started = Instant::now();
        self.state.store(State::Draining as u8, Ordering::Release);
        valve.drain.cancel();
        let deadline_passed = self.finish_within_deadline(&mut sources, started).await;
        if deadline_passed {
            self.abort_all().await;
        }
        self.close_all(sources).await;
        let report = Report {
            ledger: self.shared.book.ledger(),
            took: started.elapsed(),
            deadline_passed,
            source_failure: valve.failure(),
        };
        self.state.store(State::Stopped as u8, Ordering::Release);
        self.report.send_replace(Some(report));
    }

    async fn finish_within_deadline(&mut self, sources: &mut Vec<Box<dyn Source<T>>>, started: Instant) -> bool {
        let Self { producers, sections, shared, source, valve, .. } = self;
        let deadline = valve.deadline();
        let busy = watch::Sender::new(source.clone());
        let work = async {
            join_producers(producers, sources, source).await;
            for section in sections.iter() {
                busy.send_replace(section.name.clone());
                section.queue.close();
                for crew in &section.crews {
                    crew.join().await;
                }
            }
        };
        let say = async {
            loop {
                tokio::time::sleep(SAY_EVERY).await;
                let (group, in_flight) = (busy.borrow().clone(), shared.book.ledger().in_flight);
                let queued: usize = sections.iter().map(|section| section.queue.len()).sum();
                tracing::info!(pipeline = %shared.pipeline, %group, in_flight, queued, "still draining");
            }
        };
        tokio::select! {
            biased;
            () = work => false,
            () = tokio::time::sleep_until(started + deadline) => true,
            () = say => false,
        }
    }

    /// The deadline passed: everything ends where it stands.
    async fn abort_all(&mut self) {
        self.abort.cancel();
        self.producers.abort_all();
        let joined = async {
            for crew in self.sections.iter().flat_map(|section| &section.crews) {
                crew.join().await;
            }
            while self.producers.join_next().await.is_some() {}
        };
        if tokio::time::timeout(ABORT_GRACE, joined).await.is_err() {
            tracing::error!(pipeline = %self.shared.pipeline, "user code does not return; leaving it behind");
        }
        self.sections.iter().for_each(|section| section.queue.clear());
        self.shared.book.abandon_rest();
        let ledger = self.shared.book.ledger();
        let abandoned = ledger.outcome(crate::message::Outcome::Abandoned);
        tracing::error!(pipeline = %self.shared.pipeline, abandoned, deadline = ?self.valve.deadline(), "drain deadline passed");
    }

    async fn close_all(&self, sources: Vec<Box<dyn Source<T>>>) {
        for (name, sink) in &self.sinks {
            let closed = tokio::time::timeout(ABORT_GRACE * 5, fence::guard(sink.close())).await;
            if !matches!(closed, Ok(Ok(()))) {
                tracing::error!(sink = %name, "closing the sink failed or takes too long");
            }
        }
        for source in sources {
            close(&self.source, source).await;
        }
    }
}

async fn join_producers<T: Send + 'static>(
    producers: &mut JoinSet<Option<Box<dyn Source<T>>>>,
    sources: &mut Vec<Box<dyn Source<T>>>,
    name: &str,
) {
    while let Some(ended) = producers.join_next().await {
        match ended {
            Ok(source) => sources.extend(source),
            Err(error) => tracing::error!(source = name, %error, "producer"),
        }
    }
}
