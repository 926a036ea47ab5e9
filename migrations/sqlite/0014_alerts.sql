-- Matches that are to be told to the targets of their profiles: one row for each kill, profile and target, deleted when it was delivered or cannot be.
-- AUTOINCREMENT, so that an id is never given twice: in their order alerts are read and delivered.

CREATE TABLE alerts (
    alert_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The kill's, where it was announced.
    event_id      INTEGER,
    killmail_id   INTEGER NOT NULL,
    killmail_time TEXT    NOT NULL,
    profile_id    INTEGER NOT NULL,
    -- A digest of the target's URL, which itself stands in the profile alone.
    target        INTEGER NOT NULL,
    created_at    TEXT    NOT NULL
) STRICT;

-- The oldest of a target: the id is part of every index.
CREATE INDEX alerts_target ON alerts (target);

-- Targets that have refused so often that they are told nothing any more, until a profile with them is written anew.
CREATE TABLE alert_targets (
    target      INTEGER PRIMARY KEY,
    -- What of the URL may be shown.
    shown       TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    disabled_at TEXT    NOT NULL
) STRICT;
