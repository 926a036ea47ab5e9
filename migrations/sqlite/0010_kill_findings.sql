-- What the `tag` stage finds out about a kill, beside what was there: NULL where it is not known.

ALTER TABLE killmails_enriched ADD COLUMN constellation_id INTEGER;
-- As it is, not rounded: -1.0 to 1.0.
ALTER TABLE killmails_enriched ADD COLUMN security_status REAL;
-- 'highsec', 'lowsec', 'nullsec', 'wspace', 'pochven', 'abyssal', 'drifter'.
ALTER TABLE killmails_enriched ADD COLUMN system_class TEXT;
-- Of the victim's ship: 'frigate', 'capsule', …
ALTER TABLE killmails_enriched ADD COLUMN ship_class TEXT;
-- zKillboard's.
ALTER TABLE killmails_enriched ADD COLUMN points INTEGER;
-- A JSON array, as module_tags.
ALTER TABLE killmails_enriched ADD COLUMN labels TEXT;

-- As the module doc of `tags::measures` defines them. Kilograms: what a side destroyed less what it lost. The sum over a kill is 0.
ALTER TABLE killmail_participants ADD COLUMN mass_balance REAL;
-- 1: as much as expected. NULL for the victim.
ALTER TABLE killmail_participants ADD COLUMN usefulness REAL;
