-- Kills that are stored in part, to be completed later.

CREATE TABLE refreshes (
    killmail_id   INTEGER PRIMARY KEY,
    killmail_time TEXT    NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 0,
    due_at        TEXT    NOT NULL
) STRICT;

CREATE INDEX refreshes_due ON refreshes (due_at);
