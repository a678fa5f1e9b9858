//! Lines that were made to break whoever reads them: each is stored, or kept in quarantine, and the daemon goes on.

use crate::support::{Daemon, Database, findings, request, send_tcp, state_dir, verify};

/// Lines with a hole, in which anything may stand.
const HOLES: &[&str] = &[
    "<13>Nov 20 10:00:00 {} app[7]: message",
    "<13>Nov 20 10:00:00 host {}[7]: message",
    "<13>Nov 20 10:00:00 host app[{}]: message",
    "<13>Nov 20 10:00:00 host app[7]: {}",
    "<{}>Nov 20 10:00:00 host app: message",
    "<13>{} host app: message",
    "<34>1 {} host app 7 ID - message",
    "<34>1 2026-11-20T10:00:00Z {} app 7 ID - message",
    "<34>1 2026-11-20T10:00:00Z host {} 7 ID - message",
    "<34>1 2026-11-20T10:00:00Z host app {} ID - message",
    "<34>1 2026-11-20T10:00:00Z host app 7 {} - message",
    "<34>1 2026-11-20T10:00:00Z host app 7 ID [x@1 {}=\"v\"] message",
    "<34>1 2026-11-20T10:00:00Z host app 7 ID [x@1 k=\"{}\"] message",
    "<38>Nov 20 10:00:00 host sshd[7]: Failed password for {} from 192.0.2.1 port 22 ssh2",
    "<38>Nov 20 10:00:00 host sshd[7]: Failed password for root from {} port 22 ssh2",
    "<38>Nov 20 10:00:00 host sshd[7]: Failed password for root from 192.0.2.1 port {} ssh2",
    "<38>Nov 20 10:00:00 host sshd[7]: message repeated {} times: [ Failed password for root from 192.0.2.1 port 22 ssh2]",
    "<4>Nov 20 10:00:00 fw kernel: [UFW BLOCK] IN={} OUT= SRC=192.0.2.1 DST=198.51.100.1 PROTO=TCP SPT=1 DPT=2",
    "<4>Nov 20 10:00:00 fw kernel: [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.1 PROTO=TCP SPT={} DPT=2",
    "<166>Nov 20 10:00:00 fw : %ASA-6-605005: Login permitted from 192.0.2.1/{} to inside:198.51.100.1/ssh for user \"{}\"",
    "192.0.2.1 - {} [20/Nov/2026:10:00:00 +0000] \"GET /{} HTTP/1.1\" 200 5 \"-\" \"{}\"",
    "{\"timestamp\":\"2026-11-20T10:00:00Z\",\"event_type\":\"alert\",\"src_ip\":\"{}\",\"src_port\":{},\"alert\":{\"signature\":\"{}\",\"severity\":{}}}",
    "{\"{}\":{}}",
    "{\"{}\":\"{}\"}",
    "{\"event\":{\"severity\":{},\"duration\":{}},\"source\":{\"port\":{}}}",
    "{\"message\":\"{}\",\"user\":{\"name\":\"{}\"},\"source\":{\"ip\":\"{}\"},\"@timestamp\":\"{}\"}",
    "{\"message\":\"{}\",\"host\":{\"name\":\"{}\"},\"event\":{\"severity\":{}}}",
];

/// What may stand there.
fn fillings() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    for text in [
        "",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\u{202e}gnp.exe",
        "\u{feff}",
        "\u{0}\u{0}",
        "'; DROP TABLE logs; --",
        "=cmd|' /C calc'!A0",
        "<script>alert(1)</script>",
        "%n%n%n%s",
        "\\",
        "\\N",
        "\\.",
        "\"",
        "-1",
        "1e400",
        "NaN",
        "0000-00-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "99999-12-31T23:59:59Z",
        "9999-12-31T23:59:60Z",
        "2026-02-30T25:61:61.999999999999999Z",
        "Feb 29 24:00:00",
        "18446744073709551616",
        "\\ud800",
        "\\udfff\\ud800",
        "\\u0000",
    ] {
        all.push(text.as_bytes().to_vec());
    }
    all.extend([
        b"\xc0\xaf".to_vec(),         // overlong
        b"\xe0\x80\xaf".to_vec(),     // overlong
        b"\xf0\x80\x80\xaf".to_vec(), // overlong
        b"\xed\xa0\x80".to_vec(),     // half of a surrogate pair
        b"\xf4\x90\x80\x80".to_vec(), // beyond Unicode
        b"\xff\xfe\x00\x00".to_vec(),
        vec![b'9'; 400],
        [&b"-0."[..], &[b'9'; 400]].concat(),
        vec![b'A'; 70_000],
        vec![b'['; 10_000],
        b"{\"a\":".repeat(10_000),
        b"[x@1 k=\"".repeat(2_000),
        b"message repeated 2 times: [ ".repeat(1_000),
    ]);
    all
}

fn lines() -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let fillings = fillings();
    for hole in HOLES {
        for filling in &fillings {
            let pieces: Vec<&[u8]> = hole.split("{}").map(str::as_bytes).collect();
            lines.push(pieces.join(&filling[..]));
        }
    }
    for byte in [0u8, b'\t', b' ', b'<', b'[', b'{', b'"', b'\\', 0x7f, 0xff] {
        lines.push(vec![byte; 1 << 20]);
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_poisoned_line_is_stored_or_in_quarantine_and_the_daemon_goes_on() {
    let (database, state) = (Database::new().await, state_dir());
    let log = state.path().join("poison.log");
    let lines = lines();
    // A file cannot have a line with a newline in it.
    let in_file: Vec<&Vec<u8>> = lines.iter().filter(|line| !line.contains(&b'\n') && !line.is_empty()).collect();
    std::fs::write(&log, in_file.iter().flat_map(|line| [&line[..], b"\n"].concat()).collect::<Vec<u8>>()).unwrap();
    let configuration = format!(
        "[database]\nurl = {:?}\n[[files]]\nname = \"file\"\npaths = [{log:?}]\n\
         [[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\nmax_frame_bytes = \"1 MiB\"\n[[webhook]]\nname = \"hook\"\nunauthenticated = true\n",
        database.url()
    );
    let daemon = Daemon::start(state.path(), &configuration).await;
    // Counted, a frame may hold any byte; it is recognised by the bracket of its priority.
    let counted: Vec<&Vec<u8>> = lines.iter().filter(|line| line.first() == Some(&b'<')).collect();
    let octets = |line: &&Vec<u8>| [line.len().to_string().as_bytes(), b" ", line].concat();
    send_tcp(daemon.tcp(), &counted.iter().flat_map(octets).collect::<Vec<u8>>()).await.unwrap();
    let mut posted = 0;
    for line in lines.iter().filter(|line| line.first() == Some(&b'{')) {
        let answer = request(daemon.http(), "POST", "/ingest/hook", &[], line).await.unwrap();
        assert!(matches!(answer.code, 200 | 413 | 422), "{} {}", answer.code, answer.body);
        posted += i64::from(answer.code == 200);
    }
    let all =
        "SELECT (SELECT count(*) FROM logs WHERE source = 'SOURCE') + (SELECT count(*) FROM quarantine WHERE source = 'SOURCE')";
    let sent = |source: &str| all.replace("SOURCE", source);
    database.wait_for(&sent("file"), in_file.len() as i64).await;
    database.wait_for(&sent("lan"), counted.len() as i64).await;
    database.wait_for(&sent("hook"), posted).await;
    assert!(posted > 100, "{posted} were JSON");
    let (code, verdict) = verify(state.path(), &[]);
    assert_eq!((code, findings(&verdict)), (0, vec![]), "{verdict}");
    assert_eq!(database.number("SELECT count(*) FROM quarantine").await, 0, "nothing needs it that is known today");
    // Without the hosts, of which some are too long and too many for the roll-ups.
    let miscounted = "SELECT count(*) FROM \
        (SELECT hour, source, event_type, severity, sum(count) AS n FROM log_rollups GROUP BY 1, 2, 3, 4) r FULL JOIN \
        (SELECT date_trunc('hour', event_time, 'UTC') AS hour, source, event_type, severity, count(*) AS n FROM logs GROUP BY 1, 2, 3, 4) l \
        USING (hour, source, event_type, severity) WHERE r.n IS DISTINCT FROM l.n";
    assert_eq!(database.number(miscounted).await, 0);
    let metrics = request(daemon.http(), "GET", "/metrics", &[], b"").await.unwrap().body;
    assert!(metrics.contains("tocsin_parser_panics_total 0"), "{metrics}");
    // What came from outside is nowhere in our own log.
    assert!(!daemon.log().iter().any(|line| line.contains("DROP TABLE") || line.contains("gnp.exe")));
    assert_eq!(daemon.stop().await.0, Some(0));
}
