-- Killmails as received, what is known of each, and who took part: by month of killmail_time.
--
-- The months are tables of their own (killmails_raw_2021_11), made by the program before kills need them, and cheap to drop. Their key
-- holds the time because PostgreSQL wants the partition key in every unique index; a kill's time never changes.
-- Money is ISK with two decimals.

CREATE TABLE killmails_raw (
    killmail_id     bigint      NOT NULL,
    killmail_hash   text,
    killmail_time   timestamptz NOT NULL,
    solar_system_id bigint      NOT NULL,
    source          text        NOT NULL,
    received_at     timestamptz NOT NULL,
    -- How much the payload holds: 0 the feed's own form, 1 ESI's, 2 ESI's with zKillboard's block. A greater one replaces a lesser one.
    form            smallint    NOT NULL,
    -- As received, to the byte; `payload::jsonb` to look into it.
    payload         text        NOT NULL,
    PRIMARY KEY (killmail_id, killmail_time)
) PARTITION BY RANGE (killmail_time);

-- Packs payloads of 2 kB and more several times faster than PostgreSQL's own method; a server may be built without it.
DO $$
BEGIN
    ALTER TABLE killmails_raw ALTER COLUMN payload SET COMPRESSION lz4;
EXCEPTION
    WHEN feature_not_supported THEN NULL;
END
$$;

CREATE TABLE killmails_enriched (
    killmail_id           bigint      NOT NULL,
    killmail_time         timestamptz NOT NULL,
    solar_system_id       bigint      NOT NULL,
    region_id             bigint,
    victim_character_id   bigint,
    victim_corporation_id bigint,
    victim_alliance_id    bigint,
    victim_faction_id     bigint,
    victim_ship_type_id   bigint,
    attacker_count        integer     NOT NULL,
    total_value           numeric,
    destroyed_value       numeric,
    dropped_value         numeric,
    fitted_value          numeric,
    -- Who set the values: 'zkb' when they came with the kill.
    price_source          text,
    module_tags           text[]      NOT NULL DEFAULT '{}',
    npc                   boolean,
    solo                  boolean,
    awox                  boolean,
    -- 'partial' while something that could be known is missing, then 'complete'.
    enrichment_status     text        NOT NULL CONSTRAINT enrichment_status_known CHECK (enrichment_status IN ('partial', 'complete')),
    enriched_at           timestamptz NOT NULL,
    PRIMARY KEY (killmail_id, killmail_time)
) PARTITION BY RANGE (killmail_time);

-- Kills of a system, and losses of a pilot, a corporation, an alliance, a ship: newest first.
CREATE INDEX killmails_enriched_system ON killmails_enriched (solar_system_id, killmail_time DESC);
CREATE INDEX killmails_enriched_victim_character ON killmails_enriched (victim_character_id, killmail_time DESC)
    WHERE victim_character_id IS NOT NULL;
CREATE INDEX killmails_enriched_victim_corporation ON killmails_enriched (victim_corporation_id, killmail_time DESC)
    WHERE victim_corporation_id IS NOT NULL;
CREATE INDEX killmails_enriched_victim_alliance ON killmails_enriched (victim_alliance_id, killmail_time DESC)
    WHERE victim_alliance_id IS NOT NULL;
CREATE INDEX killmails_enriched_victim_ship ON killmails_enriched (victim_ship_type_id, killmail_time DESC)
    WHERE victim_ship_type_id IS NOT NULL;
CREATE INDEX killmails_enriched_module_tags ON killmails_enriched USING gin (module_tags);

-- Position 0 is the victim, 1 and above are the attackers in the order of the killmail.
CREATE TABLE killmail_participants (
    killmail_id     bigint      NOT NULL,
    killmail_time   timestamptz NOT NULL,
    position        integer     NOT NULL,
    is_victim       boolean     NOT NULL,
    character_id    bigint,
    corporation_id  bigint,
    alliance_id     bigint,
    faction_id      bigint,
    ship_type_id    bigint,
    weapon_type_id  bigint,
    -- The damage an attacker did; NULL for the victim.
    damage_done     bigint,
    final_blow      boolean     NOT NULL,
    security_status double precision,
    PRIMARY KEY (killmail_id, killmail_time, position)
) PARTITION BY RANGE (killmail_time);

-- Kills and losses of a pilot, a corporation, an alliance, a ship: newest first. Many attackers are not players: they have no character.
CREATE INDEX killmail_participants_character ON killmail_participants (character_id, killmail_time DESC) WHERE character_id IS NOT NULL;
CREATE INDEX killmail_participants_corporation ON killmail_participants (corporation_id, killmail_time DESC) WHERE corporation_id IS NOT NULL;
CREATE INDEX killmail_participants_alliance ON killmail_participants (alliance_id, killmail_time DESC) WHERE alliance_id IS NOT NULL;
CREATE INDEX killmail_participants_ship ON killmail_participants (ship_type_id, killmail_time DESC) WHERE ship_type_id IS NOT NULL;
