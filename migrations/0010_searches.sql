-- What people look for most, and what would otherwise be looked for in everything.

-- What is bad, however long ago. The index on what detectors look at holds all logins, too, and each would be read to see how bad it was. It has
-- an entry only for the few records that are bad, so the others cost ingestion nothing but the comparison.
CREATE INDEX logs_severe ON logs (event_time) WHERE severity >= 'high';

-- Text in incidents, by trigrams. The extension comes with PostgreSQL, but an operator may have left it out, or not let us make it: then all
-- incidents are looked through.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX incidents_text ON incidents USING gin
        (lower(number || ' ' || title || ' ' || description || ' ' || coalesce(group_key, '')) gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
    RAISE NOTICE 'pg_trgm is not available: searching for text in incidents takes longer';
END $$;
