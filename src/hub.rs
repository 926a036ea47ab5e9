//! In-process topics: what the `pubsub` sink publishes and live readers subscribe to.

/// The topics.
#[derive(Debug, Default)]
pub struct Hub {}
