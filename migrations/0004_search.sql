-- Finding log records, and what people add to them. The records themselves never change.

-- For one record by its id, and for what was stored since another: ids rise within each partition as its pages do. COPY takes 3 % more
-- of the server's processor time for it and no more WAL; a B-tree would take 12 % and 66 bytes a row.
CREATE INDEX logs_id ON logs USING brin (id) WITH (autosummarize = on);

CREATE TABLE archived_logs (
    log_id      bigint      PRIMARY KEY,
    archived_at timestamptz NOT NULL,
    actor       text        NOT NULL,
    reason      text
);
COMMENT ON TABLE archived_logs IS 'Log records that somebody put out of sight: searches find them only where they are asked for';
COMMENT ON COLUMN archived_logs.log_id IS 'logs.id of the record';
COMMENT ON COLUMN archived_logs.archived_at IS 'When';
COMMENT ON COLUMN archived_logs.actor IS 'Who, as in audit_log';
COMMENT ON COLUMN archived_logs.reason IS 'Why, where that was said';

CREATE TABLE log_notes (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_id  bigint      NOT NULL,
    author  text        NOT NULL,
    at      timestamptz NOT NULL,
    body    text        NOT NULL
);
COMMENT ON TABLE log_notes IS 'What people noted about a log record';
COMMENT ON COLUMN log_notes.id IS 'Key';
COMMENT ON COLUMN log_notes.log_id IS 'logs.id of the record';
COMMENT ON COLUMN log_notes.author IS 'Who, as in audit_log';
COMMENT ON COLUMN log_notes.at IS 'When';
COMMENT ON COLUMN log_notes.body IS 'Text';
CREATE INDEX log_notes_log_id ON log_notes (log_id, id);

CREATE TABLE added_logs (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor    text        NOT NULL,
    added_at timestamptz NOT NULL,
    line     text        NOT NULL,
    taken_at timestamptz
);
COMMENT ON TABLE added_logs IS 'Lines that people add by hand, on their way to the journal of the daemon';
COMMENT ON COLUMN added_logs.id IS 'Key; the line is the delivery added-<id> of the source manual';
COMMENT ON COLUMN added_logs.actor IS 'Who, as in audit_log';
COMMENT ON COLUMN added_logs.added_at IS 'When';
COMMENT ON COLUMN added_logs.line IS 'The line, as it would stand in a log file';
COMMENT ON COLUMN added_logs.taken_at IS 'When it was in the journal, on disk';
CREATE INDEX added_logs_waiting ON added_logs (id) WHERE taken_at IS NULL;
