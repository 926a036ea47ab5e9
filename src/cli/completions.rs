//! `completions`: what a shell needs to complete commands and options, made of their description.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, print};

/// Print the completions of a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside completions bash > /etc/bash_completion.d/broadside
  broadside completions zsh > ~/.zfunc/_broadside
  broadside completions fish > ~/.config/fish/completions/broadside.fish")]
pub struct Args {
    /// Whose.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints them.
///
/// # Errors
/// None in practice.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "broadside", &mut script);
    print(&String::from_utf8(script)?);
    Ok(ExitCode::SUCCESS)
}
