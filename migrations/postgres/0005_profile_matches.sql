-- Which kills a surveillance profile matched: by month of killmail_time, as the kills.

CREATE TABLE profile_matches (
    killmail_id   bigint      NOT NULL,
    killmail_time timestamptz NOT NULL,
    profile_id    bigint      NOT NULL,
    matched_at    timestamptz NOT NULL,
    PRIMARY KEY (killmail_id, killmail_time, profile_id)
) PARTITION BY RANGE (killmail_time);

-- Matches of a profile, newest first.
CREATE INDEX profile_matches_profile ON profile_matches (profile_id, killmail_time DESC);
