-- People, what they may do, and what they did.

CREATE TYPE user_role AS ENUM ('viewer', 'analyst', 'admin');
COMMENT ON TYPE user_role IS 'What a user may do; each role may do what those before it may';

CREATE TABLE users (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text        NOT NULL CHECK (name = lower(name)),
    display_name    text,
    email           text,
    role            user_role   NOT NULL,
    password_hash   text        NOT NULL,
    must_change     boolean     NOT NULL DEFAULT false,
    failed_logins   integer     NOT NULL DEFAULT 0,
    locked_until    timestamptz,
    disabled_at     timestamptz,
    version         bigint      NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    UNIQUE (name)
);
COMMENT ON TABLE users IS 'People who work with tocsin; never deleted, since what they did refers to them';
COMMENT ON COLUMN users.id IS 'Key';
COMMENT ON COLUMN users.name IS 'What they sign in with, lower case';
COMMENT ON COLUMN users.display_name IS 'What others call them';
COMMENT ON COLUMN users.email IS 'Where they are written to';
COMMENT ON COLUMN users.role IS 'What they may do';
COMMENT ON COLUMN users.password_hash IS 'Argon2id, as a PHC string';
COMMENT ON COLUMN users.must_change IS 'The password was made by somebody else: nothing else is allowed until it is changed';
COMMENT ON COLUMN users.failed_logins IS 'Wrong passwords since the last right one';
COMMENT ON COLUMN users.locked_until IS 'Signing in is refused until then, whatever the password';
COMMENT ON COLUMN users.disabled_at IS 'Since when signing in is refused for good';
COMMENT ON COLUMN users.version IS 'Counts changes, so that nobody overwrites what they have not seen';
COMMENT ON COLUMN users.created_at IS 'When the account was made';
COMMENT ON COLUMN users.updated_at IS 'When it was last changed by somebody';

CREATE TABLE sessions (
    token_hash   bytea       PRIMARY KEY,
    user_id      bigint      NOT NULL REFERENCES users,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    address      inet,
    user_agent   text
);
COMMENT ON TABLE sessions IS 'Who is signed in; a session that has ended is deleted';
COMMENT ON COLUMN sessions.token_hash IS 'SHA-256 of the token that the client holds';
COMMENT ON COLUMN sessions.user_id IS 'Whose session it is';
COMMENT ON COLUMN sessions.created_at IS 'When it began; it ends 12 hours later at the latest';
COMMENT ON COLUMN sessions.last_used_at IS 'When it was last used, within a minute; it ends when that is 30 minutes ago';
COMMENT ON COLUMN sessions.address IS 'Where it was begun from';
COMMENT ON COLUMN sessions.user_agent IS 'What it was begun with, as the client says';
CREATE INDEX sessions_user_id ON sessions (user_id);

CREATE TABLE api_tokens (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text        NOT NULL,
    token_hash   bytea       NOT NULL UNIQUE,
    user_id      bigint      NOT NULL REFERENCES users,
    role         user_role   NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    UNIQUE (user_id, name)
);
COMMENT ON TABLE api_tokens IS 'Tokens for programs';
COMMENT ON COLUMN api_tokens.id IS 'Key';
COMMENT ON COLUMN api_tokens.name IS 'What it is for';
COMMENT ON COLUMN api_tokens.token_hash IS 'SHA-256 of the token, which is shown once';
COMMENT ON COLUMN api_tokens.user_id IS 'On whose behalf it acts';
COMMENT ON COLUMN api_tokens.role IS 'What it may do, unless its user may do less by now';
COMMENT ON COLUMN api_tokens.created_at IS 'When it was made';
COMMENT ON COLUMN api_tokens.expires_at IS 'Until when it is accepted';
COMMENT ON COLUMN api_tokens.last_used_at IS 'When it was last used, within a minute';
COMMENT ON COLUMN api_tokens.revoked_at IS 'Since when it is refused';

-- The audit log: append-only, each row chained to the one before it. ------------------------------------------------------------

CREATE TABLE audit_log (
    id       bigint      PRIMARY KEY,
    at       timestamptz NOT NULL,
    actor    text        NOT NULL,
    role     text        NOT NULL,
    via      text        NOT NULL,
    address  text,
    action   text        NOT NULL,
    subject  text        NOT NULL,
    old      json,
    new      json,
    reason   text,
    previous bytea       NOT NULL,
    hash     bytea       NOT NULL
);
COMMENT ON TABLE audit_log IS 'What people did, each act in the transaction that did it';
COMMENT ON COLUMN audit_log.id IS '1, 2, 3, … without gaps';
COMMENT ON COLUMN audit_log.at IS 'When';
COMMENT ON COLUMN audit_log.actor IS 'Who: the name of a user, or os:<name> for somebody at the machine itself';
COMMENT ON COLUMN audit_log.role IS 'What they were allowed to do at that time';
COMMENT ON COLUMN audit_log.via IS 'Through which door: cli, api, web, or daemon';
COMMENT ON COLUMN audit_log.address IS 'From where, for those that came over the network';
COMMENT ON COLUMN audit_log.action IS 'What: user.create, incident.status, …';
COMMENT ON COLUMN audit_log.subject IS 'To what: user:ada, incident:INC-2026-000123, …';
COMMENT ON COLUMN audit_log.old IS 'What was changed, as it was; json and not jsonb, since its text is hashed';
COMMENT ON COLUMN audit_log.new IS 'What was changed, as it is';
COMMENT ON COLUMN audit_log.reason IS 'Why, where that had to be said';
COMMENT ON COLUMN audit_log.previous IS 'hash of the row before; 32 zeros for the first';
COMMENT ON COLUMN audit_log.hash IS 'SHA-256 over previous and all other columns';
CREATE INDEX audit_log_subject ON audit_log (subject, id);

CREATE TABLE audit_head (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    id   bigint  NOT NULL,
    hash bytea   NOT NULL
);
COMMENT ON TABLE audit_head IS 'The last row of audit_log: whoever appends locks it, and rows that vanish from the end are missed';
COMMENT ON COLUMN audit_head.single IS 'There is one row';
COMMENT ON COLUMN audit_head.id IS 'audit_log.id of the last row; 0 before the first';
COMMENT ON COLUMN audit_head.hash IS 'audit_log.hash of it';
INSERT INTO audit_head (id, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
COMMENT ON FUNCTION refuse_change() IS 'Trigger of tables whose rows are never changed or deleted';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Incidents as people work on them ----------------------------------------------------------------------------------------------

ALTER TABLE incidents
    ADD COLUMN version          bigint      NOT NULL DEFAULT 1,
    ADD COLUMN kind             text,
    ADD COLUMN affected         text[]      NOT NULL DEFAULT '{}',
    ADD COLUMN root_cause       text,
    ADD COLUMN priority_reason  text,
    ADD COLUMN archived_at      timestamptz;
COMMENT ON COLUMN incidents.version IS 'Counts the changes that people made, so that nobody overwrites what they have not seen';
COMMENT ON COLUMN incidents.kind IS 'Type within the category of the Reference Security Incident Taxonomy, such as brute-force';
COMMENT ON COLUMN incidents.affected IS 'Systems that are affected, by name or address';
COMMENT ON COLUMN incidents.root_cause IS 'What made it possible';
COMMENT ON COLUMN incidents.priority_reason IS 'Why somebody set the priority by hand; NULL while it follows from the severity';
COMMENT ON COLUMN incidents.archived_at IS 'Since when it is out of sight; nothing of it is deleted';
CREATE INDEX incidents_newest ON incidents (created_at DESC, id DESC);
CREATE INDEX incidents_assignee ON incidents (assignee, id DESC) WHERE assignee IS NOT NULL;

CREATE TABLE incident_timeline (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id bigint      NOT NULL REFERENCES incidents,
    at          timestamptz NOT NULL,
    actor       text        NOT NULL,
    event       text        NOT NULL,
    old         jsonb,
    new         jsonb
);
COMMENT ON TABLE incident_timeline IS 'What happened to an incident, in order';
COMMENT ON COLUMN incident_timeline.id IS 'Key';
COMMENT ON COLUMN incident_timeline.incident_id IS 'The incident';
COMMENT ON COLUMN incident_timeline.at IS 'When';
COMMENT ON COLUMN incident_timeline.actor IS 'Who, as in audit_log';
COMMENT ON COLUMN incident_timeline.event IS 'What: opened, status, severity, assignee, note, task, …';
COMMENT ON COLUMN incident_timeline.old IS 'What was changed, as it was';
COMMENT ON COLUMN incident_timeline.new IS 'What was changed, as it is';
CREATE INDEX incident_timeline_incident ON incident_timeline (incident_id, id);

CREATE TABLE incident_notes (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id bigint      NOT NULL REFERENCES incidents,
    kind        text        NOT NULL CHECK (kind IN ('note', 'action', 'finding')),
    author      text        NOT NULL,
    created_at  timestamptz NOT NULL
);
COMMENT ON TABLE incident_notes IS 'What people write down about an incident; the words are in incident_note_versions';
COMMENT ON COLUMN incident_notes.id IS 'Key';
COMMENT ON COLUMN incident_notes.incident_id IS 'The incident';
COMMENT ON COLUMN incident_notes.kind IS 'A note, an action that was taken, or a finding';
COMMENT ON COLUMN incident_notes.author IS 'Who began it';
COMMENT ON COLUMN incident_notes.created_at IS 'When';
CREATE INDEX incident_notes_incident ON incident_notes (incident_id, id);

CREATE TABLE incident_note_versions (
    note_id bigint      NOT NULL REFERENCES incident_notes,
    version integer     NOT NULL,
    author  text        NOT NULL,
    at      timestamptz NOT NULL,
    body    text        NOT NULL,
    PRIMARY KEY (note_id, version)
);
COMMENT ON TABLE incident_note_versions IS 'Every version of a note';
COMMENT ON COLUMN incident_note_versions.note_id IS 'The note';
COMMENT ON COLUMN incident_note_versions.version IS '1, 2, 3, …; the last one is in force';
COMMENT ON COLUMN incident_note_versions.author IS 'Who wrote this version';
COMMENT ON COLUMN incident_note_versions.at IS 'When';
COMMENT ON COLUMN incident_note_versions.body IS 'Markdown';

CREATE TABLE incident_tasks (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id bigint      NOT NULL REFERENCES incidents,
    title       text        NOT NULL,
    status      text        NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'in_progress', 'done', 'cancelled')),
    assignee    text,
    due_at      timestamptz,
    remind_at   timestamptz,
    version     bigint      NOT NULL DEFAULT 1,
    created_by  text        NOT NULL,
    created_at  timestamptz NOT NULL,
    done_at     timestamptz
);
COMMENT ON TABLE incident_tasks IS 'What is to be done about an incident';
COMMENT ON COLUMN incident_tasks.id IS 'Key';
COMMENT ON COLUMN incident_tasks.incident_id IS 'The incident';
COMMENT ON COLUMN incident_tasks.title IS 'One line';
COMMENT ON COLUMN incident_tasks.status IS 'Where it is';
COMMENT ON COLUMN incident_tasks.assignee IS 'Who is to do it';
COMMENT ON COLUMN incident_tasks.due_at IS 'Until when';
COMMENT ON COLUMN incident_tasks.remind_at IS 'When to remind the assignee';
COMMENT ON COLUMN incident_tasks.version IS 'Counts changes, as that of an incident';
COMMENT ON COLUMN incident_tasks.created_by IS 'Who made it';
COMMENT ON COLUMN incident_tasks.created_at IS 'When it was made';
COMMENT ON COLUMN incident_tasks.done_at IS 'When it was done or cancelled';
CREATE INDEX incident_tasks_incident ON incident_tasks (incident_id, id);
CREATE INDEX incident_tasks_due ON incident_tasks (due_at) WHERE status IN ('open', 'in_progress');
