//! The detectors against the trigger that they took the place of: an AFTER INSERT trigger that counts `login_failed` of one address
//! within ten minutes and inserts an incident from the third on.

use std::collections::BTreeSet;

use sqlx::Executor;
use tocsin::detect::{Engine, Options};
use tocsin::record::incident::Detector;
use tocsin::record::{EventType, LogRecord, Timestamp};

use crate::support::Database;

const TRIGGER: &str = "
    CREATE TABLE seen (at timestamptz NOT NULL, event_type text NOT NULL, src_ip inet NOT NULL);
    CREATE TABLE raised (src_ip inet NOT NULL);
    CREATE FUNCTION count_failures() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.event_type = 'login_failed' AND (
            SELECT count(*) FROM seen
            WHERE event_type = 'login_failed' AND src_ip = NEW.src_ip AND at > NEW.at - interval '10 minutes' AND at <= NEW.at) >= 3
        THEN
            INSERT INTO raised VALUES (NEW.src_ip);
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER after_insert AFTER INSERT ON seen FOR EACH ROW EXECUTE FUNCTION count_failures();";

#[tokio::test]
async fn login_failures_raises_the_addresses_that_the_trigger_raises() {
    let database = Database::new().await;
    database.pool.execute(TRIGGER).await.unwrap();
    let base = Timestamp::parse_rfc3339("2026-11-20T00:00:00Z").unwrap();
    let mut chance = Timestamp::now().as_micros() as u64;
    eprintln!("seed {chance}");
    let mut below = |n: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % n
    };
    for stream in 0..20u64 {
        database.pool.execute("TRUNCATE seen; TRUNCATE raised").await.unwrap();
        let mut engine = Engine::new(Options::default());
        // The trigger sees events in order only; the gaps are such that many windows are met or missed by a second.
        let mut at = 0i64;
        let (mut times, mut kinds, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for id in 0..400i64 {
            at += below(40 + stream * 4) as i64;
            let kind = if below(4) == 0 { EventType::LoginSuccess } else { EventType::LoginFailed };
            let address: std::net::IpAddr = std::net::Ipv4Addr::new(192, 0, 2, below(12 + stream / 2) as u8).into();
            let mut record = LogRecord::text("");
            record.event_type = kind;
            record.src_ip = Some(address);
            let time = base.plus_micros(at * 1_000_000);
            engine.observe(&record, id, time);
            times.push(time.to_string());
            kinds.push(kind.as_str());
            addresses.push(address.to_string());
        }
        sqlx::query("INSERT INTO seen SELECT t::timestamptz, k, a::inet FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS u (t, k, a, n) ORDER BY n")
            .bind(&times)
            .bind(&kinds)
            .bind(&addresses)
            .execute(&database.pool)
            .await
            .unwrap();
        let changes = engine.take_changes();
        let ours: BTreeSet<String> = changes
            .iter()
            .filter(|c| c.raised_by.detector() == Some(Detector::LoginFailures))
            .map(|c| c.group.0[0].1.clone())
            .collect();
        let theirs: BTreeSet<String> = database.column("SELECT DISTINCT host(src_ip) FROM raised").await.into_iter().collect();
        assert!(!theirs.is_empty());
        assert_eq!(ours, theirs, "stream {stream}");
    }
}
