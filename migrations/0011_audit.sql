-- The audit log is looked up by what was done to something, by somebody, in a time: each in the order of time, so that a page is read from
-- where it begins and no further.

CREATE INDEX audit_log_time ON audit_log (at, id);
CREATE INDEX audit_log_actor ON audit_log (actor, at, id);
DROP INDEX audit_log_subject;
CREATE INDEX audit_log_subject ON audit_log (subject, at, id);
