//! `${NAME}` and `${NAME:-default}` in the strings of a pipeline file.

/// Answers the value of an environment variable. Handed in, so that `demo` and tests can say what is set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's own environment.
#[must_use]
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Why a string could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the environment variable `{0}` is not set")]
    Missing(String),
    #[error("`${{` without its `}}`")]
    Unclosed,
    #[error("`{0}` is no name of an environment variable")]
    Name(String),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Missing(name) => format!("set {name}, or give a default: ${{{name}:-…}}"),
            Self::Unclosed => "write ${NAME}, ${NAME:-default}, or $$ for a dollar sign".to_owned(),
            Self::Name(_) => "names are letters, digits and _, not beginning with a digit".to_owned(),
        }
    }

    /// The text by which the place in the file is found.
    pub(super) fn needle(&self) -> String {
        match self {
            Self::Missing(name) | Self::Name(name) => format!("${{{name}"),
            Self::Unclosed => "${".to_owned(),
        }
    }
}

/// Fills in a string. `$$` stands for `$`; a variable that is set but empty takes the default, as in a shell.
///
/// # Errors
/// A variable without default is not set, or a reference is malformed.
pub fn fill(text: &str, lookup: Lookup<'_>) -> Result<String, Error> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        filled.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (reference, after) = after.split_once('}').ok_or(Error::Unclosed)?;
            filled.push_str(&value(reference, lookup)?);
            rest = after;
        } else {
            filled.push('$');
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn value(reference: &str, lookup: Lookup<'_>) -> Result<String, Error> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let is_name =
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if name.is_empty() || !is_name {
        return Err(Error::Name(name.to_owned()));
    }
    match (lookup(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Error::Missing(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str) -> Option<String> {
        match name {
            "A" => Some("apple".to_owned()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("${A}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn references_are_filled_in() {
        let cases = [
            ("plain", "plain"),
            ("${A}", "apple"),
            ("x${A}y${A:-z}", "xappleyapple"),
            ("${B:-pear}", "pear"),
            ("${B:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-full}", "full"),
            ("$${A}", "${A}"),
            ("$$$$", "$$"),
            ("5$ and $A", "5$ and $A"),
            ("${DOLLAR}", "${A}"),
            ("${B:-https://x/y?z=1}", "https://x/y?z=1"),
        ];
        for (text, filled) in cases {
            assert_eq!(fill(text, &set).as_deref(), Ok(filled), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_named() {
        assert_eq!(fill("${B}", &set), Err(Error::Missing("B".into())));
        assert_eq!(fill("${A", &set), Err(Error::Unclosed));
        assert_eq!(fill("${}", &set), Err(Error::Name(String::new())));
        assert_eq!(fill("${1A}", &set), Err(Error::Name("1A".into())));
        assert_eq!(fill("${a b}", &set), Err(Error::Name("a b".into())));
    }
}
