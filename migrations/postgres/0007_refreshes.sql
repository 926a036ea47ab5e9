-- Kills that are stored in part, to be completed later.

CREATE TABLE refreshes (
    killmail_id   bigint      PRIMARY KEY,
    killmail_time timestamptz NOT NULL,
    attempts      integer     NOT NULL DEFAULT 0,
    due_at        timestamptz NOT NULL
);

CREATE INDEX refreshes_due ON refreshes (due_at);
