-- Matches that are to be told to the targets of their profiles: one row for each kill, profile and target, deleted when it was delivered or cannot be.

CREATE TABLE alerts (
    alert_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The kill's, where it was announced.
    event_id      bigint,
    killmail_id   bigint      NOT NULL,
    killmail_time timestamptz NOT NULL,
    profile_id    bigint      NOT NULL,
    -- A digest of the target's URL, which itself stands in the profile alone.
    target        bigint      NOT NULL,
    created_at    timestamptz NOT NULL
);

-- The oldest of a target.
CREATE INDEX alerts_target ON alerts (target, alert_id);

-- In the order of their ids alerts are read and delivered: as with killmail_events, an id may only become visible when every smaller one has, or never will.
-- The lock is the same, so that alerts come in the order of the events of their kills.
CREATE TRIGGER alerts_in_turn BEFORE INSERT ON alerts FOR EACH STATEMENT EXECUTE FUNCTION killmail_events_take_turn();

-- Targets that have refused so often that they are told nothing any more, until a profile with them is written anew.
CREATE TABLE alert_targets (
    target      bigint      PRIMARY KEY,
    -- What of the URL may be shown.
    shown       text        NOT NULL,
    reason      text        NOT NULL,
    disabled_at timestamptz NOT NULL
);
