//! Reads the bytes of a kill: the first stage of every kills pipeline.
//!
//! Takes every shape that [`wire`] knows. What it cannot read fails as invalid with the field or the byte
//! where it went wrong, and its raw bytes stay as they came.

use std::sync::Arc;

use broadside_engine::stage::{self, Stage};
use broadside_engine::{Failure, Message};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::killmail::{Kill, wire};

/// Nothing to set: the bounds are part of the format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// The stage.
    pub fn build(&self) -> impl Stage<Kill> + use<> {
        stage::each(decode)
    }
}

fn decode(message: &mut Message<Kill>) {
    match wire::decode(&message.payload.raw) {
        Ok(mail) => message.payload.mail = Some(Arc::new(mail)),
        Err(error) => message.fail(Failure::invalid(error.to_string())),
    }
}
