-- Under an attack from a thousand addresses, a thousand incidents grow with every transaction, and a search for a program must not read a day.

-- What grows (events, times, evidence) is in no index, so with room in its page a new version of the row touches none of them.
ALTER TABLE incidents SET (fillfactor = 70);

-- What one program wrote. Few names and many records: an entry takes as much room as the record's number and no more.
CREATE INDEX logs_app ON logs (app, event_time) WHERE app IS NOT NULL;
