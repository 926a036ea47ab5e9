//! Which files: by path, by name, or all in a folder; and the shipped pipelines where there is no folder.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::environment::Lookup;
use super::problem::{Place, Problem, Problems, closest};
use super::{Definition, parse};

/// The folder that is looked in unless another is named.
pub const PIPELINES: &str = "pipelines";
/// No pipeline is that large; something else was named by mistake.
const BYTES_MAX: u64 = 1 << 20;

/// The pipelines that come with the program.
const SHIPPED: &[(&str, &str)] = &[
    ("kills", include_str!("../../pipelines/kills.toml")),
    ("market", include_str!("../../pipelines/market.toml")),
    ("prices", include_str!("../../pipelines/prices.toml")),
];

/// What was asked for.
#[derive(Debug)]
pub struct Selection {
    pub definitions: Vec<Definition>,
    /// There was no folder, so the pipelines that come with the program were taken.
    pub shipped: bool,
    /// They were asked for by name.
    named: bool,
    folder: PathBuf,
}

impl Selection {
    /// Leaves out those that are not enabled, unless they were asked for by name.
    ///
    /// # Errors
    /// None is left.
    pub fn enabled(mut self) -> Result<Self, Problems> {
        if !self.named {
            self.definitions.retain(|definition| definition.enabled);
        }
        if self.definitions.is_empty() {
            let folder = self.folder.display().to_string();
            return Err(Problem::whole(folder, "no pipeline in it is enabled").hint("name one").into());
        }
        Ok(self)
    }
}

/// Reads one file.
///
/// # Errors
/// It cannot be read, or everything that is wrong with it.
pub fn load(path: &Path, lookup: Lookup<'_>) -> Result<Definition, Problems> {
    let file = path.display().to_string();
    let text = read(path).map_err(|problem| Problem { file: file.clone(), ..problem })?;
    let name = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    parse(&name, &file, &text, lookup)
}

/// Stands for the text of every file that [`select`] would read; another one: something has changed. What cannot be read counts as empty.
#[must_use]
pub fn fingerprint(wanted: &[String], folder: Option<&Path>) -> u64 {
    let folder = folder.unwrap_or(Path::new(PIPELINES));
    let mut paths = all_in(folder).unwrap_or_default();
    paths.extend(wanted.iter().map(PathBuf::from));
    let mut hasher = DefaultHasher::new();
    for path in paths.into_iter().filter(|path| path.is_file()) {
        path.hash(&mut hasher);
        read_bytes(&path).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}

fn read(path: &Path) -> Result<String, Problem> {
    let problem = |message: String| Problem::whole("", message);
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => problem("there is no such file".into()),
        _ => problem(format!("failed to open it: {error}")),
    })?;
    if metadata.is_dir() {
        return Err(problem("this is a folder, not a file".into()).hint("name a file in it, or use --pipelines"));
    }
    if !metadata.is_file() {
        return Err(problem("this is not a regular file".into()));
    }
    let bytes = read_bytes(path).map_err(|error| problem(format!("failed to read it: {error}")))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(problem("it is larger than 1 MB: this is no pipeline file".into()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let place = Some(Place::of(&text, &(at..at + 1)));
        Problem { place, ..problem("this is not UTF-8 text".into()) }
    })
}

/// The pipelines that `wanted` names (files or names in `folder`); with nothing wanted, all in `folder`. Without the default folder: the shipped ones.
///
/// # Errors
/// Everything wrong in any of them.
pub fn select(wanted: &[String], folder: Option<&Path>, lookup: Lookup<'_>) -> Result<Selection, Problems> {
    let shipped = folder.is_none() && !Path::new(PIPELINES).is_dir();
    let folder = folder.unwrap_or(Path::new(PIPELINES));
    let results: Vec<Result<Definition, Problems>> = match (wanted.is_empty(), shipped) {
        (true, true) => SHIPPED.iter().map(|(name, text)| parse(name, &shipped_file(name), text, lookup)).collect(),
        (true, false) => all_in(folder)?.iter().map(|path| load(path, lookup)).collect(),
        (false, _) => wanted.iter().map(|wanted| one(wanted, folder, shipped, lookup)).collect(),
    };
    let mut definitions = Vec::new();
    let mut problems = Vec::new();
    for result in results {
        match result {
            Ok(definition) => definitions.push(definition),
            Err(found) => problems.extend(found.0),
        }
    }
    refuse_twins(&definitions, &mut problems);
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    Ok(Selection { definitions, shipped, named: !wanted.is_empty(), folder: folder.to_owned() })
}

fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn shipped_file(name: &str) -> String {
    format!("{PIPELINES}/{name}.toml (as shipped)")
}

fn one(wanted: &str, folder: &Path, shipped: bool, lookup: Lookup<'_>) -> Result<Definition, Problems> {
    if wanted.ends_with(".toml") || wanted.contains(['/', '\\']) {
        return load(Path::new(wanted), lookup);
    }
    let known: Vec<String> = if shipped {
        SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect()
    } else {
        let paths = all_in(folder)?;
        paths.iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect()
    };
    if !known.iter().any(|name| name == wanted) {
        let problem = Problem::whole(folder.display().to_string(), format!("there is no pipeline `{wanted}`"));
        let near = closest(wanted, known.iter().map(String::as_str));
        let hint =
            near.map_or_else(|| format!("there are: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
        return Err(problem.hint(hint).into());
    }
    match SHIPPED.iter().find(|(name, _)| shipped && *name == wanted) {
        Some((name, text)) => parse(name, &shipped_file(name), text, lookup),
        None => load(&folder.join(format!("{wanted}.toml")), lookup),
    }
}

fn all_in(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let refuse = |message: String| Problem::whole(folder.display().to_string(), message);
    let entries = std::fs::read_dir(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refuse("there is no such folder".into()),
        _ => refuse(format!("failed to list it: {error}")),
    })?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    if paths.is_empty() {
        return Err(refuse("there is no pipeline in it: no file ends in .toml".into()));
    }
    Ok(paths)
}

/// Two pipelines of one name would share metrics and checkpoints.
fn refuse_twins(definitions: &[Definition], problems: &mut Vec<Problem>) {
    for (index, definition) in definitions.iter().enumerate() {
        if definitions[..index].iter().any(|other| other.name == definition.name) {
            problems.push(Problem::whole(
                &definition.file,
                format!("another pipeline is called `{}` too", definition.name),
            ));
        }
    }
}
