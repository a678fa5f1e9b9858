-- How incidents relate to things and to each other: observables, links, incidents that were merged or split.

CREATE TYPE observable_kind AS ENUM ('address', 'domain', 'url', 'hash', 'user', 'email');
COMMENT ON TYPE observable_kind IS 'Kinds of cyber-observable objects of STIX 2.1 that are kept; the length of a hash tells MD5, SHA-1 and SHA-256 apart';

CREATE TYPE tlp AS ENUM ('clear', 'green', 'amber', 'amber+strict', 'red');
COMMENT ON TYPE tlp IS 'Traffic Light Protocol 2.0, from what may be told to everybody; ordered';

CREATE TABLE observables (
    id    bigint          GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind  observable_kind NOT NULL,
    value text            NOT NULL CHECK (octet_length(value) BETWEEN 1 AND 2048),
    -- The value first: people look for one without knowing of which kind it is.
    UNIQUE (value, kind)
);
COMMENT ON TABLE observables IS 'Things that were seen in incidents, each once';
COMMENT ON COLUMN observables.id IS 'Key';
COMMENT ON COLUMN observables.kind IS 'What it is';
COMMENT ON COLUMN observables.value IS 'The value in its one normal form, at most 2048 bytes';

CREATE TABLE incident_observables (
    incident_id   bigint      NOT NULL REFERENCES incidents,
    observable_id bigint      NOT NULL REFERENCES observables,
    tlp           tlp         NOT NULL DEFAULT 'amber',
    log_id        bigint,
    added_by      text        NOT NULL,
    added_at      timestamptz NOT NULL,
    comment       text,
    removed_at    timestamptz,
    PRIMARY KEY (incident_id, observable_id)
);
COMMENT ON TABLE incident_observables IS 'Which observables an incident has';
COMMENT ON COLUMN incident_observables.incident_id IS 'The incident';
COMMENT ON COLUMN incident_observables.observable_id IS 'The observable';
COMMENT ON COLUMN incident_observables.tlp IS 'To whom it may be told, as long as it is about this incident';
COMMENT ON COLUMN incident_observables.log_id IS 'logs.id of the evidence that it was first found in; NULL for one that somebody added by hand';
COMMENT ON COLUMN incident_observables.added_by IS 'Who, as in audit_log; tocsin for what was found in evidence';
COMMENT ON COLUMN incident_observables.added_at IS 'When';
COMMENT ON COLUMN incident_observables.comment IS 'What somebody says of it';
COMMENT ON COLUMN incident_observables.removed_at IS 'Since when it is none of the incident: evidence does not bring it back';
-- Where else something was seen.
CREATE INDEX incident_observables_seen ON incident_observables (observable_id, incident_id DESC) WHERE removed_at IS NULL;

-- Evidence that was not looked through yet. Whatever was stored before this is.
ALTER TABLE incident_evidence
    ADD COLUMN extracted boolean NOT NULL DEFAULT false,
    ADD COLUMN events    bigint  NOT NULL DEFAULT 1;
COMMENT ON COLUMN incident_evidence.extracted IS 'Observables were looked for in it';
COMMENT ON COLUMN incident_evidence.events IS 'Events that the record stands for (message repeated N times); 1 for what was attached before this was noted';
CREATE INDEX incident_evidence_waiting ON incident_evidence (id) WHERE NOT extracted;

CREATE TABLE incident_links (
    incident_id bigint      NOT NULL REFERENCES incidents,
    other_id    bigint      NOT NULL REFERENCES incidents,
    kind        text        NOT NULL CHECK (kind IN ('related', 'duplicate_of', 'caused_by')),
    created_by  text        NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (incident_id, other_id, kind),
    CHECK (incident_id <> other_id AND (kind <> 'related' OR incident_id < other_id))
);
COMMENT ON TABLE incident_links IS 'What people say that two incidents have to do with each other';
COMMENT ON COLUMN incident_links.incident_id IS 'The one that is a duplicate, or was caused; of two related ones, the earlier';
COMMENT ON COLUMN incident_links.other_id IS 'The other one';
COMMENT ON COLUMN incident_links.kind IS 'What the first is to the other';
COMMENT ON COLUMN incident_links.created_by IS 'Who said so, as in audit_log';
COMMENT ON COLUMN incident_links.created_at IS 'When';
CREATE INDEX incident_links_other ON incident_links (other_id);

ALTER TABLE incidents
    ADD COLUMN merged_into bigint REFERENCES incidents,
    ADD COLUMN absorbed    boolean NOT NULL DEFAULT false,
    ADD CHECK (merged_into IS NULL OR (merged_into <> id AND status = 'resolved'));
COMMENT ON COLUMN incidents.merged_into IS 'The incident that it became a part of, which is itself part of none; NULL for one that stands for itself';
COMMENT ON COLUMN incidents.absorbed IS 'Others became part of it: what detectors add is held against its evidence, so that no event counts twice';
-- Where the events of a merged incident's detector and group go on.
CREATE INDEX incidents_merged ON incidents (detector, group_key) WHERE merged_into IS NOT NULL;
-- What an incident consists of.
CREATE INDEX incidents_merged_into ON incidents (merged_into) WHERE merged_into IS NOT NULL;
