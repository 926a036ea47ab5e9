//! Base addresses of outside services: what may be called, and what of an address may be shown.

use reqwest::Url;

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("connect without a url")]
    Missing,
    #[error("use the url {url:?}: {reason}")]
    Bad { url: String, reason: String },
    #[error("greet {host} without a contact: set BROADSIDE_CONTACT to an e-mail address or a page")]
    NoContact { host: String },
    #[error("set up the http client: {0}")]
    Http(String),
}

/// The base that `text` names, if it may be called: `http` or `https`, with a host, which is this machine unless there is a contact.
///
/// # Errors
/// What is wrong, and what to do about it.
pub fn base(text: &str, contact: Option<&str>) -> Result<Url, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::Missing);
    }
    let bad = |reason: String| Error::Bad { url: shown(text), reason };
    let mut url: Url = text.parse().map_err(|error| bad(format!("{error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("http:// or https:// and a host are needed".into()));
    }
    if !super::is_loopback(&url) && contact.is_none_or(|contact| contact.trim().is_empty()) {
        return Err(Error::NoContact { host: url.host_str().unwrap_or_default().to_owned() });
    }
    url.set_fragment(None);
    Ok(url)
}

/// A route below a base, which may have a path of its own.
#[must_use]
pub fn below(base: &Url, route: &str) -> Url {
    let (path, query) = route.split_once('?').map_or((route, None), |(path, query)| (path, Some(query)));
    let mut url = base.clone();
    url.set_path(&format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/')));
    if query.is_some() {
        url.set_query(query);
    }
    url
}

/// An address fit for logs: without a password or query, bounded.
#[must_use]
pub fn shown(url: &str) -> String {
    match url.parse::<Url>() {
        Ok(url) if url.has_host() => {
            let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
            format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), super::printable(url.path()))
        }
        _ => super::printable(url.rsplit('@').next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_appended_to_the_bases_path() {
        let base = base(" http://localhost:80/esi/ ", None).expect("url");
        assert_eq!(below(&base, "/killmails/1/ab").as_str(), "http://localhost/esi/killmails/1/ab");
        assert_eq!(below(&base, "markets?page=2").as_str(), "http://localhost/esi/markets?page=2");
    }

    #[test]
    fn other_hosts_are_only_called_with_a_contact() {
        assert!(base("https://esi.example.com", None).expect_err("refused").to_string().contains("BROADSIDE_CONTACT"));
        assert!(base("https://esi.example.com", Some(" ")).is_err());
        assert!(base("https://esi.example.com", Some("me@example.com")).is_ok());
        for url in ["nonsense", "ftp://127.0.0.1/", "http://"] {
            assert!(base(url, None).expect_err("refused").to_string().contains("use the url"), "{url}");
        }
        assert_eq!(base("", None), Err(Error::Missing));
    }

    #[test]
    fn a_password_in_the_url_is_not_shown() {
        assert_eq!(shown("http://me:secret@localhost:80/x?token=y"), "http://localhost/x");
        assert_eq!(shown("me:secret@nowhere"), "nowhere");
    }
}
