-- What is needed to understand a dead letter, to try it again, and to tell causes from one another.

ALTER TABLE dead_letters
    -- What the source calls its place.
    ADD COLUMN position         text,
    -- Of the group: pipeline, stage, class, text and status. Empty until a build that knows of groups has seen it.
    ADD COLUMN fingerprint      text        COLLATE "C" NOT NULL DEFAULT '',
    -- The error with placeholders for what differs between letters of one cause.
    ADD COLUMN error_text       text        NOT NULL DEFAULT '',
    -- JSON array of attempts: the first and the last twenty.
    ADD COLUMN history          text        NOT NULL DEFAULT '[]',
    ADD COLUMN definition_hash  text,
    ADD COLUMN program_version  text,
    -- As received, when the payload was edited.
    ADD COLUMN payload_original bytea,
    -- JSON: what the stages before the one that failed had found.
    ADD COLUMN progress         text,
    -- When it is tried again by itself.
    ADD COLUMN retry_at         timestamptz,
    -- Until when whoever retries it has it.
    ADD COLUMN held_until       timestamptz,
    -- When it went through or was given up.
    ADD COLUMN settled_at       timestamptz;

UPDATE dead_letters SET
    history = jsonb_build_array(jsonb_build_object('at', to_char(last_failed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'group', "group", 'stage', stage, 'class', class, 'error', error, 'sqlstate', sqlstate, 'http_status', http_status, 'version', NULL))::text,
    settled_at = CASE WHEN state IN ('replayed', 'discarded') THEN last_failed_at END,
    state = CASE WHEN state = 'retrying' THEN 'open' ELSE state END;

-- "What groups are there, and how much is in them?", from the index alone.
CREATE INDEX dead_letters_group ON dead_letters (fingerprint, last_failed_at) INCLUDE (state, first_failed_at);
-- "Which are the oldest, and how long are they?"
CREATE INDEX dead_letters_age ON dead_letters (state, settled_at, last_failed_at) INCLUDE (payload_bytes);
CREATE INDEX dead_letters_due ON dead_letters (retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX dead_letters_kill ON dead_letters (killmail_id) WHERE killmail_id IS NOT NULL;

-- What people say of a group; what is in it is in the letters.

CREATE TABLE dead_letter_groups (
    fingerprint text        COLLATE "C" PRIMARY KEY,
    state       text        NOT NULL CONSTRAINT dead_letter_group_state_known CHECK (state IN ('acknowledged', 'fixed')),
    fixed_in    text,
    changed_at  timestamptz NOT NULL,
    note        text
);

-- By which a command tells whether a running worker is on the same database.

INSERT INTO checkpoints (name, value, updated_at) VALUES ('database', replace(gen_random_uuid()::text, '-', ''), now())
ON CONFLICT (name) DO NOTHING;
