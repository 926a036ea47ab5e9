//! Staged, bounded, acknowledged stream processing on tokio, with the semantics of Elixir's Broadway.
//!
//! ```text
//!          demand ◄─────────────◄──────────────◄──────────────◄────────────── (every arrow is bounded)
//!  source ──► producer ──► processor ──► processor ──► batcher ──► sink workers ──► batcher ──► sink workers
//!                          (stages)      (stages)      100/200 ms   │ committed      (`after`)       │
//!                               │                                   ▼                                │
//!                               └── failed, filtered, finished ──► settle ◄──────────────────────────┘
//!                                                     failure handler, acknowledger, ledger
//! ```
//!
//! You write a [`Source`], [`Stage`]s and [`Sink`]s; a [`Topology`] says how many workers run them and how much may wait between
//! them; [`Pipeline::start`] runs it. The payload type `T` is yours: the engine only carries it.
//!
//! # Guarantees
//!
//! 1. **Lent, not given.** User code gets `&mut` messages and cannot lose one. Failure is data on the message ([`Message::fail`]); a panic
//!    fails the messages that the code was working on, not the worker.
//! 2. **Groups.** Components are called with groups of up to `max_demand` messages; so a virtual call, a lock and a clock
//!    reading are paid per group.
//! 3. **Settled exactly once.** Each message ends as one [`Outcome`]: successful, failed, dead-lettered, filtered, or, when it was dropped (a
//!    crash of the engine, the deadline), abandoned; never silently successful. `received = settled + in flight` at every moment: see [`Ledger`].
//! 4. **Acknowledged after it is safe**, grouped by acknowledger and reference, each call fenced on its own.
//! 5. **Batches** by size, bytes, timeout, key, flush, and eagerly: as soon as a sink worker is idle, growing only while all are busy.
//! 6. **Order** within a partition (`partition_by`), through processors and batchers, whatever the number of workers and while it
//!    changes. A slow partition takes at most one worker and the queue's capacity from the others.
//! 7. **Bounds** everywhere: queues in messages, in flight in permits that ride with the messages, a rate limit that nothing passes by. All
//!    can be changed while running, as can the number of workers.
//! 8. **Sources** are pulled, never pushed into; a pull is not cancelled while it may hold a message; [`Flow::Finished`] ends the pipeline by
//!    itself; a crash costs one restart of a budget.
//! 9. **Drain** in order, within a deadline: producers, each group after the one that feeds it, sinks, sources.
//! 10. **No retry.** Retrying a call belongs to the component, redelivery to the source, replay to whoever keeps dead letters.
//! 11. **Splitting.** A batch that fails for its data is halved until the bad messages stand alone.
//! 12. **Breaker.** A source whose messages fail is slowed to a trickle of probes until they succeed again (`Topology::breaker`).
//!
//! # Where it differs from Broadway
//!
//! * Several processor groups, each with its own concurrency and queue; several stages in a group.
//! * A failure handler can rescue ([`Message::rescue`]): in Broadway the message is still acknowledged as failed.
//! * A sink that returns fewer messages, or a crashed worker, never loses one unaccounted.
//! * Batches of one partition are delivered one after the other; batch keys alone only group.
//! * `batch_bytes` is a ceiling: the message that would break it opens the next batch.
//! * The rate limit is a token bucket, and test messages are subject to it too.
//! * Nothing is dropped when a buffer is full: there is no buffer that drops.
//! * One source, one failure handler and one acknowledger per pipeline (a message may carry an acknowledger of its own). An acknowledger
//!   is lent the message, so there is nothing to configure beforehand.
//! * No `min_demand`: a worker takes what there is, up to `max_demand`, as soon as it is free.
//! * Batchers that follow each other (`after`) in place of one message in several batchers; a fork is refused.
//!
//! # Code map
//!
//! | file | what |
//! |---|---|
//! | `message` `failure` `batch` `ack` | the values that user code sees |
//! | `source` `stage` `sink` `components` | the traits that user code implements, and their bundle |
//! | `supervision` | tasks, fence and restart budget for a source that is several readers in one |
//! | `topology` `pipeline` | the shape, checked; the shape running |
//! | `explain` | what limits a pipeline, from two looks at it |
//! | `telemetry` | the table of metrics |
//! | `testing` | push source, caller acknowledger, contracts |
//! | `book` `shared` `start` | ledger and permits; settling; wiring |
//! | `judge` | what outcomes say of the source: the breaker, the share of failures |
//! | `pure/` | rules without tasks or clocks: batches, breaker, lanes, latencies, rate, restarts, share of failures, low watermark |
//! | `worker/` | one box of the picture, one file; `fence` is the only place that catches panics |

pub mod ack;
pub mod batch;
mod book;
pub mod components;
pub mod explain;
pub mod failure;
mod judge;
pub mod message;
pub mod pipeline;
mod pure;
mod shared;
pub mod sink;
pub mod source;
pub mod stage;
mod start;
pub mod supervision;
pub mod telemetry;
pub mod testing;
pub mod topology;
mod worker;

pub use ack::Acknowledger;
pub use batch::{Batch, Trigger};
pub use components::{Components, FailureHandler};
pub use failure::{Class, Failure};
pub use message::{BatchKey, BatchMode, Delivered, Message, Outcome};
pub use pipeline::{Ledger, Pipeline, Report};
pub use pure::breaker::BreakerStatus;
pub use pure::failure_share::Recent;
pub use pure::latency::Latencies;
pub use pure::low_watermark::LowWatermark;
pub use sink::Sink;
pub use source::{Demand, Factory, Flow, Source};
pub use stage::Stage;
pub use topology::Topology;
