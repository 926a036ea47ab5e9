//! `top`: the running worker's figures in the terminal, live.

mod frame;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};

use self::frame::{Look, draw, height};
use super::explain::{read, worker};
use super::market::failed;
use super::print;
use super::signals::Signals;
use crate::clients::address;
use crate::clients::worker::Worker;
use crate::settings::Settings;

/// Between two looks at the keyboard.
const KEYS_EVERY: Duration = Duration::from_millis(100);
/// Looks at the keyboard between two looks at the worker.
const KEYS_A_LOOK: u32 = 10;
/// Of a frame that is printed.
const WIDTH: u16 = 110;

/// Watch the running worker in the terminal: what limits each pipeline, its worker groups, queues, ledger. q ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside top
  broadside top --once
  broadside top --worker http://127.0.0.1:4010")]
pub struct Args {
    /// Print one frame as text, and end.
    #[arg(long)]
    pub once: bool,
    /// The running worker: its address, or its URL [default: http://127.0.0.1:4010].
    #[arg(long, value_name = "URL", env = "BROADSIDE_LISTEN")]
    pub worker: Option<String>,
}

/// Shows frames until it is ended.
///
/// # Errors
/// There is no terminal; with `--once`, no worker.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    let (worker, url) = worker(args.worker.as_deref(), &settings)?;
    if args.once {
        print(&once(&look(&worker, &url).await?)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut signals = Signals::listen()?;
    let mut terminal = ratatui::try_init().context("failed to use the terminal: --once prints a frame without one")?;
    let shown = tokio::select! {
        shown = show(&mut terminal, &worker, &url) => shown,
        _ = signals.next() => Ok(()),
    };
    ratatui::restore();
    shown.map(|()| ExitCode::SUCCESS)
}

async fn look(worker: &Worker, url: &str) -> anyhow::Result<Look> {
    let explained = worker.explain(10).await.map_err(|error| failed(url, &error))?;
    let pipelines = worker.pipelines().await.map_err(|error| failed(url, &error))?;
    Ok(Look { worker: address::shown(url), said: read(&explained)?, pipelines, trouble: None })
}

async fn show(terminal: &mut ratatui::DefaultTerminal, worker: &Worker, url: &str) -> anyhow::Result<()> {
    let mut seen = Look { worker: address::shown(url), ..Look::default() };
    loop {
        // What was seen last stays, with a word that it is old.
        match look(worker, url).await {
            Ok(look) => seen = look,
            Err(error) => seen.trouble = Some(format!("{error:#}")),
        }
        for _ in 0..KEYS_A_LOOK {
            terminal.draw(|frame| draw(frame, &seen)).context("failed to draw")?;
            if is_over()? {
                return Ok(());
            }
            tokio::time::sleep(KEYS_EVERY).await;
        }
    }
}

/// Whether somebody has pressed q, Esc or Ctrl-C.
fn is_over() -> anyhow::Result<bool> {
    while event::poll(Duration::ZERO).context("failed to read the keyboard")? {
        if let Event::Key(key) = event::read().context("failed to read the keyboard")? {
            let interrupts = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            if interrupts || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A frame as text.
fn once(look: &Look) -> anyhow::Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(WIDTH, height(look, WIDTH))).context("failed to draw")?;
    terminal.draw(|frame| draw(frame, look)).context("failed to draw")?;
    let buffer = terminal.backend().buffer();
    let line = |row: u16| (0..WIDTH).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    let lines: Vec<String> = (0..buffer.area.height).map(|row| line(row).trim_end().to_owned()).collect();
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::explain::tests::answer;
    use super::*;

    fn seen() -> Look {
        let ledger = json!({"received": 12_345, "settled_total": 12_000, "in_flight": 345, "imbalance": 0, "settled": {"dead_lettered": 7}});
        let pipelines = json!({"pipelines": [{"name": "kills", "state": "running", "ledger": ledger, "dead_letters": {"open": 3}}]});
        let said = read(&answer()).expect("an answer");
        Look { worker: "127.0.0.1:4010".into(), said, pipelines, trouble: None }
    }

    #[test]
    fn a_frame_has_the_sentence_every_group_and_the_ledger() {
        let text = once(&seen()).expect("a frame");
        for part in [
            "127.0.0.1:4010",
            "kills",
            "running",
            "Sink `db` limits it.",
            "enrich",
            "97 %",
            "900/1000",
            "received 12345",
            "3 open",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH.into()), "{text}");
    }

    #[test]
    fn a_worker_that_is_away_is_said_and_a_small_terminal_is_no_fault() {
        let away = Look { trouble: Some("failed to connect".into()), ..seen() };
        assert!(once(&away).expect("a frame").contains("failed to connect"));
        for (width, height) in [(1, 1), (20, 3), (80, 10)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
            terminal.draw(|frame| draw(frame, &away)).expect("drawn");
        }
    }

    #[test]
    fn what_players_wrote_does_not_steer_the_terminal() {
        let mut seen = seen();
        seen.said[0].sentence = "\u{1b}[2J".into();
        assert!(!once(&seen).expect("a frame").contains('\u{1b}'));
    }
}
