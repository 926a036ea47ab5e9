//! `man`: pages of the manual, made of the commands' description: one of the program and one of each command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::{Cli, print};

/// Print the manual's page of the program, or write the pages of all commands into a folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside man | man -l -
  broadside man /usr/local/share/man/man1")]
pub struct Args {
    /// The folder, which is made when it is not there: a page for each command, named as in broadside-dlq-list.1.
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// Prints or writes them.
///
/// # Errors
/// The folder cannot be written to.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut program = Cli::command().disable_help_subcommand(true);
    // Fills in names of commands within commands, and what is global.
    program.build();
    let Some(folder) = &args.folder else {
        print(&String::from_utf8(page(&program)?)?);
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let count = write(folder, &program, "broadside")?;
    print(&format!("{count} pages in {}", folder.display()));
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, command: &Command, name: &str) -> anyhow::Result<usize> {
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?).with_context(|| format!("failed to write {}", path.display()))?;
    let inner = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    inner
        .map(|inner| write(folder, inner, &format!("{name}-{}", inner.get_name())))
        .try_fold(1, |sum, count| Ok(sum + count?))
}

/// Examples stand at its end as they are, line by line.
fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let examples = command.get_after_help().map(ToString::to_string);
    // A version is the program's, not a command's.
    let command = command.clone().after_help(None).version(env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    Man::new(command).manual("Broadside").render(&mut page)?;
    if let Some(examples) = examples {
        let lines = examples.lines().filter(|line| !line.starts_with("Example"));
        let text = lines.map(escaped).collect::<Vec<_>>().join("\n");
        page.extend_from_slice(format!(".SH EXAMPLES\n.nf\n{text}\n.fi\n").as_bytes());
    }
    Ok(page)
}

/// A line of text that is no request of the typesetter's.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_example_is_text() {
        assert_eq!(escaped(".x --y \\z"), "\\&.x \\-\\-y \\ez");
        assert_eq!(escaped("  broadside run"), "  broadside run");
    }
}
