-- One row for each kill that is announced, in the order in which they were stored.
-- AUTOINCREMENT, so that an id is never given twice, even after the oldest or newest rows were collected.

CREATE TABLE killmail_events (
    event_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    system_id   INTEGER NOT NULL,
    killmail_id INTEGER NOT NULL,
    created_at  TEXT    NOT NULL
) STRICT;

-- "What is new in these systems": the event id is part of every index.
CREATE INDEX killmail_events_system ON killmail_events (system_id);
