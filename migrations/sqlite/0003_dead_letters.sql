-- Messages that failed, with their bytes as received.

CREATE TABLE dead_letters (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline        TEXT    NOT NULL,
    source          TEXT    NOT NULL,
    state           TEXT    NOT NULL DEFAULT 'open'
                    CONSTRAINT dead_letter_state_known CHECK (state IN ('open', 'retrying', 'replayed', 'discarded')),
    -- The worker group and the stage or sink in which it failed.
    "group"         TEXT    NOT NULL,
    stage           TEXT    NOT NULL,
    -- JSON array: the batchers whose sinks already have it.
    sinks_done      TEXT    NOT NULL DEFAULT '[]',
    class           TEXT    NOT NULL,
    error           TEXT    NOT NULL,
    sqlstate        TEXT,
    http_status     INTEGER,
    killmail_id     INTEGER,
    attempts        INTEGER NOT NULL DEFAULT 1,
    first_failed_at TEXT    NOT NULL,
    last_failed_at  TEXT    NOT NULL,
    -- Why it was discarded.
    note            TEXT,
    payload_bytes   INTEGER NOT NULL GENERATED ALWAYS AS (length(payload)) STORED,
    payload         BLOB    NOT NULL
) STRICT;

CREATE INDEX dead_letters_state ON dead_letters (state, pipeline);
