//! Zeek's logs as it writes them by default: columns with tabs between, named by `#fields` at the head of the file.
//!
//! A line is read by itself, so that head is not there to be asked. Which log a line is of follows from the number and the shapes of its columns:
//! [`LOGS`] has the columns that Zeek writes by default, in the versions since 2.4 (sites append others, whose names are nowhere in the line: they
//! stay in the message). Where lines of several logs look the same, only the time and the connection are taken. A value is what the same log
//! as JSON has, so both give the same record.
//!
//! Source: Zeek documentation, "Zeek log formats and inspection", and the `Info` record of each log; `-` is unset, `(empty)` an empty set, `,`
//! stands between the elements of a set, `\xHH` for a byte that would be mistaken.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::parse::fill::{self, Slots};
use crate::parse::json::{MAX_FIELDS, Scalar};
use crate::parse::{Context, scan};
use crate::record::{LogRecord, Value};

/// What a line may begin with.
pub(super) const HEADER: [&str; 9] = [
    "#separator ",
    "#set_separator\t",
    "#empty_field\t",
    "#unset_field\t",
    "#path\t",
    "#open\t",
    "#fields\t",
    "#types\t",
    "#close\t",
];

/// Columns that one line may have.
const MAX_COLUMNS: usize = 64;

/// The name of a log and its columns. `HEAD` stands for the time, the connection's name and its four ends. Behind a column's name: `#` a number,
/// `?` `T` or `F`, `*` a set (of what begins so), `+` a list of numbers, `@` an address, `&` a hardware address, `%` a name with `::`, `=a|b` one of these, `^a|b` begins with one of
/// these; `!` it is never unset. Of the versions of a log the newest is first.
#[rustfmt::skip]
const LOGS: [(&str, &str); 55] = [
    ("conn", "HEAD proto=tcp|udp|icmp|unknown_transport! service duration# orig_bytes# resp_bytes# conn_state=S0|S1|SF|REJ|S2|S3|RSTO|RSTR|RSTOS0|RSTRH|SH|SHR|OTH local_orig? local_resp? missed_bytes# history orig_pkts# orig_ip_bytes# resp_pkts# resp_ip_bytes# tunnel_parents* ip_proto#"),
    ("conn", "HEAD proto=tcp|udp|icmp|unknown_transport! service duration# orig_bytes# resp_bytes# conn_state=S0|S1|SF|REJ|S2|S3|RSTO|RSTR|RSTOS0|RSTRH|SH|SHR|OTH local_orig? local_resp? missed_bytes# history orig_pkts# orig_ip_bytes# resp_pkts# resp_ip_bytes# tunnel_parents*"),
    ("conn", "HEAD proto=tcp|udp|icmp|unknown_transport! service duration# orig_bytes# resp_bytes# conn_state=S0|S1|SF|REJ|S2|S3|RSTO|RSTR|RSTOS0|RSTRH|SH|SHR|OTH local_orig? missed_bytes# history orig_pkts# orig_ip_bytes# resp_pkts# resp_ip_bytes# tunnel_parents*"),
    ("dns", "HEAD proto=tcp|udp! trans_id# rtt# query qclass# qclass_name qtype# qtype_name rcode# rcode_name AA? TC? RD? RA? Z# answers* TTLs+ rejected?"),
    ("dns", "HEAD proto=tcp|udp! trans_id# query qclass# qclass_name qtype# qtype_name rcode# rcode_name AA? TC? RD? RA? Z# answers* TTLs+ rejected?"),
    ("http", "HEAD trans_depth#! method host uri referrer version user_agent origin request_body_len# response_body_len# status_code# status_msg info_code# info_msg tags* username password proxied* orig_fuids* orig_filenames* orig_mime_types* resp_fuids* resp_filenames* resp_mime_types*"),
    ("http", "HEAD trans_depth#! method host uri referrer version user_agent request_body_len# response_body_len# status_code# status_msg info_code# info_msg tags* username password proxied* orig_fuids* orig_filenames* orig_mime_types* resp_fuids* resp_filenames* resp_mime_types*"),
    ("http", "HEAD trans_depth#! method host uri referrer user_agent request_body_len# response_body_len# status_code# status_msg info_code# info_msg filename tags* username password proxied* orig_fuids* orig_mime_types* resp_fuids* resp_mime_types*"),
    ("ssl", "HEAD version^SSLv|TLSv|DTLSv|unknown cipher curve server_name resumed?! last_alert next_protocol established?! ssl_history cert_chain_fps* client_cert_chain_fps* sni_matches_cert?"),
    ("ssl", "HEAD version^SSLv|TLSv|DTLSv|unknown cipher curve server_name resumed?! last_alert next_protocol established?! ssl_history cert_chain_fps* client_cert_chain_fps* sni_matches_cert? validation_status"),
    ("ssl", "HEAD version^SSLv|TLSv|DTLSv|unknown cipher curve server_name resumed?! last_alert next_protocol established?! cert_chain_fuids*F|( client_cert_chain_fuids*F|( subject issuer client_subject client_issuer"),
    ("ssl", "HEAD version^SSLv|TLSv|DTLSv|unknown cipher curve server_name resumed?! last_alert next_protocol established?! cert_chain_fuids*F|( client_cert_chain_fuids*F|( subject issuer client_subject client_issuer validation_status"),
    ("ssh", "HEAD version#! auth_success? auth_attempts#! direction=INBOUND|OUTBOUND client server cipher_alg mac_alg compression_alg kex_alg host_key_alg host_key"),
    ("ssh", "HEAD version#! auth_success? auth_attempts#! direction=INBOUND|OUTBOUND client server cipher_alg mac_alg compression_alg kex_alg host_key_alg host_key remote_location.country_code remote_location.region remote_location.city remote_location.latitude# remote_location.longitude#"),
    ("ssh", "HEAD version#! auth_success? direction=INBOUND|OUTBOUND client server cipher_alg mac_alg compression_alg kex_alg host_key_alg host_key"),
    ("files", "ts# fuid^F! uid^C id.orig_h@ id.orig_p# id.resp_h@ id.resp_p# source depth# analyzers* mime_type filename duration# local_orig? is_orig? seen_bytes#! total_bytes# missing_bytes# overflow_bytes# timedout?! parent_fuid^F md5 sha1 sha256 extracted extracted_cutoff? extracted_size#"),
    ("files", "ts# fuid^F! tx_hosts* rx_hosts* conn_uids* source depth# analyzers* mime_type filename duration# local_orig? is_orig? seen_bytes#! total_bytes# missing_bytes# overflow_bytes# timedout?! parent_fuid^F md5 sha1 sha256 extracted extracted_cutoff? extracted_size#"),
    ("files", "ts# fuid^F! tx_hosts* rx_hosts* conn_uids* source depth# analyzers* mime_type filename duration# local_orig? is_orig? seen_bytes#! total_bytes# missing_bytes# overflow_bytes# timedout?! parent_fuid^F md5 sha1 sha256 extracted"),
    ("notice", "HEAD fuid^F file_mime_type file_desc proto=tcp|udp|icmp|unknown_transport note%! msg sub src@ dst@ p# n# peer_descr actions* email_dest* suppress_for#!"),
    ("notice", "HEAD fuid^F file_mime_type file_desc proto=tcp|udp|icmp|unknown_transport note%! msg sub src@ dst@ p# n# peer_descr actions* email_dest* suppress_for#! remote_location.country_code remote_location.region remote_location.city remote_location.latitude# remote_location.longitude#"),
    ("notice", "HEAD fuid^F file_mime_type file_desc proto=tcp|udp|icmp|unknown_transport note%! msg sub src@ dst@ p# n# peer_descr actions* suppress_for#!"),
    ("notice", "HEAD fuid^F file_mime_type file_desc proto=tcp|udp|icmp|unknown_transport note%! msg sub src@ dst@ p# n# peer_descr actions* suppress_for#! remote_location.country_code remote_location.region remote_location.city remote_location.latitude# remote_location.longitude#"),
    ("notice", "HEAD fuid^F file_mime_type file_desc proto=tcp|udp|icmp|unknown_transport note%! msg sub src@ dst@ p# n# peer_descr actions* suppress_for#! dropped?! remote_location.country_code remote_location.region remote_location.city remote_location.latitude# remote_location.longitude#"),
    ("weird", "HEAD name! addl notice?! peer! source"),
    ("weird", "HEAD name! addl notice?! peer!"),
    ("intel", "HEAD seen.indicator! seen.indicator_type^Intel::! seen.where%! seen.node matched* sources* fuid^F file_mime_type file_desc"),
    ("intel", "HEAD fuid^F file_mime_type file_desc seen.indicator! seen.indicator_type^Intel::! seen.where%! seen.node sources*"),
    ("ftp", "HEAD user password command! arg mime_type file_size# reply_code# reply_msg data_channel.passive? data_channel.orig_h@ data_channel.resp_h@ data_channel.resp_p# fuid^F"),
    ("smtp", "HEAD trans_depth#! helo mailfrom rcptto* date from to* cc* reply_to msg_id in_reply_to subject x_originating_ip@ first_received second_received last_reply path* user_agent tls?! fuids*"),
    ("smtp", "HEAD trans_depth#! helo mailfrom rcptto* date from to* cc* reply_to msg_id in_reply_to subject x_originating_ip@ first_received second_received last_reply path* user_agent tls?! fuids* is_webmail?"),
    ("smtp", "HEAD trans_depth#! helo mailfrom rcptto* date from to* reply_to msg_id in_reply_to subject x_originating_ip@ first_received second_received last_reply path* user_agent tls?! fuids*"),
    ("rdp", "HEAD cookie result security_protocol client_channels* keyboard_layout client_build client_name client_dig_product_id desktop_width# desktop_height# requested_color_depth cert_type cert_count#! cert_permanent? encryption_level encryption_method"),
    ("rdp", "HEAD cookie result security_protocol keyboard_layout client_build client_name client_dig_product_id desktop_width# desktop_height# requested_color_depth cert_type cert_count#! cert_permanent? encryption_level encryption_method"),
    ("kerberos", "HEAD request_type=AS|TGS client service success? error_msg from# till# cipher forwardable? renewable? client_cert_subject client_cert_fuid^F server_cert_subject server_cert_fuid^F"),
    ("ntlm", "HEAD username hostname domainname server_nb_computer_name server_dns_computer_name server_tree_name success?"),
    ("ntlm", "HEAD username hostname domainname success? status"),
    ("radius", "HEAD username mac& framed_addr@ tunnel_client connect_info reply_msg result=success|failed|unknown ttl#"),
    ("software", "ts# host@! host_p# software_type%! name version.major# version.minor# version.minor2# version.minor3# version.addl unparsed_version"),
    ("software", "ts# host@! host_p# software_type%! name version.major# version.minor# version.minor2# version.minor3# version.addl unparsed_version url"),
    ("x509", "ts# fingerprint! certificate.version#! certificate.serial certificate.subject certificate.issuer certificate.not_valid_before# certificate.not_valid_after# certificate.key_alg certificate.sig_alg certificate.key_type certificate.key_length# certificate.exponent certificate.curve san.dns* san.uri* san.email* san.ip* basic_constraints.ca? basic_constraints.path_len# host_cert?! client_cert?!"),
    ("x509", "ts# id^F! certificate.version#! certificate.serial certificate.subject certificate.issuer certificate.not_valid_before# certificate.not_valid_after# certificate.key_alg certificate.sig_alg certificate.key_type certificate.key_length# certificate.exponent certificate.curve san.dns* san.uri* san.email* san.ip* basic_constraints.ca? basic_constraints.path_len#"),
    ("dhcp", "ts# uids*C|(! client_addr@ server_addr@ mac& host_name client_fqdn domain requested_addr@ assigned_addr@ lease_time# client_message server_message msg_types* duration#"),
    ("dhcp", "HEAD mac&! assigned_ip@ lease_time# trans_id#!"),
    ("tunnel", "HEAD tunnel_type^Tunnel::! action^Tunnel::!"),
    ("signatures", "ts# uid src_addr@ src_port# dst_addr@ dst_port# note%! sig_id event_msg sub_msg sig_count# host_count#"),
    ("known_hosts", "ts# host@!"),
    ("known_services", "ts# host@! port_num#! port_proto=tcp|udp|icmp! service*"),
    ("known_certs", "ts# host@! port_num#! subject issuer_subject serial"),
    ("known_devices", "ts# mac&! dhcp_host_name"),
    ("smb_files", "HEAD fuid^F action^SMB::! path name size# prev_name times.modified# times.accessed# times.created# times.changed#"),
    ("smb_mapping", r"HEAD path^\! service native_file_system share_type=DISK|PIPE|PRINT!"),
    ("dce_rpc", "HEAD rtt# named_pipe! endpoint! operation!"),
    ("snmp", "HEAD duration# version=1|2c|3! community get_requests#! get_bulk_requests#! get_responses#! set_requests#! display_string up_since#"),
    ("syslog", "HEAD proto=tcp|udp! facility! severity=EMERG|ALERT|CRIT|ERR|WARNING|NOTICE|INFO|DEBUG! message"),
    ("dpd", "HEAD proto=tcp|udp|icmp|unknown_transport! analyzer! failure_reason"),
];

const HEAD: &str = "ts# uid id.orig_h@ id.orig_p# id.resp_h@ id.resp_p#";

/// A log's columns.
struct Log {
    name: &'static str,
    columns: Vec<Column>,
}

struct Column {
    name: &'static str,
    shape: Shape,
    is_set: bool,
}

#[derive(Clone, Copy)]
enum Shape {
    Text,
    Number,
    Bool,
    Set(&'static str),
    Numbers,
    Address,
    Mac,
    Scoped,
    OneOf(&'static str),
    Begins(&'static str),
}

static KNOWN: LazyLock<Vec<Log>> = LazyLock::new(|| LOGS.iter().map(|(name, columns)| Log::new(name, columns)).collect());
static CONNECTION: LazyLock<Log> = LazyLock::new(|| Log::new("", HEAD));

impl Log {
    fn new(name: &'static str, columns: &'static str) -> Log {
        let (head, own) = columns.strip_prefix("HEAD ").map_or(("", columns), |own| (HEAD, own));
        Log { name, columns: head.split_whitespace().chain(own.split_whitespace()).map(Column::new).collect() }
    }

    /// Each value has its column's shape; there may be more values.
    fn fits(&self, values: &[&str]) -> bool {
        values.len() >= self.columns.len() && self.columns.iter().zip(values).all(|(column, value)| column.fits(value))
    }
}

impl Column {
    fn new(text: &'static str) -> Column {
        let (text, is_set) = text.strip_suffix('!').map_or((text, false), |text| (text, true));
        let end = text.find(['#', '?', '*', '+', '@', '&', '%', '=', '^']).unwrap_or(text.len());
        let (name, shape) = text.split_at(end);
        let shape = match shape.split_at(shape.len().min(1)) {
            ("#", _) => Shape::Number,
            ("?", _) => Shape::Bool,
            ("*", words) => Shape::Set(words),
            ("+", _) => Shape::Numbers,
            ("@", _) => Shape::Address,
            ("&", _) => Shape::Mac,
            ("%", _) => Shape::Scoped,
            ("=", words) => Shape::OneOf(words),
            ("^", words) => Shape::Begins(words),
            _ => Shape::Text,
        };
        Column { name, shape, is_set }
    }

    fn fits(&self, value: &str) -> bool {
        if value == "-" {
            return !self.is_set;
        }
        match self.shape {
            Shape::Text => true,
            Shape::Number => is_number(value),
            Shape::Bool => matches!(value, "T" | "F"),
            Shape::Numbers => value == "(empty)" || value.split(',').all(is_number),
            Shape::Address => scan::ip(value).is_some(),
            Shape::Mac => value.len() == 17 && value.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
            Shape::Scoped => value.contains("::"),
            Shape::OneOf(words) => words.split('|').any(|word| word == value),
            Shape::Set(words) | Shape::Begins(words) => words.split('|').any(|word| value.starts_with(word)),
        }
    }
}

fn is_number(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e')) && value.parse::<f64>().is_ok()
}

/// Files a line's columns. `None`, and the record as it was, where it is none of Zeek's; else the log's name, empty where that is not sure.
pub(super) fn read<'a>(text: &'a str, record: &mut LogRecord<'a>, slots: Slots, context: &Context<'_>) -> Option<&'static str> {
    if !begins_with_time(text) {
        return None;
    }
    let mut values = [""; MAX_COLUMNS];
    let mut count = 0;
    for (slot, value) in values.iter_mut().zip(text.split('\t')) {
        *slot = value;
        count += 1;
    }
    let values = &values[..count];
    let log = log_of(values)?;
    record.fields.reserve(log.columns.len());
    for (column, value) in log.columns.iter().zip(values) {
        file(record, column, value, slots, context);
    }
    Some(log.name)
}

/// `1795155901.250000` and a tab.
fn begins_with_time(text: &str) -> bool {
    let Some((seconds, fraction)) = text.split('\t').next().and_then(|time| time.split_once('.')) else { return false };
    let is_digits = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.len() > seconds.len() + fraction.len() + 1 && seconds.len() >= 9 && is_digits(seconds, 10) && is_digits(fraction, 9)
}

/// Columns of a log that say enough to be known though others were appended.
const TELLING: usize = 12;

/// The only log whose columns these can be: one of as many columns, else the one of most to which a site appended some.
fn log_of(values: &[&str]) -> Option<&'static Log> {
    let of_length = |length: usize| KNOWN.iter().filter(move |log| log.columns.len() == length && log.fits(values));
    let is_connection = || {
        let is_name = |uid: &str| (9..=24).contains(&uid.len()) && uid.bytes().all(|b| b.is_ascii_alphanumeric());
        values.len() > 6 && is_name(values[1]) && values[2] != "-" && values[4] != "-" && CONNECTION.fits(values)
    };
    for length in std::iter::once(values.len()).chain((TELLING..values.len()).rev()) {
        let mut fitting = of_length(length);
        if let Some(first) = fitting.next() {
            let is_sure = fitting.all(|other| other.name == first.name);
            return if is_sure { Some(first) } else { is_connection().then(|| &*CONNECTION) };
        }
    }
    is_connection().then(|| &*CONNECTION)
}

fn file<'a>(record: &mut LogRecord<'a>, column: &Column, value: &'a str, slots: Slots, context: &Context<'_>) {
    if matches!(value, "-" | "(empty)") {
        return;
    }
    let scalar = match column.shape {
        Shape::Number => Scalar::Bare(value),
        Shape::Bool => Scalar::Bare(if value == "T" { "true" } else { "false" }),
        Shape::Set(_) | Shape::Numbers => {
            let list = match column.shape {
                Shape::Set(_) => serde_json::to_string(&value.split(',').map(unescape).collect::<Vec<_>>()),
                _ => serde_json::to_string(&value.split(',').filter_map(|number| number.parse::<f64>().ok()).collect::<Vec<_>>()),
            };
            if let Ok(list) = list
                && record.fields.len() < MAX_FIELDS
            {
                record.set(column.name, Value::Json(Cow::Owned(list)));
            }
            return;
        }
        _ => Scalar::Text(unescape(value)),
    };
    fill::file(record, slots(column.name), Cow::Borrowed(column.name), scalar, context);
}

/// Without `\xHH` and `\\`; as it is where that is no text.
fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
        let (byte, after) = match (byte, after) {
            (b'\\', [b'\\', after @ ..]) => (b'\\', after),
            (b'\\', [b'x', high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) if (high, low) != (0, 0) => (high * 16 + low, after),
                _ => (b'\\', after),
            },
            _ => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(value), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;
    use crate::record::{EventType, Timestamp, Zone};

    fn context() -> Context<'static> {
        Context { now: Timestamp::from_secs(1_795_160_000), zone: &Zone::UTC, own: &[] }
    }

    const ENDS: &str = "203.0.113.77\t48312\t192.0.2.4";
    const JSON_ENDS: &str = r#""id.orig_h":"203.0.113.77","id.orig_p":48312,"id.resp_h":"192.0.2.4""#;

    /// The same event in both spellings, behind time, name and the ends of the connection, and what it is.
    #[rustfmt::skip]
    const SAME: [(&str, &str, EventType); 15] = [
        ("443\ttcp\tssl\t1.250000\t120\t0\tSF\tT\tF\t0\tShADadFf\t8\t540\t7\t5000\t-",
            r#""id.resp_p":443,"proto":"tcp","service":"ssl","duration":1.25,"orig_bytes":120,"resp_bytes":0,"conn_state":"SF","local_orig":true,"local_resp":false,"missed_bytes":0,"history":"ShADadFf","orig_pkts":8,"orig_ip_bytes":540,"resp_pkts":7,"resp_ip_bytes":5000"#,
            EventType::ConnectionAllowed),
        ("23\ttcp\t-\t-\t-\t-\tREJ\tF\tT\t0\tSr\t1\t60\t1\t40\t(empty)\t6",
            r#""id.resp_p":23,"proto":"tcp","conn_state":"REJ","local_orig":false,"local_resp":true,"missed_bytes":0,"history":"Sr","orig_pkts":1,"orig_ip_bytes":60,"resp_pkts":1,"resp_ip_bytes":40,"tunnel_parents":[],"ip_proto":6"#,
            EventType::ConnectionBlocked),
        ("53\tudp\t4711\t0.012500\twww.example.org\t1\tC_INTERNET\t1\tA\t0\tNOERROR\tF\tF\tT\tT\t0\ta.example.org,192.0.2.9\t300.000000,60.500000\tF",
            r#""id.resp_p":53,"proto":"udp","trans_id":4711,"rtt":0.0125,"query":"www.example.org","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["a.example.org","192.0.2.9"],"TTLs":[300.0,60.5],"rejected":false"#,
            EventType::Other),
        ("80\t1\tGET\twww.example.org\t/a\\x09b\t-\t1.1\tcurl/8.5.0\t-\t0\t381\t401\tUnauthorized\t-\t-\t(empty)\tmia\t-\t-\t-\t-\t-\tFaBcDe\t-\ttext/html",
            r#""id.resp_p":80,"trans_depth":1,"method":"GET","host":"www.example.org","uri":"/a\tb","version":"1.1","user_agent":"curl/8.5.0","request_body_len":0,"response_body_len":381,"status_code":401,"status_msg":"Unauthorized","tags":[],"username":"mia","resp_fuids":["FaBcDe"],"resp_mime_types":["text/html"]"#,
            EventType::HttpRequest),
        ("22\t2\tF\t3\tINBOUND\tSSH-2.0-Go\tSSH-2.0-OpenSSH_9.6\t-\t-\t-\t-\t-\t-",
            r#""id.resp_p":22,"version":2,"auth_success":false,"auth_attempts":3,"direction":"INBOUND","client":"SSH-2.0-Go","server":"SSH-2.0-OpenSSH_9.6""#,
            EventType::LoginFailed),
        ("22\t2\tT\t1\tINBOUND\tSSH-2.0-Go\tSSH-2.0-OpenSSH_9.6\taes\t-\tnone\t-\t-\t-\tDE\t-\tBerlin\t52.5\t13.4",
            r#""id.resp_p":22,"version":2,"auth_success":true,"auth_attempts":1,"direction":"INBOUND","client":"SSH-2.0-Go","server":"SSH-2.0-OpenSSH_9.6","cipher_alg":"aes","compression_alg":"none","remote_location.country_code":"DE","remote_location.city":"Berlin","remote_location.latitude":52.5,"remote_location.longitude":13.4"#,
            EventType::LoginSuccess),
        ("443\tTLSv13\tTLS_AES_128_GCM_SHA256\tx25519\twww.example.org\tF\t-\th2\tT\tCsiI\t-\t-\t-",
            r#""id.resp_p":443,"version":"TLSv13","cipher":"TLS_AES_128_GCM_SHA256","curve":"x25519","server_name":"www.example.org","resumed":false,"next_protocol":"h2","established":true,"ssl_history":"CsiI""#,
            EventType::Other),
        ("443\t-\t-\t-\ttcp\tScan::Port_Scan\t203.0.113.77 scanned\tremote\t203.0.113.77\t192.0.2.4\t-\t-\tmanager\tNotice::ACTION_LOG\t(empty)\t3600.000000",
            r#""id.resp_p":443,"proto":"tcp","note":"Scan::Port_Scan","msg":"203.0.113.77 scanned","sub":"remote","src":"203.0.113.77","dst":"192.0.2.4","peer_descr":"manager","actions":["Notice::ACTION_LOG"],"email_dest":[],"suppress_for":3600.0"#,
            EventType::IdsAlert),
        ("80\tbad_TCP_checksum\t-\tF\tzeek\tTCP", r#""id.resp_p":80,"name":"bad_TCP_checksum","notice":false,"peer":"zeek","source":"TCP""#, EventType::Other),
        ("443\twww.example.org\tIntel::DOMAIN\tHTTP::IN_HOST_HEADER\tzeek\tIntel::DOMAIN\tfeed one,feed two\t-\t-\t-",
            r#""id.resp_p":443,"seen.indicator":"www.example.org","seen.indicator_type":"Intel::DOMAIN","seen.where":"HTTP::IN_HOST_HEADER","seen.node":"zeek","matched":["Intel::DOMAIN"],"sources":["feed one","feed two"]"#,
            EventType::IdsAlert),
        ("88\tAS\tmia/EXAMPLE.ORG\tkrbtgt/EXAMPLE.ORG\tF\tKDC_ERR_PREAUTH_FAILED\t-\t1795242301.000000\t-\tT\tF\t-\t-\t-\t-",
            r#""id.resp_p":88,"request_type":"AS","client":"mia/EXAMPLE.ORG","service":"krbtgt/EXAMPLE.ORG","success":false,"error_msg":"KDC_ERR_PREAUTH_FAILED","till":1795242301.0,"forwardable":true,"renewable":false"#,
            EventType::LoginFailed),
        ("445\tmia\tPC1\tCORP\t-\tdc1.corp.example\t-\tF",
            r#""id.resp_p":445,"username":"mia","hostname":"PC1","domainname":"CORP","server_dns_computer_name":"dc1.corp.example","success":false"#,
            EventType::LoginFailed),
        ("21\tmia\t<hidden>\tRETR\tftp://192.0.2.4/a\ttext/plain\t12\t226\tdone\t-\t-\t-\t-\tFaBcDe",
            r#""id.resp_p":21,"user":"mia","password":"<hidden>","command":"RETR","arg":"ftp://192.0.2.4/a","mime_type":"text/plain","file_size":12,"reply_code":226,"reply_msg":"done","fuid":"FaBcDe""#,
            EventType::Other),
        ("3389\tmia\tencrypted\tHYBRID\t-\t-\t-\t-\t-\t-\t-\t-\t-\t0\t-\t-\t-",
            r#""id.resp_p":3389,"cookie":"mia","result":"encrypted","security_protocol":"HYBRID","cert_count":0"#, EventType::Other),
        ("4789\tTunnel::VXLAN\tTunnel::DISCOVER", r#""id.resp_p":4789,"tunnel_type":"Tunnel::VXLAN","action":"Tunnel::DISCOVER""#, EventType::Other),
    ];

    fn same(columns: &str, json: &str, event_type: EventType) {
        let (mut one, mut other) = (parse(columns, &context()), parse(json, &context()));
        assert_eq!((one.format.message, one.event_type), ("zeek", event_type), "{columns}");
        assert_eq!(one.event_time.map(|time| time.to_string()).as_deref(), Some("2026-11-20T06:25:01.25Z"), "{columns}");
        (one.message, other.message) = ("".into(), "".into());
        assert_eq!(one, other, "{columns}");
    }

    #[test]
    fn columns_and_json_are_the_same_record() {
        for (columns, json, event_type) in SAME {
            let json = format!(r#"{{"ts":1795155901.25,"uid":"CaBcDe1fGhIj",{JSON_ENDS},{json}}}"#);
            same(&format!("1795155901.250000\tCaBcDe1fGhIj\t{ENDS}\t{columns}"), &json, event_type);
        }
        for (columns, json, event_type) in [
            (
                "FaBcDe1\tCaBcDe1fGhIj\t203.0.113.77\t48312\t192.0.2.4\t80\tHTTP\t0\tMD5,SHA1\ttext/html\t-\t0.001000\tF\tF\t381\t-\t0\t0\tF\t-\td41d8cd98f00b204e9800998ecf8427e\t-\t-\t-\t-\t-",
                r#""fuid":"FaBcDe1","uid":"CaBcDe1fGhIj","id.orig_h":"203.0.113.77","id.orig_p":48312,"id.resp_h":"192.0.2.4","id.resp_p":80,"source":"HTTP","depth":0,"analyzers":["MD5","SHA1"],"mime_type":"text/html","duration":0.001,"local_orig":false,"is_orig":false,"seen_bytes":381,"missing_bytes":0,"overflow_bytes":0,"timedout":false,"md5":"d41d8cd98f00b204e9800998ecf8427e""#,
                EventType::DataTransfer,
            ),
            (
                "CaBcDe1,CaBcDe2\t192.0.2.66\t192.0.2.1\t00:00:5e:00:53:01\tpc1\t-\t-\t-\t192.0.2.66\t3600.000000\t-\t-\tREQUEST,ACK\t0.500000",
                r#""uids":["CaBcDe1","CaBcDe2"],"client_addr":"192.0.2.66","server_addr":"192.0.2.1","mac":"00:00:5e:00:53:01","host_name":"pc1","assigned_addr":"192.0.2.66","lease_time":3600.0,"msg_types":["REQUEST","ACK"],"duration":0.5"#,
                EventType::Other,
            ),
        ] {
            same(&format!("1795155901.250000\t{columns}"), &format!(r#"{{"ts":1795155901.25,{json}}}"#), event_type);
        }
    }

    #[test]
    fn what_a_site_appends_stays_in_the_message() {
        let line = format!("1795155901.250000\tCaBcDe1fGhIj\t{ENDS}\t{}\t1:abc=\tDE", SAME[0].0);
        let record = parse(&line, &context());
        assert_eq!((record.event_type, record.dst_port), (EventType::ConnectionAllowed, Some(443)));
        assert!(record.message.ends_with("\tDE") && record.field("ip_proto").is_none());
    }

    #[test]
    fn of_an_unknown_log_the_connection_is_taken() {
        let line = format!("1795155901.250000\tCaBcDe1fGhIj\t{ENDS}\t9999\tone\ttwo\tthree");
        let record = parse(&line, &context());
        assert_eq!((record.format.message, record.event_type), ("zeek", EventType::Other));
        assert_eq!((record.src_ip, record.dst_port), ("203.0.113.77".parse().ok(), Some(9999)));
        assert_eq!(record.fields, [("zeek.uid".into(), "CaBcDe1fGhIj".into())]);
    }

    #[test]
    fn heads_and_what_is_no_line_of_zeek() {
        for (line, format) in [
            ("#separator \\x09", "zeek"),
            ("#fields\tts\tuid", "zeek"),
            ("#close\t2026-11-20-06-25-01", "zeek"),
            ("#Fields: date time", "text"),
            ("1795155901.250000\tCaBcDe1fGhIj", "text"),
            ("1795155901\tCaBcDe1fGhIj\t203.0.113.77\t1\t192.0.2.4\t2\tx", "text"),
            ("1795155901.25 CaBcDe1fGhIj", "text"),
            ("1795155901.250000\t192.0.2.4", "zeek"),
        ] {
            assert_eq!(parse(line, &context()).format.message, format, "{line}");
        }
    }

    #[test]
    fn escapes() {
        for (text, want) in [
            ("a\\x09b", "a\tb"),
            ("\\\\h\\\\s", "\\h\\s"),
            ("\\xc3\\xa9", "é"),
            ("\\xff", "\\xff"),
            ("\\", "\\"),
            ("\\x0", "\\x0"),
        ] {
            assert_eq!(unescape(text), want, "{text}");
        }
    }

    /// Lines of one log are not taken for another's.
    #[test]
    fn every_log_is_known_by_its_own_columns() {
        for (name, columns) in LOGS {
            let log = Log::new(name, columns);
            let values: Vec<String> = log
                .columns
                .iter()
                .enumerate()
                .map(|(at, column)| match column.shape {
                    _ if at == 0 => "1795155901.250000".to_owned(),
                    Shape::Text if column.name == "uid" => "CaBcDe1fGhIj".to_owned(),
                    Shape::Text | Shape::Set("") => "some text".to_owned(),
                    Shape::Number => "7".to_owned(),
                    Shape::Bool => "T".to_owned(),
                    Shape::Numbers => "1.000000".to_owned(),
                    Shape::Address => "192.0.2.4".to_owned(),
                    Shape::Mac => "00:00:5e:00:53:01".to_owned(),
                    Shape::Scoped => "A::B".to_owned(),
                    Shape::OneOf(words) | Shape::Begins(words) | Shape::Set(words) => words.split('|').next().unwrap().to_owned(),
                })
                .collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            assert_eq!(log_of(&values).map(|log| log.name), Some(name), "{columns}");
        }
    }
}
