-- Killmails as received, what is known of each, and who took part.
--
-- Times are RFC 3339 in UTC, as text. Kill times have whole seconds, all others three decimals, so that texts sort as times do.
-- Money is whole ISK cents.

CREATE TABLE killmails_raw (
    killmail_id     INTEGER PRIMARY KEY,
    killmail_hash   TEXT,
    killmail_time   TEXT    NOT NULL,
    solar_system_id INTEGER NOT NULL,
    source          TEXT    NOT NULL,
    received_at     TEXT    NOT NULL,
    -- How much the payload holds: 0 the feed's own form, 1 ESI's, 2 ESI's with zKillboard's block. A greater one replaces a lesser one.
    form            INTEGER NOT NULL,
    -- Last, because a long payload spills over into pages that other columns need not read then.
    payload         TEXT    NOT NULL
) STRICT;

CREATE TABLE killmails_enriched (
    killmail_id           INTEGER PRIMARY KEY,
    killmail_time         TEXT    NOT NULL,
    solar_system_id       INTEGER NOT NULL,
    region_id             INTEGER,
    victim_character_id   INTEGER,
    victim_corporation_id INTEGER,
    victim_alliance_id    INTEGER,
    victim_faction_id     INTEGER,
    victim_ship_type_id   INTEGER,
    attacker_count        INTEGER NOT NULL,
    total_value           INTEGER,
    destroyed_value       INTEGER,
    dropped_value         INTEGER,
    fitted_value          INTEGER,
    -- Who set the values: 'zkb' when they came with the kill.
    price_source          TEXT,
    module_tags           TEXT    NOT NULL DEFAULT '[]',
    npc                   INTEGER,
    solo                  INTEGER,
    awox                  INTEGER,
    -- 'partial' while something that could be known is missing, then 'complete'.
    enrichment_status     TEXT    NOT NULL CONSTRAINT enrichment_status_known CHECK (enrichment_status IN ('partial', 'complete')),
    enriched_at           TEXT    NOT NULL
) STRICT;

-- Kills of a system, newest last.
CREATE INDEX killmails_enriched_system ON killmails_enriched (solar_system_id, killmail_time);

-- Position 0 is the victim, 1 and above are the attackers in the order of the killmail.
CREATE TABLE killmail_participants (
    killmail_id     INTEGER NOT NULL,
    killmail_time   TEXT    NOT NULL,
    position        INTEGER NOT NULL,
    is_victim       INTEGER NOT NULL,
    character_id    INTEGER,
    corporation_id  INTEGER,
    alliance_id     INTEGER,
    faction_id      INTEGER,
    ship_type_id    INTEGER,
    weapon_type_id  INTEGER,
    -- The damage an attacker did; NULL for the victim.
    damage_done     INTEGER,
    final_blow      INTEGER NOT NULL,
    security_status REAL,
    PRIMARY KEY (killmail_id, position)
) STRICT, WITHOUT ROWID;

-- "Kills of this pilot". The killmail id, which SQLite adds to every index, gives the order of time, nearly; so the time itself is
-- not repeated. Every index on this table touches some 500 pages in a batch of 100 kills and costs a third of the rate of inserts; so
-- corporations and alliances have none: a scan reads half a million participants in a tenth of a second, and who asks
-- often can add one.
CREATE INDEX killmail_participants_character ON killmail_participants (character_id) WHERE character_id IS NOT NULL;
