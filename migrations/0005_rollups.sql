-- Counts of log records by hour, so that no report counts the records themselves.

CREATE TABLE log_rollups (
    hour       timestamptz NOT NULL,
    source     text        NOT NULL,
    host       text        NOT NULL,
    event_type event_type  NOT NULL,
    severity   severity    NOT NULL,
    count      bigint      NOT NULL,
    -- The hour first: a report reads a range of it. What is counted is in no index, so that counting up changes none.
    PRIMARY KEY (hour, source, host, event_type, severity)
) WITH (fillfactor = 80);
COMMENT ON TABLE log_rollups IS 'Records of logs by hour and kind; written in the transactions that store them, and kept longer';
COMMENT ON COLUMN log_rollups.hour IS 'The UTC hour of logs.event_time: its beginning';
COMMENT ON COLUMN log_rollups.source IS 'logs.source';
COMMENT ON COLUMN log_rollups.host IS 'logs.host, its first 255 bytes; empty for none; * for all hosts beyond the first thousand of an hour and source';
COMMENT ON COLUMN log_rollups.event_type IS 'logs.event_type';
COMMENT ON COLUMN log_rollups.severity IS 'logs.severity';
COMMENT ON COLUMN log_rollups.count IS 'Records; those in quarantine are not among them';

-- What is stored already. A daemon of an older version would go on without counting: its epoch ends here, and it stops.
UPDATE positions SET epoch = epoch + 1 WHERE input = 'pipeline' AND epoch > 0;
INSERT INTO log_rollups (hour, source, host, event_type, severity, count)
WITH counted AS (
    SELECT date_bin('1 hour', event_time, timestamptz 'epoch') AS hour, source,
           -- 255 bytes, less what would cut a character: as the daemon does it.
           CASE WHEN octet_length(host) <= 255 THEN host ELSE left(host, 63) END AS host,
           event_type, severity, count(*) AS count
    FROM logs GROUP BY 1, 2, 3, 4, 5
), ranked AS (
    SELECT *, dense_rank() OVER (PARTITION BY hour, source ORDER BY host NULLS FIRST) AS nth FROM counted
)
SELECT hour, source, CASE WHEN nth <= 1000 THEN coalesce(host, '') ELSE '*' END, event_type, severity, sum(count)
FROM ranked GROUP BY 1, 2, 3, 4, 5;

CREATE OR REPLACE FUNCTION weekly_summary(until timestamptz DEFAULT now())
RETURNS TABLE (period_start timestamptz, period_end timestamptz, total_logs bigint, failed_logins bigint, incidents bigint)
LANGUAGE sql STABLE AS $$
    WITH period AS (
        SELECT until - interval '7 days' AS first, until AS last,
               -- The whole hours within it.
               date_bin('1 hour', until - interval '7 days' + interval '1 hour' - interval '1 microsecond', timestamptz 'epoch') AS first_hour,
               date_bin('1 hour', until, timestamptz 'epoch') AS last_hour
    ), counted AS (
        SELECT r.count, r.event_type FROM log_rollups r, period WHERE r.hour >= first_hour AND r.hour < last_hour
        UNION ALL
        SELECT 1, l.event_type FROM logs l, period WHERE l.event_time >= first AND l.event_time < first_hour
        UNION ALL
        SELECT 1, l.event_type FROM logs l, period WHERE l.event_time >= last_hour AND l.event_time < last
    )
    SELECT first, last,
           (SELECT coalesce(sum(count), 0)::bigint FROM counted),
           (SELECT coalesce(sum(count), 0)::bigint FROM counted WHERE event_type = 'login_failed'),
           (SELECT count(*) FROM incidents WHERE created_at >= first AND created_at < last)
    FROM period
$$;
COMMENT ON FUNCTION weekly_summary(timestamptz) IS 'Seven days up to a moment: logs, failed logins and incidents, each counted once; whole hours out of log_rollups';
