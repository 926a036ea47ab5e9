//! Profiles as people and programs read a list of them. Names are player-made, URLs may be secret.

use crate::cli::columns::align;
use crate::cli::text::{clean, cut};
use crate::profile::document::parse_targets;
use crate::store::StoredProfile;

/// Columns of a terminal.
const WIDTH: usize = 80;
const NAME_MIN: usize = 10;
const OWNER_MAX: usize = 10;

/// Everything about a profile but its secrets, on one line.
pub(super) fn json(profile: &StoredProfile) -> String {
    serde_json::to_string(&profile.listed()).expect("it serializes")
}

/// One line a profile.
pub(super) fn table(profiles: &[StoredProfile]) -> String {
    let mut rows = vec![["id", "name", "owner", "in use", "targets", "matches", "last match"].map(String::from)];
    for profile in profiles {
        let targets = parse_targets(&profile.targets).map_or("?".to_owned(), |targets| targets.len().to_string());
        rows.push([
            profile.profile_id.to_string(),
            clean(&profile.name, false),
            profile.owner.as_ref().map_or("-".to_owned(), |owner| cut(&clean(owner, false), OWNER_MAX)),
            if profile.enabled { "yes" } else { "no" }.to_owned(),
            targets,
            profile.matches.to_string(),
            profile.last_matched_at.map_or("-".to_owned(), |time| time.strftime("%F %R").to_string()),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let others: usize = [0, 2, 3, 4, 5, 6].into_iter().map(|column| width(column) + 2).sum();
    let room = WIDTH.saturating_sub(others).max(NAME_MIN);
    rows.iter_mut().for_each(|row| row[1] = cut(&row[1], room));
    align(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::killmail::ProfileId;

    #[test]
    fn a_list_fits_a_terminal_and_shows_no_secret_and_no_control_character() {
        let profile = StoredProfile {
            profile_id: ProfileId::new(1_234_567).expect("above 0"),
            owner: Some("somebody with a long name".to_owned()),
            name: "\u{1b}[2Jx".repeat(20),
            filter: "{}".to_owned(),
            enabled: true,
            version: 3,
            targets: r#"[{"url":"https://discord.com/api/webhooks/1/hunter2","format":"discord"}]"#.to_owned(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            updated_at: jiff::Timestamp::UNIX_EPOCH,
            matches: 123_456_789,
            last_matched_at: Some(jiff::Timestamp::UNIX_EPOCH),
        };
        let unreadable = StoredProfile { targets: r#"[{"url":"hunter2"}]"#.to_owned(), ..profile.clone() };
        let table = table(&[profile.clone(), unreadable.clone()]);
        assert!(table.lines().all(|line| line.chars().count() <= WIDTH) && !table.contains('\u{1b}'), "{table}");
        for text in [table, json(&profile), json(&unreadable), format!("{profile:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
