//! One frame: for each pipeline a title, what limits it, its worker groups, its ledger.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, Wrap};
use serde_json::Value;

use super::super::explain::{Explanation, Group, percent, rows, time};
use super::super::text::clean;

/// What is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    /// Whose figures these are.
    pub(super) worker: String,
    pub(super) said: Vec<Explanation>,
    /// As `/api/pipelines` answers.
    pub(super) pipelines: Value,
    /// Why they are old.
    pub(super) trouble: Option<String>,
}

/// Columns of a bar.
const BAR: usize = 12;

/// Lines that the sentence takes at this width.
fn sentence_lines(said: &Explanation, width: u16) -> u16 {
    let room = usize::from(width.saturating_sub(4)).max(1);
    // Words are not cut: one line in eight is lost at most.
    u16::try_from(1 + said.sentence.chars().count() * 9 / 8 / room).unwrap_or(u16::MAX)
}

fn box_height(said: &Explanation, width: u16) -> u16 {
    let groups = u16::try_from(said.groups.len()).unwrap_or(u16::MAX);
    groups.saturating_add(sentence_lines(said, width)).saturating_add(4)
}

/// How many lines a whole frame takes.
pub(super) fn height(look: &Look, width: u16) -> u16 {
    look.said.iter().map(|said| box_height(said, width)).fold(1, u16::saturating_add)
}

pub(super) fn draw(frame: &mut Frame<'_>, look: &Look) {
    let boxes = look.said.iter().map(|said| Constraint::Length(box_height(said, frame.area().width)));
    let constraints: Vec<Constraint> = std::iter::once(Constraint::Length(1)).chain(boxes).collect();
    let areas = Layout::vertical(constraints).split(frame.area());
    let mut head =
        vec![Span::styled("broadside ", Style::new().add_modifier(Modifier::BOLD)), Span::raw(look.worker.clone())];
    head.push(match &look.trouble {
        Some(trouble) => Span::styled(format!("  {}", clean(trouble, false)), Style::new().fg(Color::Red)),
        None => Span::styled("  q ends", Style::new().add_modifier(Modifier::DIM)),
    });
    frame.render_widget(Line::from(head), areas[0]);
    for (said, area) in look.said.iter().zip(areas.iter().skip(1)) {
        let pipelines = look.pipelines["pipelines"].as_array().into_iter().flatten();
        let empty = Value::Null;
        let pipeline = pipelines.into_iter().find(|one| one["name"] == said.pipeline.as_str()).unwrap_or(&empty);
        pipeline_box(frame, said, pipeline, *area);
    }
}

fn pipeline_box(frame: &mut Frame<'_>, said: &Explanation, pipeline: &Value, area: Rect) {
    let state = pipeline["state"].as_str().unwrap_or("?");
    let title = format!(
        " {} · {} · {:.0}/s in · {:.0}/s out · {} of {} in flight ",
        clean(&said.pipeline, false),
        clean(state, false),
        said.received_per_second,
        said.settled_per_second,
        said.in_flight,
        said.in_flight_max
    );
    let block = Block::new().borders(Borders::ALL).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [sentence, groups, ledger] = Layout::vertical([
        Constraint::Length(sentence_lines(said, area.width)),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(inner);
    let style = match said.verdict.as_str() {
        "sink" | "stage" | "processor" | "in_flight" => Style::new().fg(Color::Yellow),
        "breaker" => Style::new().fg(Color::Red),
        _ => Style::new(),
    };
    frame.render_widget(Paragraph::new(clean(&said.sentence, false)).style(style).wrap(Wrap { trim: true }), sentence);
    frame.render_widget(table(said), groups);
    frame.render_widget(
        Line::from(Span::styled(ledger_line(said, pipeline), Style::new().add_modifier(Modifier::DIM))),
        ledger,
    );
}

fn table(said: &Explanation) -> Table<'static> {
    let [group, workers, _, starved, blocked, _, _, queue, per_second, each, took] = rows(said).swap_remove(0);
    let header = Row::new([group, workers, "BUSY".into(), starved, blocked, queue, per_second, each, took]);
    let row = |group: &Group| {
        let waits = if group.kind == "producer" { group.limited.max(group.blocked) } else { group.blocked };
        Row::new([
            Cell::from(clean(&group.name, false)),
            Cell::from(group.workers.to_string()),
            Cell::from(bar(group.busy)).style(Style::new().fg(if group.busy >= 0.7 {
                Color::Yellow
            } else {
                Color::Green
            })),
            Cell::from(percent(group.starved)),
            Cell::from(percent(waits)),
            Cell::from(if group.queue_capacity == 0 {
                "-".to_owned()
            } else {
                format!("{}/{}", group.queue_depth, group.queue_capacity)
            }),
            Cell::from(format!("{:.0}", group.messages_per_second)),
            Cell::from(format!("{:.0}", group.group_size)),
            Cell::from(time(group.group_seconds)),
        ])
    };
    let widths = [16, 7, 19, 7, 7, 13, 10, 6, 9].map(Constraint::Length);
    Table::new(said.groups.iter().map(row), widths).header(header.style(Style::new().add_modifier(Modifier::DIM)))
}

/// `██████░░░░░░  50 %`.
fn bar(share: f64) -> String {
    let full = (share.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    format!("{}{} {:>5}", "█".repeat(full), "░".repeat(BAR - full), percent(share))
}

fn ledger_line(said: &Explanation, pipeline: &Value) -> String {
    let ledger = &pipeline["ledger"];
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let oldest = said.oldest_unsettled_seconds.map_or_else(|| "none".to_owned(), time);
    format!(
        "received {}, settled {}, failed {}, imbalance {}; oldest unsettled {oldest}; dead letters {} open",
        number(&ledger["received"]),
        number(&ledger["settled_total"]),
        number(&ledger["settled"]["failed"]) + number(&ledger["settled"]["dead_lettered"]),
        number(&ledger["imbalance"]),
        number(&pipeline["dead_letters"]["open"])
    )
}
