//! The official lines: a JSON object a line, its id in `_key`, names in several languages.

use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::draft::{Draft, Role, TypeRow, Unfit};
use super::input::{Bounded, RECORD_MAX};
use super::problem::{Problem, broken};
use super::tables::Table;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The field that a value stands in.
fn field(role: Role) -> &'static str {
    match role {
        Role::Id => "_key",
        Role::Name => "name.en",
        Role::Category => "categoryID",
        Role::Group => "groupID",
        Role::MetaGroup => "metaGroupID",
        Role::MarketGroup => "marketGroupID",
        Role::Region => "regionID",
        Role::Constellation => "constellationID",
        Role::Published => "published",
        Role::Mass => "mass",
        Role::Volume => "volume",
        Role::BasePrice => "basePrice",
        Role::MetaLevel => "metaLevel",
        Role::TechLevel => "techLevel",
        Role::Security => "securityStatus",
        Role::Effect => "dogmaEffects",
        Role::Attribute | Role::Whole | Role::Value => "dogmaAttributes",
    }
}

#[derive(Deserialize)]
struct Localised {
    en: String,
}

/// A category, a meta group, a region.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "_key")]
    id: i64,
    name: Localised,
}

#[derive(Deserialize)]
struct GroupLine {
    #[serde(rename = "_key")]
    id: i64,
    #[serde(rename = "categoryID")]
    category: i64,
    name: Localised,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypeLine {
    #[serde(rename = "_key")]
    id: i64,
    #[serde(rename = "groupID")]
    group: i64,
    name: Localised,
    published: Option<bool>,
    mass: Option<f64>,
    volume: Option<f64>,
    base_price: Option<f64>,
    #[serde(rename = "marketGroupID")]
    market_group: Option<i64>,
    #[serde(rename = "metaGroupID")]
    meta_group: Option<i64>,
    meta_level: Option<f64>,
    tech_level: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DogmaLine {
    #[serde(rename = "_key")]
    id: i64,
    dogma_attributes: Option<Vec<AttributeOf>>,
    dogma_effects: Option<Vec<EffectOf>>,
}

#[derive(Deserialize)]
struct AttributeOf {
    #[serde(rename = "attributeID")]
    attribute: i64,
    value: f64,
}

#[derive(Deserialize)]
struct EffectOf {
    #[serde(rename = "effectID")]
    effect: i64,
}

#[derive(Deserialize)]
struct ConstellationLine {
    #[serde(rename = "_key")]
    id: i64,
    #[serde(rename = "regionID")]
    region: i64,
    name: Localised,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SystemLine {
    #[serde(rename = "_key")]
    id: i64,
    #[serde(rename = "constellationID")]
    constellation: i64,
    #[serde(rename = "regionID")]
    region: i64,
    name: Localised,
    security_status: f64,
}

/// What is wrong with a line: where in it, and why.
#[derive(Debug)]
struct Wrong {
    column: Option<String>,
    why: String,
}

/// Reads a table into the draft; answers how many lines it has.
pub(super) fn read(table: Table, file: &str, bytes: impl Read, draft: &mut Draft) -> Result<u64, Problem> {
    let (bytes, record) = Bounded::new(bytes);
    let mut bytes = BufReader::with_capacity(64 * 1024, bytes);
    if table == Table::Dogma {
        draft.expect_attributes();
    }
    let (mut line, mut count) = (Vec::new(), 0);
    for number in 1.. {
        let at =
            |wrong: Wrong| Problem { file: file.to_owned(), line: Some(number), column: wrong.column, why: wrong.why };
        line.clear();
        record.renew();
        let read = bytes.by_ref().take(RECORD_MAX).read_until(b'\n', &mut line);
        if read.map_err(|error| at(Wrong { column: None, why: broken(&error) }))? == 0 {
            break;
        }
        if line.len() as u64 == RECORD_MAX {
            return Err(at(Wrong { column: None, why: "a line of more than 4 MiB: it is refused".to_owned() }));
        }
        let text = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| number == 1).unwrap_or(&line);
        if !text.trim_ascii().is_empty() {
            take(table, text, draft).map_err(at)?;
            count += 1;
        }
    }
    Ok(count)
}

fn take(table: Table, line: &[u8], draft: &mut Draft) -> Result<(), Wrong> {
    let text = std::str::from_utf8(line).map_err(|error| Wrong {
        column: Some((error.valid_up_to() + 1).to_string()),
        why: "it is not UTF-8".to_owned(),
    })?;
    let taken = match table {
        Table::Categories => parse(text).map(|row: Named| draft.category(row.id, &row.name.en)),
        Table::MetaGroups => parse(text).map(|row: Named| draft.meta_group(row.id, &row.name.en)),
        Table::Regions => parse(text).map(|row: Named| draft.region(row.id, &row.name.en)),
        Table::Groups => parse(text).map(|row: GroupLine| draft.group(row.id, row.category, &row.name.en)),
        Table::Constellations => {
            parse(text).map(|row: ConstellationLine| draft.constellation(row.id, row.region, &row.name.en))
        }
        Table::Systems => parse(text).map(|row: SystemLine| {
            draft.system(row.id, (row.constellation, row.region), &row.name.en, row.security_status)
        }),
        Table::Types | Table::MetaTypes => parse(text).map(|row: TypeLine| draft.item_type(&type_row(&row))),
        Table::Dogma | Table::Effects | Table::Attributes => parse(text).map(|row| dogma(&row, draft)),
    };
    taken?.map_err(|unfit| {
        let field = field(unfit.role);
        let key = format!("\"{}\"", field.split('.').next().unwrap_or_default());
        let at = text.find(&key).map_or(1, |at| text[..at].chars().count() + 1);
        Wrong { column: Some(format!("{at} ({field})")), why: unfit.why }
    })
}

fn type_row(row: &TypeLine) -> TypeRow<'_> {
    TypeRow {
        id: row.id,
        group: row.group,
        name: &row.name.en,
        mass: row.mass,
        volume: row.volume,
        base_price: row.base_price,
        is_published: row.published.unwrap_or_default(),
        market_group: row.market_group,
        meta_group: row.meta_group,
        meta_level: row.meta_level,
        tech_level: row.tech_level,
    }
}

fn dogma(row: &DogmaLine, draft: &mut Draft) -> Result<(), Unfit> {
    row.dogma_effects.iter().flatten().try_for_each(|effect| draft.effect(row.id, effect.effect))?;
    row.dogma_attributes.iter().flatten().try_for_each(|of| draft.attribute(row.id, of.attribute, of.value))
}

fn parse<T: DeserializeOwned>(line: &str) -> Result<T, Wrong> {
    serde_json::from_str(line).map_err(|error| {
        // Once more, slower, for the field's name.
        let mut again = serde_json::Deserializer::from_str(line);
        let path = match serde_path_to_error::deserialize::<_, T>(&mut again) {
            // Of a line that breaks off in a name there is none.
            Err(error) if !matches!(&*error.path().to_string(), "." | "?") => format!(" ({})", error.path()),
            _ => String::new(),
        };
        let text = error.to_string();
        // Its line is always the first.
        let why = text.split(" at line ").next().unwrap_or(&text).to_owned();
        Wrong { column: Some(format!("{}{path}", error.column())), why }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_else_stands_in_it() {
        let mut draft = Draft::default();
        draft.group(25, 6, "Frigate").expect("a group");
        let line = r#"{"_key":587,"groupID":25,"name":{"de":"x","en":" Rifter\u0007 "},"description":{"en":"…"},"published":true,"basePrice":16873.505}"#;
        assert!(take(Table::Types, line.as_bytes(), &mut draft).is_ok());
        let dogma = r#"{"_key":587,"dogmaAttributes":[{"attributeID":422,"value":1.0}],"dogmaEffects":[{"effectID":12,"isDefault":false},{"effectID":11,"isDefault":true}]}"#;
        assert!(take(Table::Dogma, dogma.as_bytes(), &mut draft).is_ok());
        let statics = draft.finish();
        let (_, rifter) = statics.types.iter().next().expect("a type");
        assert_eq!((&*rifter.name, rifter.base_price, &*rifter.effects), ("Rifter", Some(1_687_351), &[11, 12][..]));
        assert_eq!((rifter.tech_level, rifter.has_heat_damage), (Some(1), None));
    }

    fn wrong(line: &str) -> (String, String) {
        let wrong = take(Table::Types, line.as_bytes(), &mut Draft::default()).expect_err("refused");
        (wrong.column.unwrap_or_default(), wrong.why)
    }

    #[test]
    fn what_is_wrong_with_a_line_names_its_column_and_field() {
        let (column, why) = wrong(r#"{"_key":587,"groupID":"25","name":{"en":"Rifter"}}"#);
        assert_eq!((&*column, &*why), ("26 (groupID)", "invalid type: string \"25\", expected i64"));
        let (column, why) = wrong(r#"{"_key":587,"groupID":25,"name":{"en":"Rifter"}}"#);
        assert_eq!((&*column, &*why), ("13 (groupID)", "there is no group 25"));
        let (column, why) = wrong(r#"{"_key":587,"groupID":25,"name":{"de":"Rifter"}}"#);
        assert!(column.ends_with("(name)") && why.contains("missing field `en`"), "{column}: {why}");
        assert_eq!(wrong(r#"{"_key":587,"grou"#).0, "17");
    }
}
