//! Where the server is, as a URL says it.

use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::{ACQUIRE_TIMEOUT, error};
use crate::store::{Error, within};

/// Parameters that sqlx reads. It would only warn of others, and show their values.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// Reads a `postgres://` URL; what it leaves out comes from the environment (`PGUSER`, …) and `.pgpass`.
pub(super) fn parse(url: &str) -> Result<PgConnectOptions, Error> {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    for name in parameters.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty()) {
        if !PARAMETERS.contains(&name) && !name.starts_with("options[") {
            return Err(Error::Permanent(format!("read the database's url: the parameter `{name}` is not known")));
        }
    }
    let address = PgConnectOptions::from_str(url)
        .map_err(|error| Error::Permanent(format!("read the database's url: {error}")))?
        .disable_statement_logging();
    Ok(if address.get_application_name().is_some() { address } else { address.application_name("broadside") })
}

/// One connection, outside the pools.
pub(super) async fn connect(address: &PgConnectOptions) -> Result<PgConnection, Error> {
    let opened = within(ACQUIRE_TIMEOUT, async { address.connect().await.map_err(error::at_start) }).await;
    opened.map_err(|error| error.while_doing(&format!("open the database {}", name(address))))
}

/// `kills on db.example.org:5432`, without user and password.
fn name(address: &PgConnectOptions) -> String {
    let database = address.get_database().unwrap_or(address.get_username());
    match address.get_socket() {
        Some(folder) => format!("{database} on the socket in {}", folder.display()),
        None => format!("{database} on {}:{}", address.get_host(), address.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_named_without_its_password() {
        let of = |url: &str| name(&parse(url).unwrap());
        assert_eq!(of("postgres://me:secret@db.example.org/kills?sslmode=require"), "kills on db.example.org:5432");
        assert_eq!(of("postgres://me:secret@localhost:99/kills?host=/run/pg"), "kills on the socket in /run/pg");
    }

    #[test]
    fn an_unknown_parameter_is_refused_by_name_and_its_value_is_not_shown() {
        let error = parse("postgres://me@localhost/kills?sslmode=prefer&passwrod=secret").unwrap_err().to_string();
        assert!(error.contains("`passwrod`") && !error.contains("secret"), "{error}");
    }
}
