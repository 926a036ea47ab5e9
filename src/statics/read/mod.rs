//! Reading static data: Fuzzwork's CSV in a folder, or the official JSON lines in their zip or unpacked in a folder.
//!
//! All of it is read and checked before anybody gets it, row by row: what descriptions and pictures there are is dropped at once. What a file may unpack
//! to is bounded. Blocking: from a thread that may wait.

mod draft;
mod fuzzwork;
mod input;
mod official;
mod problem;
mod tables;

use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use zip::ZipArchive;

use super::Statics;
use draft::Draft;
use input::{Counted, unpacked};
pub use problem::Problem;
use problem::broken;
pub use tables::Form;
use tables::Table;

/// Ends of the names of packed files.
const PACKED: [&str; 3] = ["", ".gz", ".bz2"];

/// Where static data are.
#[derive(Debug)]
pub struct Found {
    form: Form,
    path: PathBuf,
    tables: Vec<(Table, Place)>,
    absent: Vec<Absent>,
    bytes: u64,
}

/// Where one table is.
#[derive(Debug)]
enum Place {
    File(PathBuf),
    /// In the archive, by number.
    Entry(usize),
}

/// A table that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent {
    /// Its name in this form.
    pub table: &'static str,
    /// What is not known without it.
    pub gives: &'static str,
}

/// The files of Fuzzwork's folder: their names, and whether nothing is read without them.
pub fn fuzzwork_files() -> impl Iterator<Item = (&'static str, bool)> {
    Form::Fuzzwork.tables().iter().map(|(table, name)| (*name, table.is_needed()))
}

impl Found {
    /// Looks what is at a path: a folder of tables, or the official zip.
    ///
    /// # Errors
    /// There is nothing that could be read, or too much.
    pub fn at(path: &Path) -> Result<Self, Problem> {
        let shown = path.display().to_string();
        let metadata = fs::metadata(path).map_err(|error| Problem::of(&shown, broken(&error)))?;
        if metadata.is_dir() {
            return Self::in_folder(path, &shown);
        }
        let mut head = [0; 4];
        let begins = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
        if begins.is_ok() && head.starts_with(b"PK") {
            return Self::in_zip(path, metadata.len());
        }
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let why = if name.contains(".csv") || name.contains(".jsonl") {
            "one table alone is not enough: name the folder in which it lies with the others"
        } else {
            "it is neither a zip nor a folder of tables"
        };
        Err(Problem::of(shown, why))
    }

    fn in_folder(folder: &Path, shown: &str) -> Result<Self, Problem> {
        let all = [Form::Fuzzwork, Form::Official].map(|form| (form, files(folder, form)));
        let (form, tables) = match all {
            [(_, fuzzwork), (_, official)]
                if !fuzzwork.is_empty() && official.iter().any(|(t, _)| *t == Table::Types) =>
            {
                return Err(Problem::of(shown, "both Fuzzwork's tables and the official lines are there: leave one"));
            }
            [(form, fuzzwork), _] if !fuzzwork.is_empty() => (form, fuzzwork),
            [_, official] => official,
        };
        let mut bytes = 0;
        for pair in tables.windows(2) {
            if pair[0].0 == pair[1].0 {
                let why = format!("{} and {}: one too many", pair[0].1.display(), pair[1].1.display());
                return Err(Problem::of(shown, why));
            }
        }
        for (_, file) in &tables {
            bytes += fs::metadata(file).map_or(0, |metadata| metadata.len());
        }
        let tables = tables.into_iter().map(|(table, file)| (table, Place::File(file))).collect();
        Self::checked(form, folder, tables, bytes)
    }

    fn in_zip(path: &Path, bytes: u64) -> Result<Self, Problem> {
        let archive = archive(path, &Arc::default())?;
        let mut tables: Vec<(Table, Place)> = Vec::new();
        for at in 0..archive.len() {
            let Some(Ok(name)) = archive.name_for_index(at) else { continue };
            let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
            let names = |(_, table): &&(Table, &str)| name.strip_suffix(Form::Official.end()) == Some(table);
            let Some((table, _)) = Form::Official.tables().iter().find(names) else { continue };
            if tables.iter().any(|(other, _)| other == table) {
                return Err(Problem::of(path.display().to_string(), format!("{name} is in it twice")));
            }
            tables.push((*table, Place::Entry(at)));
        }
        tables.sort_by_key(|(table, _)| *table);
        Self::checked(Form::Official, path, tables, bytes)
    }

    fn checked(form: Form, path: &Path, tables: Vec<(Table, Place)>, bytes: u64) -> Result<Self, Problem> {
        let mut absent = Vec::new();
        for (table, name) in form.tables() {
            if tables.iter().any(|(other, _)| other == table) {
                continue;
            }
            if table.is_needed() {
                let packed = if form == Form::Fuzzwork { ", plain, .gz or .bz2" } else { "" };
                let why = format!("there is no {name}{} in it{packed}", form.end());
                return Err(Problem::of(path.display().to_string(), why));
            }
            absent.push(Absent { table: name, gives: table.gives() });
        }
        Ok(Self { form, path: path.to_owned(), tables, absent, bytes })
    }

    /// Whose form.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// What is not there.
    #[must_use]
    pub fn absent(&self) -> &[Absent] {
        &self.absent
    }

    /// Bytes of its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads all of it; `progress` counts the bytes.
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn read(&self, progress: &Arc<AtomicU64>) -> Result<Statics, Problem> {
        let mut draft = Draft::default();
        let mut zip = match self.tables.first() {
            Some((_, Place::Entry(_))) => Some(archive(&self.path, progress)?),
            _ => None,
        };
        for (table, place) in &self.tables {
            match (place, &mut zip) {
                (Place::Entry(at), Some(zip)) => {
                    let entry = zip.name_for_index(*at).and_then(Result::ok).unwrap_or_default();
                    let name = format!("{}, {entry}", self.path.display());
                    let entry = zip.by_index(*at).map_err(|error| Problem::of(&name, error.to_string()))?;
                    self.table(*table, &name, entry, &mut draft)?;
                }
                (Place::File(path), _) => {
                    let name = path.display().to_string();
                    let opened = Counted::open(path, progress).and_then(unpacked);
                    let bytes = opened.map_err(|error| Problem::of(&name, broken(&error)))?;
                    self.table(*table, &name, bytes, &mut draft)?;
                }
                (Place::Entry(_), None) => {}
            }
        }
        let statics = draft.finish();
        let empty = [("types", statics.types.is_empty()), ("solar systems", statics.systems.is_empty())];
        match empty.iter().find(|(_, is_empty)| *is_empty) {
            Some((what, _)) => Err(Problem::of(self.path.display().to_string(), format!("there are no {what} in it"))),
            None => Ok(statics),
        }
    }

    fn table(&self, table: Table, file: &str, bytes: impl Read, draft: &mut Draft) -> Result<(), Problem> {
        match self.form {
            Form::Fuzzwork => fuzzwork::read(table, file, bytes, draft),
            Form::Official => official::read(table, file, bytes, draft),
        }
    }
}

/// The files of a form's tables that are in a folder, in the order in which they are to be read.
fn files(folder: &Path, form: Form) -> Vec<(Table, PathBuf)> {
    let named = |name: &str| PACKED.map(|packed| folder.join(format!("{name}{}{packed}", form.end())));
    let there = |(table, name): &(Table, &str)| {
        named(name).into_iter().filter(|file| file.is_file()).map(|file| (*table, file)).collect::<Vec<_>>()
    };
    form.tables().iter().flat_map(there).collect()
}

fn archive(path: &Path, progress: &Arc<AtomicU64>) -> Result<ZipArchive<BufReader<Counted>>, Problem> {
    let name = path.display().to_string();
    let file = Counted::open(path, progress).map_err(|error| Problem::of(&name, broken(&error)))?;
    ZipArchive::new(BufReader::new(file)).map_err(|error| Problem::of(name, format!("it is no whole zip: {error}")))
}
