-- How far each client of the killfeed has come, in each system that it follows: the id of the last event that it needs no more.
-- Every one of a client's rows says when that client was seen, and the latest counts.

CREATE TABLE client_offsets (
    -- In one order everywhere.
    client_id text        COLLATE "C" NOT NULL,
    system_id bigint      NOT NULL,
    event_id  bigint      NOT NULL,
    seen_at   timestamptz NOT NULL,
    PRIMARY KEY (client_id, system_id)
) WITH (fillfactor = 80);

-- "Who has not passed this event?"
CREATE INDEX client_offsets_system ON client_offsets (system_id, event_id);

-- The greatest event of each system that was collected: whose offset is below it has missed something.

CREATE TABLE killfeed_collected (
    system_id bigint PRIMARY KEY,
    event_id  bigint NOT NULL
);
