//! A pipeline as a picture of text, at most 80 columns wide, and what its limits mean.

use broadside_engine::topology::{Batcher, Processor};
use indicatif::HumanCount;

use crate::definition::Definition;
use crate::duration::Span;
use crate::record::Record;

/// Between the bars of a box.
const INNER: usize = 74;

/// The pipeline from source to sinks, top to bottom.
pub(super) fn topology(definition: &Definition) -> String {
    let topology = &definition.topology;
    let mut lines = boxed("source", definition.source.name(), &source_lines(definition));
    for processor in &topology.processors {
        lines.push(arrow(""));
        lines.extend(boxed("processor", &processor.name, &processor_lines(definition, processor)));
    }
    let root = topology.batchers.iter().find(|batcher| batcher.after.is_none());
    for (position, name) in root.map(|root| topology.chain(&root.name)).unwrap_or_default().iter().enumerate() {
        let Some(batcher) = topology.batchers.iter().find(|batcher| batcher.name == *name) else { continue };
        lines.push(arrow(if position == 0 { "" } else { "committed" }));
        lines.extend(boxed("batcher", name, &batcher_lines(definition, batcher)));
    }
    lines.push(arrow("settled: told to the source, counted in the ledger"));
    lines.join("\n")
}

fn source_lines(definition: &Definition) -> Vec<String> {
    let rate = match definition.topology.source.rate_limit {
        Some(limit) => format!("at most {} messages per {}", HumanCount(u64::from(limit.messages)), Span(limit.per)),
        None => "as fast as the rest takes them".to_owned(),
    };
    let again = if definition.source.redelivers() { "can hand out again" } else { "hands out once" };
    definition.source.feeds().into_iter().chain([format!("{rate} · {again}")]).collect()
}

fn processor_lines(definition: &Definition, processor: &Processor) -> Vec<String> {
    let stages = processor.stages.join(" → ");
    let numbers = format!(
        "{} × up to {} messages · queue {}{}",
        plural(processor.concurrency, "worker"),
        count(processor.max_demand),
        count(processor.capacity),
        partition(definition, &processor.name),
    );
    vec![stages, numbers]
}

fn batcher_lines(definition: &Definition, batcher: &Batcher) -> Vec<String> {
    let mut leaves = vec![plural(batcher.batch_size, "message")];
    if let Some(bytes) = batcher.batch_bytes {
        leaves.push(format!("{} bytes", count(bytes)));
    }
    leaves.push(Span(batcher.batch_timeout).to_string());
    if batcher.eager {
        leaves.push("an idle worker".to_owned());
    }
    let numbers = format!(
        "{} · queue {}{}",
        plural(batcher.concurrency, "sink worker"),
        count(batcher.capacity),
        partition(definition, &batcher.name)
    );
    let sink = definition.sinks.get(&batcher.name).map_or("?", |sink| sink.name());
    vec![format!("a batch leaves at {}", leaves.join(" or ")), numbers, format!("──► sink {sink}")]
}

fn partition(definition: &Definition, group: &str) -> &'static str {
    if definition.partitions.contains_key(group) { " · in order by solar system" } else { "" }
}

/// What the numbers add up to, in sentences.
pub(super) fn limits(definition: &Definition) -> String {
    let topology = &definition.topology;
    let room = topology.worst_case_in_flight();
    let most = definition.worst_case_in_flight();
    let reached = if room > topology.in_flight_max {
        format!(
            "in_flight_max; queues and workers alone would hold {}. At the limit the source stops reading until messages are settled.",
            count(room)
        )
    } else {
        format!("queues and workers hold no more; in_flight_max {} is never reached.", count(topology.in_flight_max))
    };
    let letters = if definition.dead_letters.enabled {
        "What fails is kept as a dead letter, with its raw bytes, before it is settled."
    } else {
        "Dead letters are off: what fails is counted, logged and left to the source to hand out again."
    };
    let drain = format!(
        "A stop has {} to finish what is in flight; the rest is abandoned, with exit code 3.",
        Span(topology.drain_deadline)
    );
    let first = [format!("At most {} messages in flight: {reached}", count(most)), letters.to_owned()];
    let sentences =
        first.into_iter().chain(retries(definition)).chain(breaker(definition)).chain([alert(definition), drain]);
    sentences.map(|sentence| paragraph(&sentence)).collect::<Vec<_>>().join("\n")
}

/// What becomes of letters by themselves.
fn retries(definition: &Definition) -> Option<String> {
    let letters = &definition.dead_letters;
    letters.enabled.then(|| match letters.attempts_max {
        0 | 1 => "No letter is tried again by itself: all wait for people (`broadside dlq`).".to_owned(),
        attempts => {
            let waits: Vec<String> = (0..attempts.saturating_sub(1).min(3))
                .map(|n| Span(letters.retry_every.0.saturating_mul(1 << n)).to_string())
                .collect();
            let more = if attempts > 4 { " and so on, each wait twice as long" } else { "" };
            format!(
                "A letter that failed for a passing reason is tried again by itself after {}{more}: {attempts} attempts in all, then it waits for people. All others wait for people at once.",
                waits.join(", then after "),
            )
        }
    })
}

/// When the source is slowed to a trickle, and what that costs at most.
fn breaker(definition: &Definition) -> Option<String> {
    let topology = &definition.topology;
    let Some(rules) = topology.breaker else {
        let is_off = definition.source.is_live() && definition.record() == Record::Kills;
        return is_off.then(|| "There is no breaker: if the source brings nothing but rubbish, all of it is read, and kept as dead letters.".to_owned());
    };
    let share = (rules.share * rules.window as f64).ceil() as usize;
    let a_day = 86_400.0 / rules.probe_every.as_secs_f64();
    Some(format!(
        "The breaker: when {} messages in a row fail, or {} of the last {}, the source slows to one message each {}, a probe; {} in a row that succeed restore it. So rubbish alone makes at most {} dead letters until it trips, and {} a day from then on.",
        count(rules.run),
        count(share),
        count(rules.window),
        Span(rules.probe_every),
        plural(rules.successes, "probe"),
        count(rules.run.max(share) + definition.worst_case_in_flight()),
        HumanCount(a_day as u64),
    ))
}

fn alert(definition: &Definition) -> String {
    let above = definition.topology.alert_above.unwrap_or(1.0) * 100.0;
    format!(
        "More than {above} % failures within five minutes, of 100 messages at least: /readyz and the metric broadside_failure_alert say so."
    )
}

/// A sentence below a drawing, as wide as it.
pub(super) fn paragraph(sentence: &str) -> String {
    format!("  {}", wrap(sentence, INNER + 2).join("\n  "))
}

fn boxed(kind: &str, name: &str, content: &[String]) -> Vec<String> {
    let title = format!("─ {kind} {name} ");
    let mut lines = vec![format!("  ┌{title}{}┐", "─".repeat((INNER + 2).saturating_sub(title.chars().count())))];
    for line in content.iter().flat_map(|line| wrap(line, INNER)) {
        lines.push(format!("  │ {line}{} │", " ".repeat(INNER.saturating_sub(line.chars().count()))));
    }
    lines.push(format!("  └{}┘", "─".repeat(INNER + 2)));
    lines
}

fn arrow(label: &str) -> String {
    format!("       ▼ {label}").trim_end().to_owned()
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

fn count(number: usize) -> HumanCount {
    HumanCount(number as u64)
}

fn plural(number: usize, word: &str) -> String {
    format!("{} {word}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::parse;

    #[test]
    fn no_line_is_wider_than_80_columns_whatever_the_numbers() {
        let name = "a".repeat(40);
        let text = format!(
            "[source.generator]\n[[processor]]\nname = \"{name}\"\nconcurrency = 1024\nmax_demand = 100000\n\
             capacity = 1000000\nstages = [\"decode\", \"deduplicate\"]\n[[batcher]]\nname = \"db\"\nbatch_size = 100000\n\
             batch_bytes = 1000000000\neager = true\nbatch_timeout = \"59m 59s\"\npartition_by = \"solar_system\"\n\
             sink.database = {{}}\n[limits]\nin_flight_max = 1000000\n"
        );
        let definition = parse("kills", "kills.toml", &text, &|_| None).expect("sound");
        let drawn = format!("{}\n{}", topology(&definition), limits(&definition));
        assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
        assert!(drawn.contains("decode → deduplicate") && drawn.contains("──► sink database"), "{drawn}");
    }
}
