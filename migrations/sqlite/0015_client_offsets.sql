-- How far each client of the killfeed has come, in each system that it follows: the id of the last event that it needs no more.
-- Every one of a client's rows says when that client was seen, and the latest counts.

CREATE TABLE client_offsets (
    client_id TEXT    NOT NULL,
    system_id INTEGER NOT NULL,
    event_id  INTEGER NOT NULL,
    seen_at   TEXT    NOT NULL,
    PRIMARY KEY (client_id, system_id)
) STRICT, WITHOUT ROWID;

-- "Who has not passed this event?"
CREATE INDEX client_offsets_system ON client_offsets (system_id, event_id);

-- The greatest event of each system that was collected: whose offset is below it has missed something.

CREATE TABLE killfeed_collected (
    system_id INTEGER PRIMARY KEY,
    event_id  INTEGER NOT NULL
) STRICT;
