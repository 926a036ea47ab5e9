//! The text of a pipeline file as a tree in which everything knows its place.

use std::collections::HashMap;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, ValueDeserializer};

use super::environment::{self, Lookup};
use super::problem::{Place, Problem, suggest};

type Span = Range<usize>;

/// A parsed file. Sections are taken out one by one, so that a fault in one does not hide those in others.
pub(super) struct Document<'t> {
    file: &'t str,
    text: &'t str,
    root: DeTable<'t>,
    /// By path, such as `batcher[1].batch_size`: where its key and its value stand.
    places: HashMap<String, (Span, Span)>,
    /// Strings that hold values of the environment, which must not be repeated in messages.
    filled: Vec<(Span, String)>,
    problems: Vec<Problem>,
}

impl<'t> Document<'t> {
    /// Parses, fills in the environment and notes every place.
    ///
    /// # Errors
    /// The text is not TOML.
    pub(super) fn parse(file: &'t str, text: &'t str, lookup: Lookup<'_>) -> Result<Self, Problem> {
        let root = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            Problem { place: Some(Place::of(text, &span)), ..Problem::whole(file, message) }
        })?;
        let mut document =
            Self { file, text, root: DeTable::new(), places: HashMap::new(), filled: Vec::new(), problems: Vec::new() };
        let mut root = root.into_inner();
        document.walk_table("", &mut root, lookup);
        document.root = root;
        Ok(document)
    }

    fn walk_table(&mut self, path: &str, table: &mut DeTable<'t>, lookup: Lookup<'_>) {
        for (key, value) in table.iter_mut() {
            let name = key.get_ref();
            let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
            self.places.insert(path.clone(), (key.span(), value.span()));
            self.walk(&path, value, lookup);
        }
    }

    fn walk(&mut self, path: &str, value: &mut Spanned<DeValue<'t>>, lookup: Lookup<'_>) {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) => self.fill(text, &span, lookup),
            DeValue::Array(array) => {
                for (index, element) in array.iter_mut().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.places.insert(path.clone(), (element.span(), element.span()));
                    self.walk(&path, element, lookup);
                }
            }
            DeValue::Table(table) => self.walk_table(path, table, lookup),
            _ => {}
        }
    }

    fn fill(&mut self, string: &mut DeString<'t>, span: &Span, lookup: Lookup<'_>) {
        if !string.contains('$') {
            return;
        }
        match environment::fill(string, lookup) {
            Ok(filled) => {
                self.filled.push((span.clone(), filled.clone()));
                *string = filled.into();
            }
            Err(error) => {
                let needle = error.needle();
                let within = self.text.get(span.clone()).and_then(|raw| raw.find(&needle));
                let span = within.map_or(span.clone(), |at| span.start + at..span.start + at + needle.len());
                self.add(&span, error.to_string(), Some(error.hint()));
            }
        }
    }

    fn add(&mut self, span: &Span, message: String, hint: Option<String>) {
        let place = Some(Place::of(self.text, span));
        let (message, hint) = (self.redact(message), hint.map(|hint| self.redact(hint)));
        self.problems.push(Problem { file: self.file.to_owned(), place, message, hint });
    }

    /// Notes a problem with what stands at `path`, or with the nearest thing above it.
    pub(super) fn problem(&mut self, path: &str, message: impl Into<String>, hint: Option<String>) {
        let span = self.value_span(path);
        self.add(&span, message.into(), hint);
    }

    /// Notes a problem with the key at `path` rather than with its value.
    pub(super) fn problem_with_key(&mut self, path: &str, message: impl Into<String>, hint: Option<String>) {
        let span = self.places.get(path).map_or_else(|| self.value_span(path), |(key, _)| key.clone());
        self.add(&span, message.into(), hint);
    }

    /// Everything found so far, in the order of the file.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place.as_ref().map(|place| (place.line, place.column)));
        self.problems.dedup();
        self.problems
    }

    /// Whether anything was found.
    pub(super) fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// The file as messages call it.
    pub(super) fn file(&self) -> &'t str {
        self.file
    }

    /// Where the key of `path` stands.
    pub(super) fn place(&self, path: &str) -> Option<Box<Place>> {
        self.places.get(path).map(|(key, _)| Place::of(self.text, key))
    }

    /// Whether the file says anything at `path`.
    pub(super) fn has(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    fn value_span(&self, path: &str) -> Span {
        let mut path = path;
        loop {
            if let Some((key, value)) = self.places.get(path) {
                // A table's header says more than its whole extent.
                return if self.text.get(value.clone()).is_some_and(|t| t.contains('\n')) {
                    key.clone()
                } else {
                    value.clone()
                };
            }
            match path.rfind(['.', '[']) {
                Some(cut) => path = &path[..cut],
                None => return 0..0,
            }
        }
    }

    /// Refuses every key of the root that is not `known`.
    pub(super) fn only(&mut self, known: &[&str]) {
        let unknown: Vec<String> = self
            .root
            .keys()
            .map(|key| key.get_ref().to_string())
            .filter(|key| !known.contains(&key.as_str()))
            .collect();
        for key in unknown {
            self.problem_with_key(&key, format!("unknown field `{key}`"), Some(suggest(&key, known)));
        }
    }

    /// Reads the value of a key of the root; `None` when it is absent or wrong (which is then noted).
    pub(super) fn take<S: DeserializeOwned>(&mut self, key: &str) -> Option<S> {
        let value = self.root.remove(key)?;
        self.read(value)
    }

    /// Reads each table of an array of tables at the root; what is wrong is noted and left out, with its index kept.
    pub(super) fn take_each<S: DeserializeOwned>(&mut self, key: &str) -> Vec<(usize, S)> {
        let Some(value) = self.root.remove(key) else { return Vec::new() };
        match value.into_inner() {
            DeValue::Array(array) => {
                let elements = array.into_iter().enumerate();
                elements.filter_map(|(index, element)| Some((index, self.read(element)?))).collect()
            }
            other => {
                let hint = format!("write [[{key}]], in double brackets: there may be several");
                self.problem_with_key(
                    key,
                    format!("`{key}` is {}, not a list of tables", article(other.type_str())),
                    Some(hint),
                );
                Vec::new()
            }
        }
    }

    fn read<S: DeserializeOwned>(&mut self, value: Spanned<DeValue<'t>>) -> Option<S> {
        let whole = value.span();
        match S::deserialize(ValueDeserializer::from(value)) {
            Ok(read) => Some(read),
            Err(error) => {
                let span = error.span().unwrap_or(whole);
                let path = self.path_of(&span);
                let (message, hint) = explain(error.message(), &path);
                self.add(&self.shown(&span), message, hint);
                None
            }
        }
    }

    /// The innermost thing that holds this span.
    fn path_of(&self, span: &Span) -> String {
        let holds = |place: &Span| place.start <= span.start && span.end <= place.end;
        let found = self.places.iter().filter(|(_, (key, value))| holds(key) || holds(value));
        let found = found.min_by_key(|(path, (key, value))| {
            let length = if holds(key) { key.len() } else { value.len() };
            (length, std::cmp::Reverse(path.len()))
        });
        found.map_or_else(String::new, |(path, _)| path.clone())
    }

    /// A span of several lines is shown by its first.
    fn shown(&self, span: &Span) -> Span {
        let first = self.text.get(span.clone()).and_then(|text| text.find('\n'));
        first.map_or_else(|| span.clone(), |length| span.start..span.start + length)
    }

    /// Puts the reference back where a value of the environment would be told.
    fn redact(&self, text: String) -> String {
        self.filled.iter().fold(text, |text, (span, value)| {
            let raw = self.text.get(span.clone()).unwrap_or_default();
            if value.is_empty() || raw.contains(value.as_str()) {
                return text;
            }
            let bare = raw.trim_matches(['"', '\'']);
            let text = text.replace(&format!("{value:?}"), raw).replace(value.as_str(), bare);
            // Part of it, in a sentence that was cut or changed.
            let part: String = value.chars().take(8).collect();
            if value.len() >= 8 && text.to_lowercase().contains(&part.to_lowercase()) {
                format!("what {raw} stands for does not fit here")
            } else {
                text
            }
        })
    }
}

fn article(kind: &str) -> String {
    if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { format!("an {kind}") } else { format!("a {kind}") }
}

/// Serde's sentence in the words of a person who writes pipeline files, with a hint where one helps.
fn explain(message: &str, path: &str) -> (String, Option<String>) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let (true, [name, known @ ..]) = (message.starts_with("unknown field"), quoted.as_slice()) {
        return (format!("unknown field `{name}`"), Some(suggest(name, known)));
    }
    if let (true, [name, known @ ..]) = (message.starts_with("unknown variant"), quoted.as_slice()) {
        return (format!("unknown {} `{name}`", kind_at(path)), Some(suggest(name, known)));
    }
    if let (true, [name]) = (message.starts_with("missing field"), quoted.as_slice()) {
        let hint = match *name {
            "name" => Some("name = \"parse\", say: it stands in metrics and in `after`".to_owned()),
            "sink" => Some("sink.database = {}, say".to_owned()),
            "stages" => Some("stages = [\"decode\"], say".to_owned()),
            _ => None,
        };
        return (format!("`{name}` is missing"), hint);
    }
    let kind = kind_at(path);
    if message.contains("newtype variant") {
        let example = if kind == "sink" { "sink.database = {}" } else { "[source.wanderer]" };
        return (format!("a {kind} must be a table that is named after its kind"), Some(format!("as in {example}")));
    }
    if message.starts_with("wanted exactly 1 element") {
        let found = if message.contains("more than") { "several" } else { "none" };
        return (
            format!("exactly one {kind} is needed here, and there are {found}").replace("are none", "is none"),
            None,
        );
    }
    let plain = [
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false, without quotes"),
        ("expected a sequence", "expected a list: […]"),
        ("expected a borrowed string", "expected a text in quotes"),
        ("expected a string", "expected a text in quotes"),
        ("floating point", "the number"),
    ];
    let message = plain.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to));
    let found = ["invalid type: ", "invalid value: "].into_iter().find_map(|start| message.strip_prefix(start));
    match found.and_then(|rest| rest.split_once(", expected ")) {
        Some((found, expected)) => (format!("expected {expected}; found {}", found.trim_end_matches(" as i128")), None),
        None => (message, None),
    }
}

/// What stands at a path, in a word.
fn kind_at(path: &str) -> &'static str {
    let last = path.rsplit('.').find(|part| !part.is_empty()).unwrap_or_default();
    if path.contains(".stages") {
        "stage"
    } else if last.starts_with("partition_by") {
        "partition"
    } else if path.starts_with("batcher") && path.contains(".sink") {
        "sink"
    } else if path.starts_with("source") && path.matches('.').count() <= 1 {
        "source"
    } else {
        "value"
    }
}
