//! The kills pipeline's own parts, from outside.
