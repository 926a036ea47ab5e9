//! `check`: what is wrong with pipeline files; what the sound ones look like and what their limits mean.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use broadside_engine::{Demand, Factory};
use metrics_exporter_prometheus::PrometheusHandle;

use super::opening::open_store;
use super::worker::{check_sources, prices_of_two_kinds, resources};
use super::{Database, drawing, print};
use crate::definition::{Definition, Problems, environment, select};
use crate::record::Typed;
use crate::resources::Resources;
use crate::settings::Settings;
use crate::telemetry;

/// How long a source has to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Check pipeline files, and draw them.
///
/// Says everything that is wrong, with file, line, column and a hint. Nothing is started.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside check
  broadside check pipelines/kills.toml --connect")]
pub struct Args {
    /// Files, or names of pipelines in the folder; none: all in the folder.
    #[arg(value_name = "FILE or NAME")]
    pub wanted: Vec<String>,
    /// The folder with pipeline files [default: pipelines, or the shipped ones where there is none].
    #[arg(long, value_name = "DIR")]
    pub pipelines: Option<PathBuf>,
    /// Also try every source and the database.
    #[arg(long)]
    pub connect: bool,
    #[command(flatten)]
    pub database: Database,
}

/// Checks, draws, and tries connections when asked.
///
/// # Errors
/// Everything that is wrong.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    let selection = select(&args.wanted, args.pipelines.as_deref(), &environment::process)?;
    let mut text = String::new();
    if selection.shipped {
        text.push_str("There is no folder pipelines here: these come with the program.\n\n");
    }
    for definition in &selection.definitions {
        let enabled = if definition.enabled { "" } else { ", not enabled" };
        text.push_str(&format!("{} ({}{enabled})\n", definition.name, definition.file));
        text.push_str(&format!("{}\n{}\n", drawing::topology(definition), drawing::limits(definition)));
        if let Err(problem) = definition.check_source(settings.contact.as_deref()) {
            let sentence = format!("Not ready to run yet: {}.", problem.message);
            text.push_str(&format!("{}\n", drawing::paragraph(&sentence)));
        }
        for lacking in definition.stages.iter().filter_map(crate::stages::Config::lacks) {
            text.push_str(&format!("{}\n", drawing::paragraph(&lacking)));
        }
        text.push('\n');
    }
    print(&text);
    if let Some(problem) = prices_of_two_kinds(&selection.definitions) {
        return Err(Problems(vec![problem]).into());
    }
    if !args.connect {
        return Ok(ExitCode::SUCCESS);
    }
    check_sources(&selection.definitions, &settings)?;
    connect(&selection.definitions, &args.database.url, &settings).await
}

async fn connect(definitions: &[Definition], database: &str, settings: &Settings) -> anyhow::Result<ExitCode> {
    let metrics = telemetry::install_metrics()?;
    let store = open_store(database, false).await?;
    store.ping().await.map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    print("database: answers, and its tables are up to date");
    let resources = resources(store.clone(), settings, false);
    let mut code = ExitCode::SUCCESS;
    for definition in definitions {
        match try_source(definition, &resources, &metrics).await {
            Ok(found) => print(&format!("{}: source {}: {found}", definition.name, definition.source.name())),
            Err(error) => {
                eprintln!("broadside: {}: source {}: {error}", definition.name, definition.source.name());
                code = ExitCode::from(1);
            }
        }
    }
    store.close().await;
    Ok(code)
}

/// Pulls until the source says that it is connected, or until it hands something out. What it hands out is dropped unsettled.
async fn try_source(
    definition: &Definition,
    resources: &Resources,
    metrics: &PrometheusHandle,
) -> Result<&'static str, String> {
    match definition.source.build(&definition.name, resources)? {
        Typed::Kills(factory) => try_factory(definition, &*factory, metrics).await,
        Typed::Pages(factory) => try_factory(definition, &*factory, metrics).await,
        // What it brings is in the database, and a pull might take the job on.
        Typed::Products(_) => Ok("rests until the job is started"),
    }
}

async fn try_factory<T>(
    definition: &Definition,
    factory: &dyn Factory<T>,
    metrics: &PrometheusHandle,
) -> Result<&'static str, String> {
    let mut source = factory.build(0).await.map_err(|failure| failure.to_string())?;
    let mut demand = Demand::of(1);
    let connected = format!(
        "broadside_source_connected{{pipeline=\"{}\",source=\"{}\"}} 1",
        definition.name,
        definition.source.name()
    );
    let watch = async {
        let mut every = tokio::time::interval(Duration::from_millis(50));
        while !metrics.render().contains(&connected) {
            every.tick().await;
        }
    };
    let found = tokio::select! {
        pulled = source.pull(&mut demand) => pulled.map(|_| "answers").map_err(|failure| failure.to_string()),
        () = watch => Ok("connected"),
        () = tokio::time::sleep(CONNECT_TIMEOUT) => Err(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
    };
    source.close().await;
    found
}
