-- One row for each kill that is announced, in the order in which they become visible.

CREATE TABLE killmail_events (
    event_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system_id     bigint      NOT NULL,
    killmail_id   bigint      NOT NULL,
    -- Says in which month the kill is kept.
    killmail_time timestamptz NOT NULL,
    created_at    timestamptz NOT NULL
);

-- "What is new in these systems."
CREATE INDEX killmail_events_system ON killmail_events (system_id, event_id);

-- A reader asks for everything above the greatest id it has seen, so an id may only become visible when every smaller one has, or never will.
-- A sequence alone does not give that: whoever draws an id first may commit last. So those who insert here take turns: the lock is taken
-- before the first id of a statement is drawn, and is held until the transaction has ended and its rows can be seen. Whatever is slow
-- belongs before the insert. As a trigger, it binds every program that writes here.
CREATE FUNCTION killmail_events_take_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- 'killfeed' in ASCII.
    PERFORM pg_advisory_xact_lock(7739836647443096932);
    RETURN NULL;
END
$$;

CREATE TRIGGER killmail_events_in_turn BEFORE INSERT ON killmail_events
    FOR EACH STATEMENT EXECUTE FUNCTION killmail_events_take_turn();
