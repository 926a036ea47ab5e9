//! placeholder
pub mod ack;
pub mod batch;
pub mod components;
pub mod failure;
pub mod message;
pub mod pipeline;
pub mod sink;
pub mod source;
pub mod stage;
pub mod topology;
mod worker;

pub use ack::Acknowledger;
pub use batch::{Batch, Trigger};
pub use components::{Components, FailureHandler};
pub use failure::{Class, Failure};
pub use message::{BatchKey, BatchMode, Delivered, Message, Outcome};
pub use pipeline::{Ledger, Report};
pub use sink::Sink;
pub use source::{Demand, Factory, Flow, Source};
pub use stage::Stage;
pub use topology::Topology;
