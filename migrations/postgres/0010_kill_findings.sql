-- What the `tag` stage finds out about a kill, beside what was there: NULL where it is not known.

ALTER TABLE killmails_enriched
    ADD COLUMN constellation_id bigint,
    -- As it is, not rounded: -1.0 to 1.0.
    ADD COLUMN security_status  double precision,
    -- 'highsec', 'lowsec', 'nullsec', 'wspace', 'pochven', 'abyssal', 'drifter'.
    ADD COLUMN system_class     text,
    -- Of the victim's ship: 'frigate', 'capsule', …
    ADD COLUMN ship_class       text,
    -- zKillboard's.
    ADD COLUMN points           bigint,
    ADD COLUMN labels           text[];

-- As the module doc of `tags::measures` defines them.
ALTER TABLE killmail_participants
    -- Kilograms: what a side destroyed less what it lost. The sum over a kill is 0.
    ADD COLUMN mass_balance double precision,
    -- 1: as much as expected. NULL for the victim.
    ADD COLUMN usefulness   double precision;
