//! Fuzzwork's tables: CSV with a line of names first; `None`, or nothing, where there is no value. Columns are found by their names: they may come in
//! any order, and others between them.

use std::io::Read;

use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};

use super::draft::{Draft, Role, TypeRow, Unfit};
use super::input::{Allowance, Bounded};
use super::problem::{Problem, broken, quoted};
use super::tables::Table;

/// The columns that a table must have.
fn columns(table: Table) -> &'static [(Role, &'static str)] {
    match table {
        Table::Categories => &[(Role::Id, "categoryID"), (Role::Name, "categoryName")],
        Table::Groups => &[(Role::Id, "groupID"), (Role::Category, "categoryID"), (Role::Name, "groupName")],
        Table::MetaGroups => &[(Role::Id, "metaGroupID"), (Role::Name, "metaGroupName")],
        Table::Types => &[
            (Role::Id, "typeID"),
            (Role::Group, "groupID"),
            (Role::Name, "typeName"),
            (Role::Mass, "mass"),
            (Role::Volume, "volume"),
            (Role::BasePrice, "basePrice"),
            (Role::Published, "published"),
            (Role::MarketGroup, "marketGroupID"),
        ],
        Table::MetaTypes => &[(Role::Id, "typeID"), (Role::MetaGroup, "metaGroupID")],
        Table::Effects | Table::Dogma => &[(Role::Id, "typeID"), (Role::Effect, "effectID")],
        Table::Attributes => &[
            (Role::Id, "typeID"),
            (Role::Attribute, "attributeID"),
            (Role::Whole, "valueInt"),
            (Role::Value, "valueFloat"),
        ],
        Table::Regions => &[(Role::Id, "regionID"), (Role::Name, "regionName")],
        Table::Constellations => {
            &[(Role::Id, "constellationID"), (Role::Region, "regionID"), (Role::Name, "constellationName")]
        }
        Table::Systems => &[
            (Role::Id, "solarSystemID"),
            (Role::Constellation, "constellationID"),
            (Role::Region, "regionID"),
            (Role::Name, "solarSystemName"),
            (Role::Security, "security"),
        ],
    }
}

/// Reads a table into the draft; answers how many rows it has.
pub(super) fn read(table: Table, file: &str, bytes: impl Read, draft: &mut Draft) -> Result<u64, Problem> {
    let (bytes, record) = Bounded::new(bytes);
    let mut rows = Rows::begin(table, file, bytes, record)?;
    if table == Table::Attributes {
        draft.expect_attributes();
    }
    let mut count = 0;
    while let Some(row) = rows.next()? {
        take(table, &row, draft).map_err(|unfit| row.problem(file, &unfit))?;
        count += 1;
    }
    Ok(count)
}

fn take(table: Table, row: &Row<'_>, draft: &mut Draft) -> Result<(), Unfit> {
    let id = row.id(Role::Id)?;
    match table {
        Table::Categories => draft.category(id, row.text(Role::Name)),
        Table::Groups => draft.group(id, row.id(Role::Category)?, row.text(Role::Name)),
        Table::MetaGroups => draft.meta_group(id, row.text(Role::Name)),
        Table::Types => draft.item_type(&TypeRow {
            id,
            group: row.id(Role::Group)?,
            name: row.text(Role::Name),
            mass: row.number(Role::Mass)?,
            volume: row.number(Role::Volume)?,
            base_price: row.number(Role::BasePrice)?,
            is_published: row.flag(Role::Published)?,
            market_group: row.whole(Role::MarketGroup)?,
            ..TypeRow::default()
        }),
        Table::MetaTypes => draft.meta_group_of(id, row.whole(Role::MetaGroup)?),
        Table::Effects | Table::Dogma => draft.effect(id, row.id(Role::Effect)?),
        Table::Attributes => {
            let (whole, value) = (row.number(Role::Whole)?, row.number(Role::Value)?);
            let none = || Unfit::new(Role::Value, "there is no value");
            draft.attribute(id, row.id(Role::Attribute)?, value.or(whole).ok_or_else(none)?)
        }
        Table::Regions => draft.region(id, row.text(Role::Name)),
        Table::Constellations => draft.constellation(id, row.id(Role::Region)?, row.text(Role::Name)),
        Table::Systems => {
            let none = || Unfit::new(Role::Security, "there is no value");
            let security = row.number(Role::Security)?.ok_or_else(none)?;
            draft.system(id, (row.id(Role::Constellation)?, row.id(Role::Region)?), row.text(Role::Name), security)
        }
    }
}

/// The rows of a table.
struct Rows<'f, R> {
    file: &'f str,
    reader: Reader<R>,
    allowance: Allowance,
    names: Vec<String>,
    /// Where each of the columns stands.
    places: Vec<(Role, usize)>,
    record: StringRecord,
}

impl<'f, R: Read> Rows<'f, R> {
    fn begin(table: Table, file: &'f str, bytes: R, allowance: Allowance) -> Result<Self, Problem> {
        let mut reader = ReaderBuilder::new().has_headers(true).from_reader(bytes);
        let header = reader.headers().cloned();
        let mut rows =
            Self { file, reader, allowance, names: Vec::new(), places: Vec::new(), record: StringRecord::new() };
        let header = header.map_err(|error| rows.problem(&error))?;
        rows.names = header.iter().map(|name| name.trim().to_owned()).collect();
        for (role, wanted) in columns(table) {
            let Some(at) = rows.names.iter().position(|name| name.eq_ignore_ascii_case(wanted)) else {
                let why = "there is no such column".to_owned();
                let column = Some((*wanted).to_owned());
                return Err(Problem { file: file.to_owned(), line: Some(1), column, why });
            };
            rows.places.push((*role, at));
        }
        Ok(rows)
    }

    fn next(&mut self) -> Result<Option<Row<'_>>, Problem> {
        self.allowance.renew();
        match self.reader.read_record(&mut self.record) {
            Ok(true) => Ok(Some(Row { record: &self.record, names: &self.names, places: &self.places })),
            Ok(false) => Ok(None),
            Err(error) => Err(self.problem(&error)),
        }
    }

    fn problem(&self, error: &csv::Error) -> Problem {
        let line = error.position().map_or_else(|| self.reader.position().line(), csv::Position::line);
        let mut problem = Problem { line: Some(line), ..Problem::of(self.file, "") };
        problem.why = match error.kind() {
            ErrorKind::Io(error) => broken(error),
            ErrorKind::Utf8 { err, .. } => {
                problem.column =
                    Some(self.names.get(err.field()).cloned().unwrap_or_else(|| (err.field() + 1).to_string()));
                "it is not UTF-8".to_owned()
            }
            ErrorKind::UnequalLengths { expected_len, len, .. } => {
                problem.column = Some(self.names.get(*len as usize).cloned().unwrap_or_else(|| len.to_string()));
                format!("{len} values for {expected_len} columns")
            }
            _ => error.to_string(),
        };
        problem
    }
}

/// One row, its values by their roles.
struct Row<'r> {
    record: &'r StringRecord,
    names: &'r [String],
    places: &'r [(Role, usize)],
}

impl<'r> Row<'r> {
    fn place(&self, role: Role) -> Option<usize> {
        self.places.iter().find(|(other, _)| *other == role).map(|(_, at)| *at)
    }

    fn text(&self, role: Role) -> &'r str {
        self.place(role).and_then(|at| self.record.get(at)).unwrap_or_default()
    }

    /// The value, unless there is none.
    fn value(&self, role: Role) -> Option<&'r str> {
        Some(self.text(role).trim()).filter(|value| !value.is_empty() && *value != "None")
    }

    fn whole(&self, role: Role) -> Result<Option<i64>, Unfit> {
        let whole =
            |value: &str| value.parse().map_err(|_| Unfit::new(role, format!("{} is no whole number", quoted(value))));
        self.value(role).map(whole).transpose()
    }

    fn id(&self, role: Role) -> Result<i64, Unfit> {
        self.whole(role)?.ok_or_else(|| Unfit::new(role, "there is no value"))
    }

    fn number(&self, role: Role) -> Result<Option<f64>, Unfit> {
        let number = |value: &str| {
            let number: Option<f64> = value.parse().ok().filter(|number: &f64| number.is_finite());
            number.ok_or_else(|| Unfit::new(role, format!("{} is no number", quoted(value))))
        };
        self.value(role).map(number).transpose()
    }

    fn flag(&self, role: Role) -> Result<bool, Unfit> {
        match self.value(role) {
            None | Some("0" | "False" | "false") => Ok(false),
            Some("1" | "True" | "true") => Ok(true),
            Some(value) => Err(Unfit::new(role, format!("{} is neither 0 nor 1", quoted(value)))),
        }
    }

    fn problem(&self, file: &str, unfit: &Unfit) -> Problem {
        let line = self.record.position().map(csv::Position::line);
        let column = self.place(unfit.role).and_then(|at| self.names.get(at)).cloned();
        Problem { file: file.to_owned(), line, column, why: unfit.why.clone() }
    }
}
