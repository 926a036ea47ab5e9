-- What users watch: a filter over kills, and whom to tell. `filter` and `targets` are JSON, as the program's `profiles schema` describes them.
-- AUTOINCREMENT, so that an id is never given twice: matches of a profile that is gone stay its own.

CREATE TABLE surveillance_profiles (
    profile_id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (profile_id > 0),
    owner      TEXT,
    name       TEXT    NOT NULL,
    filter     TEXT    NOT NULL,
    enabled    INTEGER NOT NULL DEFAULT 1 CONSTRAINT enabled_known CHECK (enabled IN (0, 1)),
    -- Counts the changes, from 1.
    version    INTEGER NOT NULL DEFAULT 1,
    -- URLs may hold secrets.
    targets    TEXT    NOT NULL DEFAULT '[]',
    created_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    updated_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- How often each matched. A table of its own, because workers write here every few seconds: it is no change of a profile.
CREATE TABLE profile_stats (
    profile_id      INTEGER PRIMARY KEY,
    matches         INTEGER NOT NULL,
    last_matched_at TEXT    NOT NULL
) STRICT;

-- When each profile was last changed, as a number that only grows: workers ask for everything above the greatest that they have seen. Of a profile that
-- is gone this row stays, so that they learn of that too. By triggers, so that every program's changes count.
CREATE TABLE profile_changes (
    change_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    profile_id INTEGER NOT NULL UNIQUE
) STRICT;

-- DELETE and INSERT, not INSERT OR REPLACE: in a trigger the conflict clause of the statement outside would count instead.
CREATE TRIGGER surveillance_profiles_added AFTER INSERT ON surveillance_profiles BEGIN
    DELETE FROM profile_changes WHERE profile_id = NEW.profile_id;
    INSERT INTO profile_changes (profile_id) VALUES (NEW.profile_id);
END;

CREATE TRIGGER surveillance_profiles_changed AFTER UPDATE OF profile_id, owner, name, filter, enabled, targets ON surveillance_profiles BEGIN
    UPDATE surveillance_profiles SET version = OLD.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE profile_id = NEW.profile_id;
    DELETE FROM profile_changes WHERE profile_id IN (OLD.profile_id, NEW.profile_id);
    INSERT INTO profile_changes (profile_id) SELECT OLD.profile_id UNION SELECT NEW.profile_id;
END;

CREATE TRIGGER surveillance_profiles_removed AFTER DELETE ON surveillance_profiles BEGIN
    DELETE FROM profile_stats WHERE profile_id = OLD.profile_id;
    DELETE FROM profile_changes WHERE profile_id = OLD.profile_id;
    INSERT INTO profile_changes (profile_id) VALUES (OLD.profile_id);
END;
