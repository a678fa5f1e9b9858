-- What one program wrote, which otherwise would be looked for in all records of a day. Few names and many records: an entry takes as much room as
-- the record's number and no more.
CREATE INDEX logs_app ON logs (app, event_time) WHERE app IS NOT NULL;
