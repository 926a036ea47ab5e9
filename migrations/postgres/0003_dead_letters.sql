-- Messages that failed, with their bytes as received.

CREATE TABLE dead_letters (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline        text        NOT NULL,
    source          text        NOT NULL,
    state           text        NOT NULL DEFAULT 'open'
                    CONSTRAINT dead_letter_state_known CHECK (state IN ('open', 'retrying', 'replayed', 'discarded')),
    -- The worker group and the stage or sink in which it failed.
    "group"         text        NOT NULL,
    stage           text        NOT NULL,
    -- The batchers whose sinks already have it.
    sinks_done      text[]      NOT NULL DEFAULT '{}',
    class           text        NOT NULL,
    error           text        NOT NULL,
    sqlstate        text,
    http_status     integer,
    killmail_id     bigint,
    attempts        bigint      NOT NULL DEFAULT 1,
    first_failed_at timestamptz NOT NULL,
    last_failed_at  timestamptz NOT NULL,
    -- Why it was discarded.
    note            text,
    payload_bytes   bigint      NOT NULL GENERATED ALWAYS AS (octet_length(payload)) STORED,
    payload         bytea       NOT NULL
);

CREATE INDEX dead_letters_state ON dead_letters (state, pipeline);
