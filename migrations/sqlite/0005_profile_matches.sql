-- Which kills a surveillance profile matched.

CREATE TABLE profile_matches (
    killmail_id   INTEGER NOT NULL,
    killmail_time TEXT    NOT NULL,
    profile_id    INTEGER NOT NULL,
    matched_at    TEXT    NOT NULL,
    PRIMARY KEY (killmail_id, profile_id)
) STRICT, WITHOUT ROWID;

-- Matches of a profile.
CREATE INDEX profile_matches_profile ON profile_matches (profile_id, killmail_time);
