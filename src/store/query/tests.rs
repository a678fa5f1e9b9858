use proptest::prelude::*;

use super::*;

/// 2026-11-20T12:00:00Z.
const NOW: Timestamp = Timestamp::from_secs(1_795_176_000);

fn read(text: &str) -> Query {
    Query::parse(text, NOW).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn queries_mean_what_people_mean() {
    for (text, want) in [
        ("", ""),
        ("  \t\n ", ""),
        ("invalid", "message:invalid"),
        ("\"invalid password\"", "message:\"invalid password\""),
        ("invalid password", "message:invalid message:password"),
        ("-routine", "-message:routine"),
        ("--v", "-message:-v"),
        ("msg:a,b", "message:a,b"),
        ("a,b", "message:\"a,b\""),
        ("fail*root", "message:fail*root"),
        ("fail**root", "message:fail*root"),
        ("\"fail*root\"", "message:\"fail*root\""),
        ("say\\ \"a \\\"b\\\" \\\\ \\n\"", "message:\"say\\\\\" message:\"a \\\"b\\\" \\\\ \\\\n\""),
        ("10:00:01 ::1 *", "message:10:00:01 message:::1 message:*"),
        ("a\0b", "message:\"a\u{2400}b\""),
        ("user:root", "username:root"),
        ("USER:Root", "username:Root"),
        ("-user.name:root,\"o'neill\"", "-username:root,\"o'neill\""),
        ("user:\"\"", "username:\"\""),
        ("host:web*,*db*", "host:web*,*db*"),
        ("host:web*\"*\"", "host:web*\"*\""),
        ("host:*", "host:*"),
        ("source:lan app:sshd action:blocked protocol:tcp", "source:lan app:sshd action:blocked protocol:tcp"),
        ("src_ip:10.1.2.3/8", "src_ip:10.0.0.0/8"),
        ("source.ip:192.0.2.1,2001:db8::/32", "src_ip:192.0.2.1,2001:db8::/32"),
        ("ip:::ffff:192.0.2.1 ip:::ffff:10.0.0.0/104", "ip:192.0.2.1 ip:10.0.0.0/8"),
        ("ip:0.0.0.0/0 -dst_ip:*", "ip:0.0.0.0/0 -dst_ip:*"),
        ("dst_port:22 port:>=1024,22 pid:>1 id:<=7 src_port:<9", "dst_port:22 port:>=1024,22 pid:>1 id:<=7 src_port:<9"),
        ("port:*", "port:*"),
        ("severity:>=high severity:low,critical", "severity:>=high severity:low,critical"),
        ("event_type:login_failed,access_denied", "event_type:login_failed,access_denied"),
        ("type:login_*,login_failed", "event_type:login_success,login_failed"),
        ("http.response.status_code:>=400.5,404", "fields.http.response.status_code:>=400.5,404"),
        ("fields.query:x* fields.user.name:y", "fields.query:x* fields.user.name:y"),
        ("url.path:\">1\"", "fields.url.path:\">1\""),
        ("is:archived -is:annotated", "is:archived -is:annotated"),
        ("last:24h", "from:2026-11-19T12:00:00Z"),
        ("last:90m to:2026-11-20T11:00Z", "from:2026-11-20T10:30:00Z to:2026-11-20T11:00:00Z"),
        ("time:2026-11-20", "from:2026-11-20T00:00:00Z to:2026-11-21T00:00:00Z"),
        ("time:>=2026-11-20 time:<2026-11-20T01:00", "from:2026-11-20T00:00:00Z to:2026-11-20T01:00:00Z"),
        ("time:>2026-11-19 @timestamp:<=2026-11-20", "from:2026-11-20T00:00:00Z to:2026-11-21T00:00:00Z"),
        ("time:\"2026-11-20 08:30:15\"", "from:2026-11-20T08:30:15Z to:2026-11-20T08:30:16Z"),
        ("time:2026-11-20T08:30:15.5+01:00", "from:2026-11-20T07:30:15.5Z to:2026-11-20T07:30:15.500001Z"),
        ("from:2026-11-01 from:2026-11-02 to:2026-11-09 to:2026-11-08", "from:2026-11-02T00:00:00Z to:2026-11-08T00:00:00Z"),
        ("last:100w from:0001-01-01 to:9999-12-31", "from:2024-12-20T12:00:00Z to:9999-12-30T22:00:00Z"),
    ] {
        let query = read(text);
        assert_eq!(query.to_string(), want, "{text}");
        assert_eq!(read(want), query, "{want}");
    }
}

#[test]
fn what_is_no_query_is_told_where_and_what_was_expected() {
    for (text, offset, want) in [
        ("usr:root", 0, "did you mean \"user\""),
        ("a -srcip:1.2.3.4", 3, "did you mean \"src_ip\""),
        ("ok http://x", 3, "in quotes"),
        ("xyzzy:1", 0, "fields.xyzzy"),
        ("fields.:1", 0, "name of a field"),
        ("user:", 5, "expected a value of user"),
        ("user:a,", 7, "expected a value of user"),
        ("user:a,,b", 7, "expected a value of user"),
        ("port: 22", 5, "expected a value of port"),
        ("é \"x", 3, "quote is not closed"),
        ("user:\"x\\\"", 5, "quote is not closed"),
        ("\"\"", 0, "between the quotes"),
        ("- x", 1, "expected something"),
        ("a OR b", 2, "field:one,other"),
        ("a AND b", 2, "must hold anyway"),
        ("NOT b", 0, "-term"),
        ("src_ip:10.0.*", 7, "such as 192.0.2.1 or 10.0.0.0/8"),
        ("src_ip:10.0.0.0/33", 7, "network"),
        ("ip:1.2.3.4,example", 11, "network"),
        ("src_ip:>10.0.0.1", 7, "network"),
        ("port:ssh", 5, "whole number"),
        ("port:>=", 7, "expected a value"),
        ("port:-1", 5, "whole number"),
        ("id:9223372036854775808", 3, "whole number"),
        ("severity:hihg", 9, "did you mean \"high\""),
        ("severity:>=x", 9, "one of low, medium, high, critical"),
        ("event_type:login_faild", 11, "did you mean \"login_failed\""),
        ("event_type:>login", 11, "no order"),
        ("host:>=a", 5, "in quotes"),
        ("url.port:>x", 9, "expected a number"),
        ("url.port:>1e5", 9, "expected a number"),
        ("is:gone", 3, "archived, annotated"),
        ("is:archived,annotated", 12, "one value"),
        ("last:soon", 5, "30m, 24h or 7d"),
        ("last:9999999999999999999d", 5, "30m, 24h or 7d"),
        ("last:101w,2d", 10, "one value"),
        ("-from:2026-11-20", 0, "cannot be excluded"),
        ("from:yesterday", 5, "such as 2026-11-20"),
        ("from:2026-02-30", 5, "such as 2026-11-20"),
        ("from:2026-11-20T25:00", 5, "such as 2026-11-20"),
        ("from:>2026-11-20", 5, "time: takes"),
        ("from:2026-11-20 to:2026-11-20", 16, "ends before it begins"),
    ] {
        let error = Query::parse(text, NOW).expect_err(text);
        assert!(error.offset == offset && error.problem.contains(want), "{text}: {error:?}");
    }
    let long = "é".repeat(5_000);
    assert_eq!(Query::parse(&long, NOW).unwrap_err().offset, 8_192);
    assert!(Query::parse(&"a ".repeat(256), NOW).is_ok());
    assert!(Query::parse(&"a ".repeat(257), NOW).is_err());
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9._:/@-]{1,6}", "[ \"\\\\,*%_'<>=\u{e9}\u{1b}\n|(){}?$]{1,6}", "\\PC{1,6}"]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    (proptest::collection::vec(piece(), 1..4), any::<[bool; 2]>()).prop_map(|(mut pieces, empty)| {
        for (at, empty) in [(0, empty[0]), (pieces.len() - 1, empty[1])] {
            if empty {
                pieces[at].clear();
            }
        }
        Pattern(pieces)
    })
}

fn some<T: std::fmt::Debug>(item: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    proptest::collection::vec(item, 1..4)
}

const COMPARISONS: &[Comparison] =
    &[Comparison::Less, Comparison::AtMost, Comparison::More, Comparison::AtLeast, Comparison::Equal];

fn comparison() -> impl Strategy<Value = Comparison> {
    proptest::sample::select(COMPARISONS)
}

fn network() -> impl Strategy<Value = Network> {
    (any::<IpAddr>(), 0..=128u8).prop_map(|(ip, bits)| {
        let bits = if ip.is_ipv4() { bits % 33 } else { bits };
        Network::new(ip, bits).unwrap()
    })
}

fn test() -> impl Strategy<Value = Test> {
    use proptest::sample::{select, subsequence};
    let text = select(vec![
        TextField::Source,
        TextField::Host,
        TextField::App,
        TextField::Username,
        TextField::Protocol,
        TextField::Action,
    ]);
    let number =
        || select(vec![NumberField::Id, NumberField::Pid, NumberField::SrcPort, NumberField::DstPort, NumberField::Port]);
    let address = || select(vec![AddressField::SrcIp, AddressField::DstIp, AddressField::Ip]);
    let ordered = select(&COMPARISONS[..4]);
    let named = prop_oneof![
        pattern().prop_map(NamedValue::Text),
        (ordered, "-?[0-9]{1,30}(\\.[0-9]{1,30})?").prop_map(|(c, n)| NamedValue::Number(c, Decimal(n))),
    ];
    prop_oneof![
        some(pattern()).prop_map(Test::Message),
        (text, some(pattern())).prop_map(|(f, p)| Test::Text(f, p)),
        (number(), some((comparison(), 0..=i64::MAX))).prop_map(|(f, n)| Test::Number(f, n)),
        (address(), some(network())).prop_map(|(f, n)| Test::Address(f, n)),
        number().prop_map(Test::HasNumber),
        address().prop_map(Test::HasAddress),
        some((comparison(), select(Severity::ALL))).prop_map(Test::Severity),
        subsequence(EventType::ALL, 1..5).prop_map(Test::EventType),
        ("[a-z@_][a-z0-9_.@-]{0,9}", some(named)).prop_map(|(name, values)| Test::Named(name, values)),
        select(vec![Mark::Archived, Mark::Annotated]).prop_map(Test::Is),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let time = Timestamp::MIN.as_micros()..Timestamp::MAX.as_micros();
    let range = (proptest::option::of(time.clone()), proptest::option::of(time)).prop_map(|(from, to)| {
        let (from, to) = if from.is_some() && to.is_some() && from > to { (to, from) } else { (from, to) };
        Range { from: from.map(Timestamp::from_micros), to: to.map(Timestamp::from_micros) }
    });
    let terms = proptest::collection::vec((any::<bool>(), test()).prop_map(|(negated, test)| Term { negated, test }), 0..8);
    (range.prop_filter("not empty", |range| !range.is_empty()), terms).prop_map(|(range, terms)| Query { range, terms })
}

proptest! {
    #[test]
    fn a_query_that_is_written_reads_as_the_same(query in query()) {
        prop_assert_eq!(Query::parse(&query.to_string(), NOW), Ok(query));
    }

    #[test]
    fn no_text_panics_and_errors_lie_inside(text in prop_oneof![
        "\\PC{0,60}",
        "([-\"*,:<>=\\\\ ]|[a-z]{1,3}|user:|src_ip:|time:|last:|2026-11-2|[0-9./]{1,4}|\u{e9}|\0){0,20}",
    ]) {
        match Query::parse(&text, NOW) {
            Ok(query) => prop_assert_eq!(Query::parse(&query.to_string(), NOW), Ok(query)),
            Err(error) => prop_assert!(text.is_char_boundary(error.offset), "{error:?}"),
        }
    }
}

#[test]
fn a_length_of_time_beyond_all_numbers_is_an_error() {
    for (text, micros) in
        [("36600d", Some(36_600 * 86_400_000_000)), ("0004441620289144460h", None), ("9223372036854775807w", None)]
    {
        assert_eq!(super::parse::span(text), micros, "{text}");
    }
}
