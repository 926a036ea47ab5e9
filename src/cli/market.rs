//! `market`: where each region of the market stands, and regions added to and taken from a running worker.

mod view;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use self::view::Status;
use super::opening::open_store;
use super::text::clean;
use super::{Database, Usage, print};
use crate::clients::address;
use crate::clients::worker::{Error, Worker};
use crate::settings::{LISTEN, Settings};
use crate::store::Swept;

/// Regions of the market: where each stands; add and remove them while the worker runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  broadside market status
  broadside market add \"The Forge\"
  broadside market remove 10000002 --worker http://127.0.0.1:4010")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// The running worker: its address, or its URL [default: http://127.0.0.1:4010].
    #[arg(long, global = true, value_name = "URL", env = "BROADSIDE_LISTEN")]
    pub worker: Option<String>,
    #[command(flatten)]
    pub database: Database,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show every region, those that fail first. With no worker running: what the database knows.
    #[command(
        after_help = "Columns: 304 is the share of the pages asked for that were as they had been; TOOK, AGO: the last sweep;
NEXT: until the next is due; RST: how often the region's poller was started again after a crash.

Example:
  broadside market status --json"
    )]
    Status(Show),
    /// Poll one more region, until the worker is started again.
    #[command(after_help = "Example:
  broadside market add 10000002")]
    Add(Region),
    /// Poll a region no more, until the worker is started again.
    #[command(after_help = "Example:
  broadside market remove \"The Forge\"")]
    Remove(Region),
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Region {
    /// Its id, or its name.
    #[arg(value_name = "REGION")]
    pub region: String,
}

/// Does what the arguments say.
///
/// # Errors
/// The worker refuses, or is not there and is needed; or neither worker nor database is there.
pub async fn run(args: Args, settings: Settings) -> anyhow::Result<ExitCode> {
    let url = url(args.worker.as_deref());
    let worker = Worker::new(&url, settings.contact.as_deref(), settings.api_token.as_deref());
    let worker = worker.map_err(|error| Usage(format!("failed to {error}")))?;
    match &args.command {
        Command::Status(show) => status(&worker, &url, &args.database, show).await?,
        Command::Add(wanted) => {
            let answer = worker.add_region(&wanted.region).await.map_err(|error| failed(&url, &error))?;
            print(&said("added", &answer));
        }
        Command::Remove(wanted) => {
            let id = id(&worker, &wanted.region).await.map_err(|error| failed(&url, &error))?;
            let Some(id) = id else {
                anyhow::bail!("the worker polls no region {}", clean(&wanted.region, false));
            };
            let answer = worker.remove_region(id).await.map_err(|error| failed(&url, &error))?;
            print(&said("removed", &answer));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// From an address to listen on, too: one that means every interface is asked on this machine.
pub(super) fn url(worker: Option<&str>) -> String {
    let worker = worker.map(str::trim).filter(|worker| !worker.is_empty());
    let Some(worker) = worker else { return format!("http://{LISTEN}") };
    match worker.parse::<SocketAddr>() {
        Ok(address) => {
            let ip = match address.ip() {
                IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
                ip => ip,
            };
            format!("http://{}", SocketAddr::new(ip, address.port()))
        }
        Err(_) if worker.contains("://") => worker.to_owned(),
        Err(_) => format!("http://{worker}"),
    }
}

async fn status(worker: &Worker, url: &str, database: &Database, show: &Show) -> anyhow::Result<()> {
    let status = match worker.market().await {
        Ok(answer) => Status::of(&answer),
        Err(error) if error.is_away() => {
            let reason = clean(&error.to_string(), false);
            let away = format!("no worker at {}: failed to {reason}", address::shown(url));
            let answer = stored(&database.url).await.with_context(|| away.clone())?;
            eprintln!("{away}; this is what the database knows");
            Status::of(&answer)
        }
        Err(error) => return Err(failed(url, &error)),
    };
    if show.json {
        status.regions().for_each(|region| print(&region.to_string()));
    } else {
        print(&status.page(Timestamp::now()));
    }
    Ok(())
}

/// In the form of the worker's answer, as far as the database knows it. Nothing is due while no worker runs: `not_before` says from when on a region may be read.
async fn stored(url: &str) -> anyhow::Result<Value> {
    let path = url.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    let path = path.map(|path| path.split('?').next().unwrap_or_default());
    // A database that is not there would be made.
    if let Some(path) = path.filter(|path| *path != ":memory:" && !Path::new(path).exists()) {
        anyhow::bail!("there is no database {path}");
    }
    let store = open_store(url, false).await?;
    let regions = store.market_regions().await;
    store.close().await;
    let regions = regions.map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    Ok(json!({"regions": regions.iter().map(row).collect::<Vec<_>>()}))
}

fn row(swept: &Swept) -> Value {
    let Swept { region, name, not_before, swept_at, sweep_seconds, pages, orders, quality } = swept;
    let last = swept_at.map(|at| json!({"ended_at": at, "seconds": sweep_seconds, "quality": quality.as_str()}));
    json!({
        "region_id": region,
        "name": name,
        "pages": pages,
        "orders": orders,
        "last_sweep": last,
        "not_before": not_before,
    })
}

/// A region's id, by what the operator calls it.
async fn id(worker: &Worker, region: &str) -> Result<Option<i64>, Error> {
    if let Ok(id) = region.trim().parse() {
        return Ok(Some(id));
    }
    let status = Status::of(&worker.market().await?);
    Ok(status.id_of(region.trim()))
}

fn said(done: &str, answer: &Value) -> String {
    let text = |name: &str| clean(answer[name].as_str().unwrap_or_default(), false);
    let (id, name) = (&answer["region_id"], text("name"));
    let named = if name.is_empty() { format!("region {id}") } else { format!("{name} ({id})") };
    format!("{done} {named}\n{}", text("note"))
}

pub(super) fn failed(url: &str, error: &Error) -> anyhow::Error {
    let reason = clean(&error.to_string(), false);
    anyhow::anyhow!("the worker at {}: failed to {reason}", address::shown(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_found_by_its_url_or_by_what_it_listens_on() {
        for (given, expected) in [
            (None, "http://127.0.0.1:4010"),
            (Some(" "), "http://127.0.0.1:4010"),
            (Some("0.0.0.0:80"), "http://127.0.0.1:80"),
            (Some("[::]:80"), "http://[::1]:80"),
            (Some("10.0.0.7:80"), "http://10.0.0.7:80"),
            (Some("worker:4010"), "http://worker:4010"),
            (Some("https://worker.example.com/broadside"), "https://worker.example.com/broadside"),
        ] {
            assert_eq!(url(given), expected);
        }
    }
}
