//! `schema`: what a pipeline file may hold, for editors.

use std::process::ExitCode;

use super::print;
use crate::definition;

/// Print the JSON Schema of a pipeline file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  broadside schema > pipeline.schema.json
  (then, as the first line of a pipeline file: #:schema ./pipeline.schema.json)")]
pub struct Args {}

/// Prints it.
///
/// # Errors
/// None in practice.
pub fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    print(&serde_json::to_string_pretty(&definition::schema())?);
    Ok(ExitCode::SUCCESS)
}
