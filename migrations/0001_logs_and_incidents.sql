-- Logs, incidents with their evidence, and the positions that make ingestion exactly-once.
-- PostgreSQL 15 or later.

CREATE TYPE event_type AS ENUM (
    'login_success', 'login_failed', 'logout', 'access_denied', 'privilege_use', 'account_change',
    'connection_allowed', 'connection_blocked', 'ids_alert', 'malware_detected', 'data_transfer',
    'http_request', 'config_change', 'service_change', 'system', 'other');
COMMENT ON TYPE event_type IS 'Closed vocabulary of what a log record tells of';

CREATE TYPE severity AS ENUM ('low', 'medium', 'high', 'critical');
COMMENT ON TYPE severity IS 'How bad a record or an incident is; ordered, so that severity >= ''high'' means what it says';

CREATE TYPE incident_status AS ENUM ('open', 'investigating', 'contained', 'resolved', 'false_positive');
COMMENT ON TYPE incident_status IS 'Life of an incident; resolved and false_positive are its ends';

-- Logs -------------------------------------------------------------------------------------------------------------------------

CREATE SEQUENCE logs_id_seq AS bigint INCREMENT BY 65536;
COMMENT ON SEQUENCE logs_id_seq IS 'Each nextval hands out a block of 65536 ids, starting at the value';

CREATE TABLE logs (
    id          bigint      NOT NULL,
    event_time  timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    source      text        NOT NULL,
    host        text,
    app         text,
    pid         integer,
    event_type  event_type  NOT NULL,
    severity    severity    NOT NULL,
    username    text,
    src_ip      inet,
    src_port    integer,
    dst_ip      inet,
    dst_port    integer,
    protocol    text,
    action      text,
    message     text        NOT NULL,
    raw         bytea,
    fields      jsonb,
    -- Newest first by key, a range of time, and evidence by (event_time, id).
    PRIMARY KEY (event_time, id)
) PARTITION BY RANGE (event_time);
COMMENT ON TABLE logs IS 'Every frame that was received, once, as a typed record; one partition per UTC day of event_time';
COMMENT ON COLUMN logs.id IS 'Unique over all partitions; handed out by the daemon from blocks of logs_id_seq, in the order of processing';
COMMENT ON COLUMN logs.event_time IS 'When it happened, as the line says; the time of receipt where it says nothing or something absurd';
COMMENT ON COLUMN logs.received_at IS 'When the daemon received the frame, or read it from its file';
COMMENT ON COLUMN logs.source IS 'Name of the configured input that it came from';
COMMENT ON COLUMN logs.host IS 'Machine or device that wrote it (host.name)';
COMMENT ON COLUMN logs.app IS 'Program that wrote it (process.name)';
COMMENT ON COLUMN logs.pid IS 'Process id of that program (process.pid)';
COMMENT ON COLUMN logs.event_type IS 'What kind of event it is (event.category and event.type in one word)';
COMMENT ON COLUMN logs.severity IS 'How bad it is';
COMMENT ON COLUMN logs.username IS 'Account that acted or was acted upon (user.name)';
COMMENT ON COLUMN logs.src_ip IS 'Remote end or initiator (source.ip)';
COMMENT ON COLUMN logs.src_port IS 'Port of the initiator, 0 to 65535 (source.port)';
COMMENT ON COLUMN logs.dst_ip IS 'Responder (destination.ip)';
COMMENT ON COLUMN logs.dst_port IS 'Port of the responder, 0 to 65535 (destination.port)';
COMMENT ON COLUMN logs.protocol IS 'Network or transport protocol, lower case (network.transport)';
COMMENT ON COLUMN logs.action IS 'What was done, in the product''s word (event.action)';
COMMENT ON COLUMN logs.message IS 'The message without its envelope; NUL bytes appear as U+2400, bytes that are no UTF-8 as \xHH';
COMMENT ON COLUMN logs.raw IS 'The original bytes of the frame (event.original), where they differ from message; NULL means that message is the frame';
COMMENT ON COLUMN logs.fields IS 'Everything else the line says, under dotted ECS names; NULL where there is nothing';

-- What an address or an account did, newest first.
CREATE INDEX logs_src_ip ON logs (src_ip, event_time) WHERE src_ip IS NOT NULL;
CREATE INDEX logs_username ON logs (username, event_time) WHERE username IS NOT NULL;
-- What the detectors look at: read at start to rebuild their windows. Small, since most records are neither.
CREATE INDEX logs_detected ON logs (event_time)
    WHERE event_type IN ('login_success', 'login_failed') OR severity >= 'high';

CREATE FUNCTION ensure_log_partition(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name text := 'logs_' || to_char(day, 'YYYY_MM_DD');
BEGIN
    -- Two transactions that need the same new day take turns.
    PERFORM pg_advisory_xact_lock(hashtext('ensure_log_partition'));
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Attached rather than created in place: ATTACH lets the COPY of other partitions go on.
    EXECUTE format('CREATE TABLE %I (LIKE logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING COMMENTS)', name);
    EXECUTE format('ALTER TABLE logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name,
                   day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    RETURN true;
EXCEPTION WHEN invalid_object_definition THEN
    RETURN false; -- the day lies in logs_archive
END $$;
COMMENT ON FUNCTION ensure_log_partition(date) IS 'Makes the partition of logs for a UTC day unless it is there; true if it made one';

-- Times of long ago make no partitions of their own: whatever claims to be older than this first day shares one.
DO $$
DECLARE
    first_day date := (now() AT TIME ZONE 'UTC')::date - 400;
BEGIN
    EXECUTE format('CREATE TABLE logs_archive PARTITION OF logs FOR VALUES FROM (MINVALUE) TO (%L)', first_day::timestamp AT TIME ZONE 'UTC');
END $$;
COMMENT ON TABLE logs_archive IS 'Records older than 400 days when this database was set up';

CREATE TABLE quarantine (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    log_id         bigint      NOT NULL,
    received_at    timestamptz NOT NULL,
    source         text        NOT NULL,
    raw            bytea       NOT NULL,
    sqlstate       text        NOT NULL,
    reason         text        NOT NULL
);
COMMENT ON TABLE quarantine IS 'Frames whose row PostgreSQL refused, with the reason; their batch went on without them';
COMMENT ON COLUMN quarantine.id IS 'Key';
COMMENT ON COLUMN quarantine.quarantined_at IS 'When the row was refused';
COMMENT ON COLUMN quarantine.log_id IS 'The id that it would have had in logs';
COMMENT ON COLUMN quarantine.received_at IS 'When the frame was received';
COMMENT ON COLUMN quarantine.source IS 'Name of the input that it came from';
COMMENT ON COLUMN quarantine.raw IS 'The original bytes of the frame';
COMMENT ON COLUMN quarantine.sqlstate IS 'SQLSTATE of the refusal';
COMMENT ON COLUMN quarantine.reason IS 'What PostgreSQL said';

CREATE TABLE positions (
    input      text        NOT NULL,
    part       text        NOT NULL DEFAULT '',
    position   bigint      NOT NULL,
    epoch      bigint      NOT NULL DEFAULT 0,
    detail     jsonb       NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (input, part)
);
COMMENT ON TABLE positions IS 'How far each input has been read; written in the transaction that stores what was read';
COMMENT ON COLUMN positions.input IS 'journal, files:<set>, or pipeline: the row that every transaction follows on';
COMMENT ON COLUMN positions.part IS 'Identity of the file within its set, or of the journal; empty for pipeline';
COMMENT ON COLUMN positions.position IS 'Bytes read: offset in the journal or the file; for pipeline the number of transactions';
COMMENT ON COLUMN positions.epoch IS 'For pipeline: raised by every daemon that takes over; an older owner''s next commit fails';
COMMENT ON COLUMN positions.detail IS 'What else is needed to go on: path, fingerprint and inode of a file; the detectors'' floor';
COMMENT ON COLUMN positions.updated_at IS 'When it was last written';
INSERT INTO positions (input, position) VALUES ('pipeline', 0);

CREATE TABLE deliveries (
    source      text        NOT NULL,
    delivery_id text        NOT NULL,
    stored_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, delivery_id)
);
COMMENT ON TABLE deliveries IS 'Webhook deliveries that were stored, so that a repeated one is not';
COMMENT ON COLUMN deliveries.source IS 'Name of the webhook';
COMMENT ON COLUMN deliveries.delivery_id IS 'Id that the sender gave the delivery';
COMMENT ON COLUMN deliveries.stored_at IS 'When it was stored; forgotten some days later';
CREATE INDEX deliveries_stored_at ON deliveries (stored_at);

-- Incidents --------------------------------------------------------------------------------------------------------------------

CREATE TABLE incidents (
    id              bigint          GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    number          text            NOT NULL UNIQUE,
    title           text            NOT NULL,
    description     text            NOT NULL DEFAULT '',
    status          incident_status NOT NULL DEFAULT 'open',
    severity        severity        NOT NULL,
    priority        text            NOT NULL CHECK (priority IN ('P1', 'P2', 'P3', 'P4')),
    category        text            NOT NULL DEFAULT 'other',
    attack_vector   text,
    reporter        text            NOT NULL,
    assignee        text,
    detector        text,
    group_key       text,
    group_values    jsonb,
    first_seen      timestamptz,
    last_seen       timestamptz,
    event_count     bigint          NOT NULL DEFAULT 0,
    usernames       text[]          NOT NULL DEFAULT '{}',
    technique       text,
    created_at      timestamptz     NOT NULL DEFAULT now(),
    updated_at      timestamptz     NOT NULL DEFAULT now(),
    acknowledged_at timestamptz,
    resolved_at     timestamptz,
    resolution      text,
    lessons_learned text,
    CHECK ((detector IS NULL) = (group_key IS NULL))
);
COMMENT ON TABLE incidents IS 'Security incidents, opened by detectors or by people';
COMMENT ON COLUMN incidents.id IS 'Key';
COMMENT ON COLUMN incidents.number IS 'What people call it: INC-<year>-<six digits>';
COMMENT ON COLUMN incidents.title IS 'One line';
COMMENT ON COLUMN incidents.description IS 'What happened: addresses, counts, accounts, times';
COMMENT ON COLUMN incidents.status IS 'Where in its life it is';
COMMENT ON COLUMN incidents.severity IS 'How bad it is; rises with the count, never falls by itself';
COMMENT ON COLUMN incidents.priority IS 'P1 (now) to P4 (when there is time)';
COMMENT ON COLUMN incidents.category IS 'Category of the Reference Security Incident Taxonomy';
COMMENT ON COLUMN incidents.attack_vector IS 'How the attack came in';
COMMENT ON COLUMN incidents.reporter IS 'anomaly_detection_system, or the user who reported it';
COMMENT ON COLUMN incidents.assignee IS 'Who works on it';
COMMENT ON COLUMN incidents.detector IS 'Detector that opened it; NULL for a person''s';
COMMENT ON COLUMN incidents.group_key IS 'What its events have in common, as text: src_ip=192.0.2.1';
COMMENT ON COLUMN incidents.group_values IS 'The same as an object: {"src_ip": "192.0.2.1"}';
COMMENT ON COLUMN incidents.first_seen IS 'Event time of its earliest event';
COMMENT ON COLUMN incidents.last_seen IS 'Event time of its latest event';
COMMENT ON COLUMN incidents.event_count IS 'Events it rests on, each counted once';
COMMENT ON COLUMN incidents.usernames IS 'Accounts that its events name; at most 100';
COMMENT ON COLUMN incidents.technique IS 'ATT&CK technique, such as T1110.001';
COMMENT ON COLUMN incidents.created_at IS 'When it was opened';
COMMENT ON COLUMN incidents.updated_at IS 'When it last changed';
COMMENT ON COLUMN incidents.acknowledged_at IS 'When somebody took notice';
COMMENT ON COLUMN incidents.resolved_at IS 'When it was resolved or found to be false';
COMMENT ON COLUMN incidents.resolution IS 'How it was resolved';
COMMENT ON COLUMN incidents.lessons_learned IS 'What to do better';
-- One attack is one incident: there is at most one unresolved one for a detector and group.
CREATE UNIQUE INDEX incidents_unresolved ON incidents (detector, group_key)
    WHERE status IN ('open', 'investigating', 'contained');

CREATE TABLE incident_evidence (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id bigint      NOT NULL REFERENCES incidents,
    log_id      bigint      NOT NULL,
    event_time  timestamptz NOT NULL,
    record      jsonb       NOT NULL,
    added_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (incident_id, log_id)
);
COMMENT ON TABLE incident_evidence IS 'Copies of the log records that prove an incident; they outlive the retention of logs';
COMMENT ON COLUMN incident_evidence.id IS 'Key';
COMMENT ON COLUMN incident_evidence.incident_id IS 'The incident';
COMMENT ON COLUMN incident_evidence.log_id IS 'logs.id of the original';
COMMENT ON COLUMN incident_evidence.event_time IS 'logs.event_time of the original';
COMMENT ON COLUMN incident_evidence.record IS 'The whole row of logs as an object; raw as \x and hexadecimal digits';
COMMENT ON COLUMN incident_evidence.added_at IS 'When it was attached';

CREATE VIEW active_incidents AS
    SELECT id, number, title, status, severity, priority, category, assignee, detector, group_key,
           first_seen, last_seen, event_count, created_at, updated_at
    FROM incidents
    WHERE status IN ('open', 'investigating', 'contained')
    ORDER BY severity DESC, last_seen DESC NULLS LAST;
COMMENT ON VIEW active_incidents IS 'Incidents that are not resolved, worst first';

CREATE FUNCTION weekly_summary(until timestamptz DEFAULT now())
RETURNS TABLE (period_start timestamptz, period_end timestamptz, total_logs bigint, failed_logins bigint, incidents bigint)
LANGUAGE sql STABLE AS $$
    SELECT until - interval '7 days', until,
           (SELECT count(*) FROM logs WHERE event_time >= until - interval '7 days' AND event_time < until),
           (SELECT count(*) FROM logs WHERE event_time >= until - interval '7 days' AND event_time < until AND event_type = 'login_failed'),
           (SELECT count(*) FROM incidents WHERE created_at >= until - interval '7 days' AND created_at < until)
$$;
COMMENT ON FUNCTION weekly_summary(timestamptz) IS 'Seven days up to a moment: logs, failed logins and incidents, each counted once';
