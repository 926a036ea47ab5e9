-- Names of item types and solar systems, to be found by any part of them.

CREATE TABLE eve_item_types (
    type_id bigint PRIMARY KEY,
    name    text   NOT NULL
);

CREATE TABLE eve_systems (
    system_id bigint PRIMARY KEY,
    name      text   NOT NULL
);

-- Trigrams make `name ILIKE '%part%'` a look-up. The extension comes with PostgreSQL's contrib package and may be made by the database's owner:
-- where neither is so, everything works without it, and an administrator can make both later.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX eve_item_types_name ON eve_item_types USING gin (name gin_trgm_ops);
    CREATE INDEX eve_systems_name ON eve_systems USING gin (name gin_trgm_ops);
EXCEPTION
    WHEN insufficient_privilege OR undefined_file OR undefined_object OR feature_not_supported THEN
        RAISE WARNING 'names have no trigram index: %', SQLERRM;
END
$$;
