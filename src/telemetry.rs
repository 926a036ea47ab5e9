//! Logs and metrics: how they are set up, and the one table of every metric there is.
//!
//! [`METRICS`] is the contract with dashboards and alerts: names, labels and units are in it, and nothing is emitted that is not.
//! Labels are bounded: a name from a definition, a word from a fixed list, never the id of a kill, a character or a client.
//!
//! Whatever a log line quotes may be made by players: control characters in it are escaped, so that it can neither steer a terminal nor
//! pose as a line of its own. (The library does this for messages and `?` fields only.)

mod table;

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio_util::sync::CancellationToken;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

pub use table::{Kind, METRICS, Metric, Unit};

use Kind::{Counter, Gauge, Histogram};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people; coloured on a terminal unless `NO_COLOR` is set.
    #[default]
    Text,
    /// One object a line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(Error::Format(other.to_owned())),
        }
    }
}

/// Why logs or metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read the log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("read the log format `{0}`: it is text or json")]
    Format(String),
    #[error("install the log subscriber: another one is installed")]
    Installed,
    #[error("install the metrics recorder: {0}")]
    Metrics(#[from] BuildError),
}

/// Sends logs to standard error. `filter` is `info`, or directives such as `info,broadside::http=debug`.
///
/// # Errors
/// The filter cannot be read, or logs are installed already.
pub fn init_logs(filter: &str, format: LogFormat) -> Result<(), Error> {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let color = std::io::stderr().is_terminal() && !no_color;
    let subscriber = subscriber(filter, format, color, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::Installed)
}

fn subscriber<W>(
    filter: &str,
    format: LogFormat,
    color: bool,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(color).with_writer(writer);
    Ok(match format {
        LogFormat::Text => Box::new(builder.fmt_fields(debug_fn(field).delimited(" ")).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn std::fmt::Debug) -> std::fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    for c in format!("{value:?}").chars() {
        // The others turn the direction of writing, which lets text lie about its order.
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            write!(writer, "{}", c.escape_default())?;
        } else {
            writer.write_char(c)?;
        }
    }
    Ok(())
}

/// Five steps a decade, so that a p99 read from the buckets is at most a quarter off. In seconds.
const SECONDS: &[f64] = &[
    0.0001, 0.00016, 0.00025, 0.0004, 0.00063, 0.001, 0.0016, 0.0025, 0.004, 0.0063, 0.01, 0.016, 0.025, 0.04, 0.063,
    0.1, 0.16, 0.25, 0.4, 0.63, 1.0, 1.6, 2.5, 4.0, 6.3, 10.0, 16.0, 25.0, 40.0, 60.0,
];

/// A stage has a message done in less.
const STAGE_BELOW: &[f64] = &[1e-6, 1.6e-6, 2.5e-6, 4e-6, 6.3e-6, 1e-5, 1.6e-5, 2.5e-5, 4e-5, 6.3e-5];

/// A kill may be days old when a feed first has it.
const LAG_BEYOND: &[f64] = &[100.0, 160.0, 250.0, 400.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0, 604_800.0];

const BATCH_SIZE: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0, 50_000.0];

/// Installs the process's metrics recorder, with buckets and a HELP text for every row of [`METRICS`].
///
/// Before any pipeline starts: what takes a histogram earlier records to nowhere.
///
/// The recorder keeps histogram samples aside until they are rendered or [`upkeep`] runs: without a scraper, run that.
///
/// # Errors
/// Another recorder is installed.
pub fn install_metrics() -> Result<PrometheusHandle, Error> {
    let recorder = recorder()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(BuildError::from)?;
    describe();
    count_from_zero();
    Ok(handle)
}

/// What an alert watches for growth is there from the start: of a counter that appears with its first event, Prometheus cannot see that it grew.
fn count_from_zero() {
    for result in ["refused", "failed"] {
        metrics::counter!("broadside_reloads_total", "result" => result).increment(0);
    }
    metrics::counter!("broadside_dead_letters_expired_total", "reason" => "size_open").increment(0);
}

/// The recorder by itself, not installed.
fn recorder() -> Result<PrometheusRecorder, Error> {
    let lag: Vec<f64> = SECONDS.iter().chain(LAG_BEYOND).copied().collect();
    let stage: Vec<f64> = STAGE_BELOW.iter().chain(SECONDS).copied().collect();
    let recorder = PrometheusBuilder::new()
        .set_buckets(SECONDS)?
        .set_buckets_for_metric(Matcher::Full("broadside_stage_seconds".into()), &stage)?
        .set_buckets_for_metric(Matcher::Full("broadside_profile_match_seconds".into()), &stage)?
        .set_buckets_for_metric(Matcher::Full("broadside_source_lag_seconds".into()), &lag)?
        .set_buckets_for_metric(Matcher::Full("broadside_batch_size".into()), BATCH_SIZE)?
        .build_recorder();
    Ok(recorder)
}

/// Tells the current recorder every metric's HELP text.
fn describe() {
    for m in METRICS {
        match m.kind {
            Counter => metrics::describe_counter!(m.name, m.help),
            Gauge => metrics::describe_gauge!(m.name, m.help),
            Histogram => metrics::describe_histogram!(m.name, m.help),
        }
    }
}

/// Every metric as Prometheus text, version 0.0.4.
///
/// Counters of the `metrics` facade are whole numbers, so counters in seconds are kept as gauges; here they are called what they are.
#[must_use]
pub fn render(handle: &PrometheusHandle) -> String {
    let mut text = handle.render();
    for m in METRICS.iter().filter(|m| m.kind == Counter && m.unit == Unit::Seconds) {
        text = text.replace(&format!("# TYPE {} gauge\n", m.name), &format!("# TYPE {} counter\n", m.name));
    }
    text
}

/// Folds histogram samples into their buckets every few seconds, until `stop`. Whoever serves the metrics owns the task.
pub async fn upkeep(handle: PrometheusHandle, stop: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        handle.run_upkeep();
    }
}

/// Resident memory of this process, where the system tells (Linux).
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    kilobytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic while held").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Captured {
        fn of(format: LogFormat, log: impl FnOnce()) -> String {
            let captured = Self::default();
            let writer = captured.clone();
            let subscriber = subscriber("info", format, false, move || writer.clone()).expect("the filter is valid");
            tracing::subscriber::with_default(subscriber, log);
            let bytes = captured.0.lock().expect("no panic while held").clone();
            String::from_utf8(bytes).expect("logs are text")
        }
    }

    #[test]
    fn player_made_text_can_neither_steer_the_terminal_nor_pose_as_a_line() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let lines = Captured::of(format, || {
                let name = "\u{1b}[2Jpilot\nfake line \u{202e}\u{9b}";
                tracing::info!(name, debug = ?name, shown = %name, "kill {name}");
                tracing::debug!("not shown");
            });
            assert_eq!(lines.lines().count(), 1, "{lines:?}");
            assert!(!lines.contains('\u{1b}'), "{lines:?}");
            assert!(format == LogFormat::Json || !lines.contains(['\u{202e}', '\u{9b}']), "{lines:?}");
            assert!(lines.contains("pilot") && !lines.contains("not shown"), "{lines}");
        }
    }

    #[test]
    fn json_logs_are_one_object_a_line() {
        let lines = Captured::of(LogFormat::Json, || {
            tracing::info!(pipeline = "kills", "first");
            tracing::warn!("second\nstill second");
        });
        let parsed: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        assert_eq!(parsed.len(), 2);
        assert_eq!((&parsed[0]["pipeline"], &parsed[0]["message"]), (&"kills".into(), &"first".into()));
    }

    #[test]
    fn a_bad_filter_or_format_is_refused() {
        assert!(subscriber("broadside=loud", LogFormat::Text, false, std::io::sink).is_err());
        assert!("yaml".parse::<LogFormat>().is_err());
        assert_eq!("json".parse::<LogFormat>().ok(), Some(LogFormat::Json));
    }

    #[test]
    fn every_metric_keeps_to_the_naming_rules() {
        let mut seen = HashSet::new();
        for m in METRICS {
            assert!(seen.insert(m.name), "{} stands twice", m.name);
            assert!(m.name.starts_with("broadside_"), "{}", m.name);
            assert_eq!(m.kind == Counter, m.name.ends_with("_total"), "{}", m.name);
            let base = m.name.trim_end_matches("_total");
            assert_eq!(m.unit == Unit::Seconds, base.ends_with("_seconds"), "{}", m.name);
            assert_eq!(m.unit == Unit::Ratio, base.ends_with("_ratio"), "{}", m.name);
            assert_eq!(m.unit == Unit::Bytes, base.ends_with("_bytes"), "{}", m.name);
            assert!(m.help.ends_with('.') && m.help.len() > 10, "{}", m.name);
            let bounded = "pipeline source outcome result group stage batcher trigger state cache service status decision reason region quality change field \
                kind market why route version";
            assert!(m.labels.iter().all(|label| bounded.split(' ').any(|b| b == *label)), "{}", m.name);
        }
    }

    #[test]
    fn durations_have_four_buckets_a_decade_from_100_microseconds_to_a_minute() {
        assert_eq!((SECONDS.first(), SECONDS.last()), (Some(&1e-4), Some(&60.0)));
        for decade in -4..1_i32 {
            let (low, high) = (10_f64.powi(decade), 10_f64.powi(decade + 1) * 0.99);
            assert!(SECONDS.iter().filter(|s| (low * 0.99..high).contains(*s)).count() >= 4, "1e{decade}");
        }
    }

    #[test]
    fn every_metric_renders_with_help_and_type_once_it_has_a_value() {
        let recorder = recorder().expect("the buckets are not empty");
        metrics::with_local_recorder(&recorder, || {
            describe();
            assert_eq!(recorder.handle().render().trim(), "", "nothing is shown before it has a value");
            for m in METRICS {
                let labels: Vec<metrics::Label> = m.labels.iter().map(|l| metrics::Label::new(*l, "x")).collect();
                match m.kind {
                    Counter => metrics::counter!(m.name, labels).increment(1),
                    Gauge => metrics::gauge!(m.name, labels).set(1.0),
                    Histogram => metrics::histogram!(m.name, labels).record(0.3),
                }
            }
        });
        let text = recorder.handle().render();
        for m in METRICS {
            assert!(text.contains(&format!("# HELP {} {}\n", m.name, m.help)), "{}", m.name);
            let kind = format!("{:?}", m.kind).to_lowercase();
            assert!(text.contains(&format!("# TYPE {} {kind}\n", m.name)), "{}", m.name);
        }
        assert!(text.contains("le=\"0.00016\"") && !text.contains("quantile="));
    }
}
