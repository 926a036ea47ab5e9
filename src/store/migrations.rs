//! What the engines' migrations have in common.

use sqlx::migrate::{AppliedMigration, MigrateError, Migrator};

use super::Error;

/// Steps that are not applied yet, in their order: `0001 killmails`.
pub(super) fn steps_missing(all: &Migrator, applied: &[AppliedMigration]) -> Vec<String> {
    let is_new = |version: i64| applied.iter().all(|step| step.version != version);
    let steps = all.iter().filter(|step| is_new(step.version));
    steps.map(|step| format!("{:04} {}", step.version, step.description)).collect()
}

/// Why migrating failed.
pub(super) fn migrating(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            Error::from(error).while_doing("migrate the database")
        }
        MigrateError::VersionMissing(version) => Error::Permanent(format!(
            "migrate the database: it has step {version}, which this build does not know: a newer one made it"
        )),
        error => Error::Permanent(format!("migrate the database: {error}")),
    }
}
