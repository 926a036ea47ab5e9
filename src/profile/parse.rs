//! From JSON to a validated [`Filter`]: what is not in the language is refused with its place.
//!
//! Bounds: [`BYTES_MAX`], [`DEPTH_MAX`], [`RULES_MAX`], [`VALUES_MAX`], [`TEXT_MAX`].

use super::decimal::{Decimal, Floor};
use super::field::{Field, Kind};
use super::filter::{Filter, Node, Span, Test, What};
use super::json::{self, Raw};
use super::operator::{Operator, Takes};
use super::problem::{Path, Problem};

/// Bytes of a filter's JSON.
pub const BYTES_MAX: usize = 256 * 1024;
/// Conditions inside one another.
pub const DEPTH_MAX: usize = 32;
/// Conditions and leaves of a filter.
pub const RULES_MAX: usize = 1_000;
/// Values in all lists of a filter.
pub const VALUES_MAX: usize = 10_000;
/// Characters of a word.
pub const TEXT_MAX: usize = 100;

/// What `system_class` can be.
pub const SYSTEM_CLASSES: [&str; 7] = ["highsec", "lowsec", "nullsec", "wspace", "pochven", "abyssal", "drifter"];

const OBJECT: &str = "an object with `condition` and `rules`, or one with `field`, `operator` and `value`";

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// The first thing that is not as the language has it, with its place.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let path = Path::default();
        if text.len() > BYTES_MAX {
            return Err(Problem::said(&path, format!("{} bytes", text.len()), format!("at most {BYTES_MAX} bytes")));
        }
        Self::read(json::value(text)?, &path)
    }

    /// Reads a filter that stands at this place of something larger.
    pub(super) fn read(raw: Raw<'_>, path: &Path) -> Result<Self, Problem> {
        if raw.get().len() > BYTES_MAX {
            let found = format!("{} bytes", raw.get().len());
            return Err(Problem::said(path, found, format!("at most {BYTES_MAX} bytes")));
        }
        let mut reader = Reader { rules: 0, values: 0 };
        Ok(Self { root: reader.node(raw, path, 1)? })
    }
}

/// Counts what is bounded.
struct Reader {
    rules: usize,
    values: usize,
}

impl Reader {
    fn node(&mut self, raw: Raw<'_>, path: &Path, depth: usize) -> Result<Node, Problem> {
        self.rules += 1;
        if self.rules > RULES_MAX {
            return Err(Problem::said(path, "one rule more", format!("at most {RULES_MAX} rules in a filter")));
        }
        let members = json::object(raw, path, OBJECT)?;
        let has = |key: &str| members.iter().any(|(name, _)| name == key);
        let keys: &[&str] = match (has("condition") || has("rules"), has("field")) {
            (true, false) => &["condition", "rules"],
            (false, true) => &["field", "operator", "value"],
            (true, true) => return Err(Problem::said(path, "a condition and a field in one object", OBJECT)),
            (false, false) => return Err(Problem::new(path, raw.get(), OBJECT)),
        };
        if let Some((key, _)) = members.iter().find(|(key, _)| !keys.contains(&key.as_str())) {
            return Err(Problem::said(&path.key(key), "an unknown key", keys.join(", ")));
        }
        let member = |key: &str| {
            let found = members.iter().find(|(name, _)| name == key).map(|(_, raw)| *raw);
            found.ok_or_else(|| Problem::said(&path.key(key), "nothing", keys.join(", ")))
        };
        if keys.len() == 2 {
            self.condition(member("condition")?, member("rules")?, path, depth)
        } else {
            self.leaf(member("field")?, member("operator")?, member("value")?, path).map(Node::Test)
        }
    }

    fn condition(&mut self, condition: Raw<'_>, rules: Raw<'_>, path: &Path, depth: usize) -> Result<Node, Problem> {
        const CONDITIONS: &str = "and, or, not";
        if depth > DEPTH_MAX {
            let allowed = format!("at most {DEPTH_MAX} conditions inside one another");
            return Err(Problem::said(path, "one condition deeper", allowed));
        }
        let (at, below) = (path.key("condition"), path.key("rules"));
        let name = json::text(condition, &at, CONDITIONS)?;
        let is_not = name == "not";
        if !is_not && name != "and" && name != "or" {
            return Err(Problem::new(&at, condition.get(), CONDITIONS));
        }
        let rules = json::list(rules, &below, "a list of rules")?;
        if is_not && rules.len() != 1 {
            let allowed = "exactly one rule in a `not`: put several into an `or` or an `and` inside it";
            return Err(Problem::said(&below, format!("{} rules", rules.len()), allowed));
        }
        if rules.is_empty() {
            return Err(Problem::said(&below, "an empty list", "at least one rule"));
        }
        let mut nodes = Vec::with_capacity(rules.len().min(RULES_MAX));
        for (index, rule) in rules.into_iter().enumerate() {
            nodes.push(self.node(rule, &below.index(index), depth + 1)?);
        }
        Ok(match (name.as_str(), nodes.pop()) {
            ("not", Some(node)) => Node::Not(Box::new(node)),
            (name, last) => {
                nodes.extend(last);
                if name == "or" { Node::Or(nodes.into()) } else { Node::And(nodes.into()) }
            }
        })
    }

    fn leaf(&mut self, field: Raw<'_>, operator: Raw<'_>, value: Raw<'_>, path: &Path) -> Result<Test, Problem> {
        let (at, fields) = (path.key("field"), || Field::ALL.map(Field::name).join(", "));
        let name = json::text(field, &at, "the name of a field")
            .map_err(|problem| Problem { allowed: fields(), ..problem })?;
        let field = Field::parse(&name).ok_or_else(|| Problem::new(&at, field.get(), fields()))?;
        let (at, operators) = (path.key("operator"), || {
            let of = Operator::ALL.into_iter().filter(|operator| operator.is_of(field.kind()));
            format!("{} for {field}", of.map(Operator::name).collect::<Vec<_>>().join(", "))
        });
        let wrong = || Problem::new(&at, operator.get(), operators());
        let name: String = serde_json::from_str(operator.get()).map_err(|_| wrong())?;
        let operator = Operator::parse(&name).filter(|operator| operator.is_of(field.kind())).ok_or_else(wrong)?;
        let at = path.key("value");
        let (what, is_negated) = match operator.takes() {
            Takes::Flag => (What::Exists, !json::flag(value, &at)?),
            Takes::One => (one(field, operator, value, &at)?, operator.is_negated()),
            Takes::Pair => (pair(field, value, &at)?, false),
            Takes::List => (self.list(field, operator, value, &at)?, operator.is_negated()),
        };
        Ok(Test { field, is_negated, what })
    }

    fn list(&mut self, field: Field, operator: Operator, value: Raw<'_>, path: &Path) -> Result<What, Problem> {
        let elements = json::list(value, path, &format!("a list of at least one: {}", kind(field)))?;
        if elements.is_empty() {
            return Err(Problem::said(path, "an empty list", "a list of at least one value"));
        }
        self.values += elements.len();
        if self.values > VALUES_MAX {
            let found = format!("{} values so far", self.values);
            return Err(Problem::said(path, found, format!("at most {VALUES_MAX} values in all lists of a filter")));
        }
        let is_all = operator == Operator::ContainsAll;
        let elements = elements.into_iter().enumerate();
        if field.kind() == Kind::Text {
            let texts: Result<Vec<Box<str>>, _> =
                elements.map(|(index, raw)| text(field, raw, &path.index(index))).collect();
            let mut texts = texts?;
            texts.sort_unstable();
            texts.dedup();
            return Ok(if is_all { What::AllText(texts.into()) } else { What::AnyText(texts.into()) });
        }
        let points: Result<Vec<Floor>, _> =
            elements.map(|(index, raw)| number(field, raw, &path.index(index))).collect();
        let points = points?;
        // A number between two points of the grid is no kill's.
        let mut exact: Vec<i64> = points.iter().filter(|floor| floor.is_exact).map(|floor| floor.point).collect();
        let is_possible = exact.len() == points.len();
        exact.sort_unstable();
        exact.dedup();
        Ok(match (is_all, is_possible) {
            (false, _) => What::AnyOf(exact.into()),
            (true, true) => What::AllOf(exact.into()),
            (true, false) => What::AnyOf([].into()),
        })
    }
}

fn one(field: Field, operator: Operator, value: Raw<'_>, path: &Path) -> Result<What, Problem> {
    match field.kind() {
        Kind::Flag => return Ok(What::AnyOf([i64::from(json::flag(value, path)?)].into())),
        Kind::Text => return Ok(What::AnyText([text(field, value, path)?].into())),
        _ => {}
    }
    let floor = number(field, value, path)?;
    let Floor { point, is_exact } = floor;
    Ok(match operator {
        Operator::Gt => What::Within(up_from(point.checked_add(1), i64::MAX)),
        Operator::Gte => What::Within(up_from(at_least(floor), i64::MAX)),
        Operator::Lt if is_exact => What::Within(Span { least: i64::MIN, most: point.saturating_sub(1) }),
        Operator::Lt | Operator::Lte => What::Within(Span { least: i64::MIN, most: point }),
        _ => What::AnyOf(is_exact.then_some(point).into_iter().collect()),
    })
}

/// The least point of the grid that is not below a number; `None`: there is none.
fn at_least(floor: Floor) -> Option<i64> {
    if floor.is_exact { Some(floor.point) } else { floor.point.checked_add(1) }
}

fn up_from(least: Option<i64>, most: i64) -> Span {
    least.map_or(Span::NONE, |least| Span { least, most })
}

fn pair(field: Field, value: Raw<'_>, path: &Path) -> Result<What, Problem> {
    let allowed = format!("[low, high], both included: {}", kind(field));
    let ends = json::list(value, path, &allowed)?;
    let [low, high] = ends[..] else {
        return Err(Problem::said(path, format!("a list of {}", ends.len()), allowed));
    };
    let (least, most) = (number(field, low, &path.index(0))?, number(field, high, &path.index(1))?);
    let decimals = (Decimal::parse(low.get()), Decimal::parse(high.get()));
    if decimals.0 > decimals.1 {
        return Err(Problem::new(path, value.get(), "[low, high], with low not above high"));
    }
    Ok(What::Within(up_from(at_least(least), most.point)))
}

fn number(field: Field, raw: Raw<'_>, path: &Path) -> Result<Floor, Problem> {
    let wrong = || Problem::new(path, raw.get(), kind(field));
    let decimal = Decimal::parse(raw.get()).ok_or_else(wrong)?;
    let floor = match field.kind() {
        Kind::Money => decimal.floor(2),
        Kind::Security => decimal.floor_security(),
        _ => decimal.floor(0),
    };
    if field.kind() == Kind::Id && !floor.is_exact { Err(wrong()) } else { Ok(floor) }
}

fn text(field: Field, raw: Raw<'_>, path: &Path) -> Result<Box<str>, Problem> {
    let text = json::text(raw, path, kind(field))?;
    let is_fit = match field {
        Field::SystemClass => SYSTEM_CLASSES.contains(&text.as_str()),
        _ => !text.is_empty() && text.chars().count() <= TEXT_MAX,
    };
    if is_fit { Ok(text.into()) } else { Err(Problem::new(path, raw.get(), kind(field))) }
}

/// What one value of a field is.
fn kind(field: Field) -> &'static str {
    match field.kind() {
        Kind::Id => "an id (a whole number)",
        Kind::Count => "a number",
        Kind::Money => "a number of ISK",
        Kind::Security => "a number from -1 to 1",
        Kind::Flag => "true or false",
        Kind::Text if field == Field::SystemClass => "highsec, lowsec, nullsec, wspace, pochven, abyssal, drifter",
        Kind::Text => "a text of 1 to 100 characters",
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
