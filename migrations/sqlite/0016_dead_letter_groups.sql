-- What is needed to understand a dead letter, to try it again, and to tell causes from one another.

-- What the source calls its place.
ALTER TABLE dead_letters ADD COLUMN position TEXT;
-- Of the group: pipeline, stage, class, text and status. Empty until a build that knows of groups has seen it.
ALTER TABLE dead_letters ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
-- The error with placeholders for what differs between letters of one cause.
ALTER TABLE dead_letters ADD COLUMN error_text TEXT NOT NULL DEFAULT '';
-- JSON array of attempts: the first and the last twenty.
ALTER TABLE dead_letters ADD COLUMN history TEXT NOT NULL DEFAULT '[]';
ALTER TABLE dead_letters ADD COLUMN definition_hash TEXT;
ALTER TABLE dead_letters ADD COLUMN program_version TEXT;
-- As received, when the payload was edited.
ALTER TABLE dead_letters ADD COLUMN payload_original BLOB;
-- JSON: what the stages before the one that failed had found.
ALTER TABLE dead_letters ADD COLUMN progress TEXT;
-- When it is tried again by itself.
ALTER TABLE dead_letters ADD COLUMN retry_at TEXT;
-- Until when whoever retries it has it.
ALTER TABLE dead_letters ADD COLUMN held_until TEXT;
-- When it went through or was given up.
ALTER TABLE dead_letters ADD COLUMN settled_at TEXT;

UPDATE dead_letters SET
    history = json_array(json_object('at', last_failed_at, 'group', "group", 'stage', stage, 'class', class, 'error', error,
        'sqlstate', sqlstate, 'http_status', http_status, 'version', NULL)),
    settled_at = iif(state IN ('replayed', 'discarded'), last_failed_at, NULL),
    state = iif(state = 'retrying', 'open', state);

-- "What groups are there, and how much is in them?", from the index alone.
CREATE INDEX dead_letters_group ON dead_letters (fingerprint, last_failed_at, state, first_failed_at);
-- "Which are the oldest, and how long are they?"
CREATE INDEX dead_letters_age ON dead_letters (state, settled_at, last_failed_at, payload_bytes);
CREATE INDEX dead_letters_due ON dead_letters (retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX dead_letters_kill ON dead_letters (killmail_id) WHERE killmail_id IS NOT NULL;

-- What people say of a group; what is in it is in the letters.

CREATE TABLE dead_letter_groups (
    fingerprint TEXT PRIMARY KEY,
    state       TEXT NOT NULL CONSTRAINT dead_letter_group_state_known CHECK (state IN ('acknowledged', 'fixed')),
    fixed_in    TEXT,
    changed_at  TEXT NOT NULL,
    note        TEXT
) STRICT, WITHOUT ROWID;

-- By which a command tells whether a running worker is on the same database.

INSERT INTO checkpoints (name, value, updated_at)
VALUES ('database', lower(hex(randomblob(16))), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
ON CONFLICT (name) DO NOTHING;
