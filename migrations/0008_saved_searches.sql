-- Searches that people keep.

CREATE TABLE saved_searches (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner      text        NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('logs', 'incidents')),
    name       text        NOT NULL,
    query      text        NOT NULL,
    shared     boolean     NOT NULL,
    version    bigint      NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (owner, kind, name)
);
COMMENT ON TABLE saved_searches IS 'Searches that people keep, each under a name of its owner''s';
COMMENT ON COLUMN saved_searches.id IS 'Key';
COMMENT ON COLUMN saved_searches.owner IS 'Whose it is, as in audit_log';
COMMENT ON COLUMN saved_searches.kind IS 'What is searched';
COMMENT ON COLUMN saved_searches.name IS 'What its owner calls it';
COMMENT ON COLUMN saved_searches.query IS 'For logs, in the search language; for incidents, the parameters of the API''s list as they stand behind its ?';
COMMENT ON COLUMN saved_searches.shared IS 'Whether everybody sees it';
COMMENT ON COLUMN saved_searches.version IS 'Counts changes, as that of an incident';
COMMENT ON COLUMN saved_searches.created_at IS 'When it was made';
COMMENT ON COLUMN saved_searches.updated_at IS 'When it was last changed';
