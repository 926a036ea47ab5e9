//! Reading static data: Fuzzwork's CSV in a folder, or the official JSON lines in their zip or unpacked in a folder; or one file of either, over what
//! is there already.
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
    /// It is one table's file, not all of them.
    is_alone: bool,
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

/// A table that is there without the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alone {
    /// Its name in its form.
    pub table: &'static str,
    /// What it takes the place of.
    pub gives: &'static str,
}

/// The name that the file of a table has without what it ends in, if it is such a file's.
#[must_use]
pub fn table_of(file: &str) -> Option<&'static str> {
    table_named(file).map(|(_, _, name)| name)
}

impl Found {
    /// Looks what is at a path: a folder of tables, the official zip, or the file of one table.
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
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        match table_named(&name) {
            Some((form, table, _)) => {
                let (absent, tables) = (Vec::new(), vec![(table, Place::File(path.to_owned()))]);
                Ok(Self { form, path: path.to_owned(), tables, absent, bytes: metadata.len(), is_alone: true })
            }
            None if is_web_page(path) => Err(Problem::of(shown, "it is a web page")),
            None => {
                Err(Problem::of(shown, "it is neither a zip, nor a folder of tables, nor a table (invTypes.csv, …)"))
            }
        }
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
            [_, (_, official)] if official.is_empty() => {
                let why = "neither Fuzzwork's tables (invTypes.csv, …, plain, .gz or .bz2) nor the official lines (types.jsonl, …) are in it";
                return Err(Problem::of(shown, why));
            }
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
        Ok(Self { form, path: path.to_owned(), tables, absent, bytes, is_alone: false })
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

    /// The one table that is there, where it is the file of one.
    #[must_use]
    pub fn alone(&self) -> Option<Alone> {
        let (table, _) = self.tables.first().filter(|_| self.is_alone)?;
        let (_, name) = self.form.tables().iter().find(|(other, _)| other == table)?;
        Some(Alone { table: name, gives: table.gives() })
    }

    /// Reads all of it; `progress` counts the bytes.
    ///
    /// # Errors
    /// The first thing that is wrong, and where. A table alone is not enough.
    pub fn read(&self, progress: &Arc<AtomicU64>) -> Result<Statics, Problem> {
        if self.is_alone {
            let why = "one table alone is not enough: name the folder in which it lies with the others";
            return Err(Problem::of(self.path.display().to_string(), why));
        }
        let mut draft = Draft::default();
        self.tables(&mut draft, progress)?;
        Ok(draft.finish())
    }

    /// Reads a table that is alone: what it gives takes the place of that in `imported`, and the rest of those stays. `told`: what its rows may refer
    /// to besides.
    ///
    /// # Errors
    /// The first thing that is wrong, and where: also what belonged to something that the table has no more.
    pub fn read_over(&self, imported: Statics, told: Statics, progress: &Arc<AtomicU64>) -> Result<Statics, Problem> {
        let Some((table, _)) = self.tables.first().filter(|_| self.is_alone) else { return self.read(progress) };
        let problem = |why: String| Problem::of(self.path.display().to_string(), why);
        if imported.is_empty() {
            let why = "one table alone takes the place of what an import brought of it, and there was none: import the official zip, or the folder in \
                which it lies with the others, first";
            return Err(problem(why.to_owned()));
        }
        let mut draft = Draft::over(*table, imported, told);
        self.tables(&mut draft, progress)?;
        match draft.orphan(*table) {
            Some(why) => Err(problem(format!("{why}: import it with the others, as a folder or zip"))),
            None => Ok(draft.finish()),
        }
    }

    fn tables(&self, draft: &mut Draft, progress: &Arc<AtomicU64>) -> Result<(), Problem> {
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
                    self.table(*table, &name, entry, draft)?;
                }
                (Place::File(path), _) => {
                    let name = path.display().to_string();
                    let opened = Counted::open(path, progress).and_then(unpacked);
                    let bytes = opened.map_err(|error| Problem::of(&name, broken(&error)))?;
                    self.table(*table, &name, bytes, draft)?;
                }
                (Place::Entry(_), None) => {}
            }
        }
        Ok(())
    }

    fn table(&self, table: Table, file: &str, bytes: impl Read, draft: &mut Draft) -> Result<(), Problem> {
        let rows = match self.form {
            Form::Fuzzwork => fuzzwork::read(table, file, bytes, draft),
            Form::Official => official::read(table, file, bytes, draft),
        }?;
        // Tables that may be absent may be empty too, unless one is all that there is.
        let is_empty = (table.is_needed() || self.is_alone) && (rows == 0 || draft.lacks(table));
        if is_empty { Err(Problem::of(file, format!("there are no {} in it", table.gives()))) } else { Ok(()) }
    }
}

/// What servers answer that have something else to say.
fn is_web_page(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(64).read_to_end(&mut head));
    let head = head.trim_ascii_start().to_ascii_lowercase();
    read.is_ok() && (head.starts_with(b"<!doctype html") || head.starts_with(b"<html"))
}

/// Whose the file of this name is: a table's, in one of the forms.
fn table_named(file: &str) -> Option<(Form, Table, &'static str)> {
    let forms = [Form::Fuzzwork, Form::Official].into_iter();
    let mut all = forms.flat_map(|form| form.tables().iter().map(move |(table, name)| (form, *table, *name)));
    all.find(|(form, _, name)| PACKED.iter().any(|packed| format!("{name}{}{packed}", form.end()) == file))
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
