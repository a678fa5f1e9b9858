-- What is kept for how long, and for whom: retention, legal holds. What is worth how much: assets. What is not looked at: suppressions.

-- Retention ----------------------------------------------------------------------------------------------------------------------

CREATE TABLE dropped_logs (
    id                bigint         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dropped_at        timestamptz    NOT NULL,
    day               date,
    rows              bigint         NOT NULL,
    bytes             bigint,
    first_transaction bigint,
    piece             smallint,
    frames            bigint,
    ids               int8multirange,
    CHECK ((day IS NULL) <> (ids IS NULL))
);
COMMENT ON TABLE dropped_logs IS 'What retention took out of logs and quarantine, written in the transactions that did: the ledger is held against it';
COMMENT ON COLUMN dropped_logs.id IS 'Key';
COMMENT ON COLUMN dropped_logs.dropped_at IS 'When';
COMMENT ON COLUMN dropped_logs.day IS 'UTC day whose partition was dropped; NULL for rows that were deleted out of logs_archive or quarantine';
COMMENT ON COLUMN dropped_logs.rows IS 'Records; for a partition as log_rollups counts them';
COMMENT ON COLUMN dropped_logs.bytes IS 'Size of the partition with its indexes';
COMMENT ON COLUMN dropped_logs.first_transaction IS 'The last row that the ledger had then: what those before it tell of the day was dropped';
COMMENT ON COLUMN dropped_logs.piece IS 'The last row that the ledger had then';
COMMENT ON COLUMN dropped_logs.frames IS 'Frames of the day that this row had then: they were dropped, and those that it had later were not';
COMMENT ON COLUMN dropped_logs.ids IS 'The ids that were deleted, where it was not a day';

CREATE FUNCTION drop_log_partition(gone date) RETURNS TABLE (records bigint, size bigint) LANGUAGE plpgsql
    -- Some ids are looked for in a partition of millions, whatever the planner thinks of tables that it has no statistics of.
    SET enable_seqscan = off AS $$
DECLARE
    name text := 'logs_' || to_char(gone, 'YYYY_MM_DD');
    began timestamptz := gone::timestamp AT TIME ZONE 'UTC';
    taken int8multirange;
    noted bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'logs'::regclass AND inhrelid = to_regclass(name)) THEN
        RETURN;
    END IF;
    size := pg_total_relation_size(to_regclass(name));
    -- What people noted about its records: of the ids that may be among them, if the ledger knows of the day, those that are.
    taken := (SELECT range_agg(l.ids) FROM ledger l WHERE l.days ? to_char(gone, 'YYYY-MM-DD'));
    noted := ARRAY(SELECT log_id FROM (SELECT log_id FROM log_notes UNION SELECT log_id FROM archived_logs) AS n
                   WHERE taken IS NULL OR log_id <@ taken);
    IF cardinality(noted) > 0 THEN
        EXECUTE format('SELECT array_agg(id) FROM %I WHERE id = ANY ($1)', name) INTO noted USING noted;
        DELETE FROM log_notes WHERE log_id = ANY (noted);
        DELETE FROM archived_logs WHERE log_id = ANY (noted);
    END IF;
    records := greatest(0, (SELECT coalesce(sum(count), 0) FROM log_rollups WHERE hour >= began AND hour < began + interval '24 hours')
        - (SELECT coalesce(sum(d.rows), 0) FROM dropped_logs d WHERE d.day = gone));
    -- From here on nothing is stored: whoever has copied rows has committed, so that the ledger tells of every row that is there. The caller
    -- says how long to wait for it (lock_timeout), since whoever comes behind us waits as long.
    LOCK TABLE ONLY logs IN ACCESS EXCLUSIVE MODE;
    INSERT INTO dropped_logs (dropped_at, day, rows, bytes, first_transaction, piece, frames)
    SELECT now(), gone, records, size, last.first_transaction, last.piece, coalesce((last.days->>to_char(gone, 'YYYY-MM-DD'))::bigint, 0)
    FROM (SELECT) AS one LEFT JOIN LATERAL
        (SELECT * FROM ledger ORDER BY ledger.first_transaction DESC, ledger.piece DESC LIMIT 1) AS last ON true;
    EXECUTE format('DROP TABLE %I', name);
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION drop_log_partition(date) IS 'Drops the partition of logs of a UTC day with what was noted about its records, and writes that down; no row if there is none';

CREATE TABLE maintenance_runs (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began_at   timestamptz NOT NULL,
    ended_at   timestamptz NOT NULL,
    actor      text        NOT NULL,
    complete   boolean     NOT NULL,
    done       jsonb       NOT NULL
);
COMMENT ON TABLE maintenance_runs IS 'When what was due was taken away';
COMMENT ON COLUMN maintenance_runs.id IS 'Key';
COMMENT ON COLUMN maintenance_runs.began_at IS 'When it began';
COMMENT ON COLUMN maintenance_runs.ended_at IS 'When it ended';
COMMENT ON COLUMN maintenance_runs.actor IS 'Who, as in audit_log';
COMMENT ON COLUMN maintenance_runs.complete IS 'Nothing that was due was put off';
COMMENT ON COLUMN maintenance_runs.done IS 'What was taken away, and what was put off';
-- Nothing is dropped before the first time of day for it that comes after this: whoever brings an old database up to date can look first.
INSERT INTO maintenance_runs (began_at, ended_at, actor, complete, done) VALUES (now(), now(), 'tocsin', true, '[]');

ALTER TABLE incidents
    ADD COLUMN legal_hold_since  timestamptz,
    ADD COLUMN legal_hold_by     text,
    ADD COLUMN legal_hold_reason text,
    ADD CHECK (num_nonnulls(legal_hold_since, legal_hold_by, legal_hold_reason) IN (0, 3));
COMMENT ON COLUMN incidents.legal_hold_since IS 'Since when it and its evidence must be kept, whatever retention says; NULL where nothing holds it';
COMMENT ON COLUMN incidents.legal_hold_by IS 'Who said so, as in audit_log';
COMMENT ON COLUMN incidents.legal_hold_reason IS 'Why';

CREATE FUNCTION refuse_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'incidents' THEN
        IF OLD.legal_hold_since IS NULL THEN
            RETURN OLD;
        END IF;
    ELSIF NOT EXISTS (SELECT FROM incidents WHERE id = OLD.incident_id AND legal_hold_since IS NOT NULL) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'it is under legal hold' USING ERRCODE = 'restrict_violation';
END $$;
COMMENT ON FUNCTION refuse_held() IS 'Trigger of tables of which nothing is deleted that is under legal hold';
CREATE TRIGGER refuse_held BEFORE DELETE ON incidents FOR EACH ROW EXECUTE FUNCTION refuse_held();
CREATE TRIGGER refuse_held BEFORE DELETE ON incident_evidence FOR EACH ROW EXECUTE FUNCTION refuse_held();

-- Assets -------------------------------------------------------------------------------------------------------------------------

CREATE TABLE assets (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text        NOT NULL,
    matches     text[]      NOT NULL,
    criticality text        NOT NULL CHECK (criticality IN ('low', 'medium', 'high', 'critical')),
    owner       text,
    comment     text,
    version     bigint      NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX assets_name ON assets (lower(name));
COMMENT ON TABLE assets IS 'What there is to protect, and how much depends on it: priorities of incidents follow from it';
COMMENT ON COLUMN assets.id IS 'Key';
COMMENT ON COLUMN assets.name IS 'What people call it';
COMMENT ON COLUMN assets.matches IS 'By what it is recognised: host names, *.suffixes of them, addresses and networks; lower case';
COMMENT ON COLUMN assets.criticality IS 'How much depends on it';
COMMENT ON COLUMN assets.owner IS 'Who answers for it';
COMMENT ON COLUMN assets.comment IS 'What else there is to know';
COMMENT ON COLUMN assets.version IS 'Counts changes, as that of an incident';
COMMENT ON COLUMN assets.created_at IS 'When it was entered';
COMMENT ON COLUMN assets.updated_at IS 'When it was last changed';

CREATE TABLE asset_list (
    single  boolean PRIMARY KEY DEFAULT true CHECK (single),
    version bigint  NOT NULL
);
COMMENT ON TABLE asset_list IS 'The list of assets as a whole: whoever changes it locks this row';
COMMENT ON COLUMN asset_list.single IS 'There is one row';
COMMENT ON COLUMN asset_list.version IS 'Counts the changes of all assets';
INSERT INTO asset_list (version) VALUES (0);

ALTER TABLE incidents
    ADD COLUMN assessed_events   bigint NOT NULL DEFAULT 0,
    ADD COLUMN assessed_evidence bigint NOT NULL DEFAULT 0,
    ADD COLUMN assessed_assets   bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN incidents.assessed_events IS 'event_count when its evidence was last looked at for affected systems';
COMMENT ON COLUMN incidents.assessed_evidence IS 'incident_evidence.id up to which it was';
COMMENT ON COLUMN incidents.assessed_assets IS 'asset_list.version with which its priority was found';

-- Suppressions -------------------------------------------------------------------------------------------------------------------

CREATE TABLE suppressions (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    detector    text        NOT NULL,
    group_key   text        NOT NULL,
    until       timestamptz NOT NULL,
    reason      text        NOT NULL,
    incident    text        NOT NULL,
    created_by  text        NOT NULL,
    created_at  timestamptz NOT NULL,
    ended_by    text,
    ended_at    timestamptz,
    events      bigint      NOT NULL DEFAULT 0,
    first_seen  timestamptz,
    last_seen   timestamptz
);
-- At most one is in force for a detector and group; the commits of ingestion look for it before they open an incident.
CREATE UNIQUE INDEX suppressions_in_force ON suppressions (detector, group_key) WHERE ended_at IS NULL;
COMMENT ON TABLE suppressions IS 'What opens no incidents for a time, since somebody found it to be false; what was left out is counted';
COMMENT ON COLUMN suppressions.id IS 'Key';
COMMENT ON COLUMN suppressions.detector IS 'Of which detector or rule';
COMMENT ON COLUMN suppressions.group_key IS 'What its events have in common, as in incidents.group_key';
COMMENT ON COLUMN suppressions.until IS 'Events of before then open no incident';
COMMENT ON COLUMN suppressions.reason IS 'Why';
COMMENT ON COLUMN suppressions.incident IS 'incidents.number of the one that was found to be false';
COMMENT ON COLUMN suppressions.created_by IS 'Who said so, as in audit_log';
COMMENT ON COLUMN suppressions.created_at IS 'When';
COMMENT ON COLUMN suppressions.ended_by IS 'Who ended it; another one that took its place, where it is the same time';
COMMENT ON COLUMN suppressions.ended_at IS 'When somebody ended it; NULL also where its time is over';
COMMENT ON COLUMN suppressions.events IS 'Events that would have gone to an incident';
COMMENT ON COLUMN suppressions.first_seen IS 'Event time of the earliest of them';
COMMENT ON COLUMN suppressions.last_seen IS 'Event time of the latest of them';
