//! Static data from an address, into a folder that goes when the import has ended.

use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::HumanBytes;

use crate::cli::Usage;
use crate::cli::progress::Progress;
use crate::clients::address;
use crate::clients::published::Published;
use crate::statics::read::{fuzzwork_files, table_of};

/// What an address leads to.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    /// The folder.
    base: String,
    /// The one file in it that is meant, with its query, and what it is to be called here; `None`: Fuzzwork's tables.
    file: Option<(String, String)>,
}

/// Whether the argument is an address.
pub(super) fn is_address(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://")
}

fn parse(text: &str) -> Address {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let one = path.rsplit_once('/').and_then(|(base, file)| {
        let is_zip = file.to_ascii_lowercase().ends_with(".zip");
        // A table is known by its name.
        let here = if is_zip { "static-data.zip" } else { table_of(file).map(|_| file)? };
        let route = query.map_or_else(|| file.to_owned(), |query| format!("{file}?{query}"));
        Some(Address { base: base.to_owned(), file: Some((route, here.to_owned())) })
    });
    one.unwrap_or_else(|| Address { base: text.to_owned(), file: None })
}

/// Downloads what the address leads to; answers the file or folder to read.
pub(super) async fn fetch(text: &str, contact: Option<&str>, folder: &Path) -> anyhow::Result<PathBuf> {
    let Address { base, file } = parse(text);
    let published = Published::new(&base, contact).map_err(|error| Usage(format!("failed to {error}")))?;
    let all = async {
        match &file {
            Some((route, name)) => {
                let into = folder.join(name);
                published.fetch(route, &into).await.map_err(|error| anyhow::anyhow!("failed to {error}"))?;
                Ok(into)
            }
            None => tables(&published, text, folder).await.map(|()| folder.to_owned()),
        }
    };
    let mut progress = Progress::new(None);
    let mut every = tokio::time::interval(progress.every());
    let mut all = std::pin::pin!(all);
    let fetched = loop {
        tokio::select! {
            fetched = &mut all => break fetched,
            _ = every.tick() => progress.show(0, &format!("downloading {}: {}", address::shown(text), HumanBytes(bytes(folder)))),
        }
    };
    progress.finish();
    fetched
}

/// Every table that is there, packed or not.
async fn tables(published: &Published, text: &str, folder: &Path) -> anyhow::Result<()> {
    for (table, is_needed) in fuzzwork_files() {
        let mut came = Ok(());
        for end in [".csv.bz2", ".csv"] {
            let file = format!("{table}{end}");
            came = published.fetch(&file, &folder.join(&file)).await;
            if !came.as_ref().is_err_and(|error| error.is_absence()) {
                break;
            }
        }
        match came {
            Err(error) if error.is_absence() && !is_needed => {}
            came => came
                .map_err(|error| anyhow::anyhow!("failed to {error}"))
                .with_context(|| format!("{} is no folder of Fuzzwork's tables", address::shown(text)))?,
        }
    }
    Ok(())
}

/// What the folder holds by now.
fn bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_a_zip_or_of_a_table_or_of_a_folder() {
        let of = |base: &str, file: Option<(&str, &str)>| Address {
            base: base.to_owned(),
            file: file.map(|(route, name)| (route.to_owned(), name.to_owned())),
        };
        let zip = Some(("latest-jsonl.zip", "static-data.zip"));
        assert_eq!(parse("https://a.example/x/latest-jsonl.zip"), of("https://a.example/x", zip));
        let zip = Some(("l.ZIP?v=a/b.zip", "static-data.zip"));
        assert_eq!(parse("https://a.example/l.ZIP?v=a/b.zip"), of("https://a.example", zip));
        let table = Some(("invTypes.csv.bz2?v=1", "invTypes.csv.bz2"));
        assert_eq!(parse("http://a.example/dump/invTypes.csv.bz2?v=1"), of("http://a.example/dump", table));
        for folder in ["http://a.example/dump/latest/", "http://a.example/dump/trnSomething.csv"] {
            assert_eq!(parse(folder), of(folder, None));
        }
        assert!(is_address("HTTPS://a.example") && !is_address("./https"));
    }
}
