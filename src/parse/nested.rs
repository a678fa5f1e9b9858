//! Wrappers in wrappers: relays, collectors and container runtimes put an envelope around lines that have one already.
//!
//! The innermost envelope was written nearest to the event, so its time, host, program and process are the event's; the hosts that passed the
//! line on are kept in `log.relay`, from the outside in. Text inside is hostile: [`super::envelope::read`] takes for a header within a message
//! only what cannot be a program's own words. Layers are taken off up to a limit, each in time linear in its length; what is deeper stays text.

use std::borrow::Cow;

use super::message::{self, Named, Watch};
use super::{Context, envelope, json, whole};
use crate::record::{Format, LogRecord, Value};

/// JSON objects, and lines in them, that are opened.
const MAX_LAYERS: u8 = 6;

/// Reads a frame's text and whatever line is wrapped in it.
pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, named: Option<Named>, watch: Watch<'_>) -> LogRecord<'a> {
    layer(text, context, named, watch, MAX_LAYERS)
}

fn layer<'a>(text: &'a str, context: &Context<'_>, named: Option<Named>, watch: Watch<'_>, left: u8) -> LogRecord<'a> {
    let text = envelope::bare(text);
    if text.starts_with('{') {
        let mut record = envelope::json::parse(text, context, named, watch);
        inside(&mut record, text, context, named, watch, left);
        return record;
    }
    if let Some(record) = whole(text, context, named, watch) {
        return record;
    }
    let mut record = envelope::read(text, context);
    let Cow::Borrowed(said) = record.message else { return record };
    message::read(&mut record, named, context, watch);
    if record.format.message == "text" && said.len() < text.len() {
        // A log with times of its own, passed on by something that put a header before its lines; or one more header, not complete, before a
        // line that is understood.
        let read = whole(said, context, named, watch).or_else(|| {
            let goes_on = left > 0 && envelope::begins_header(said);
            goes_on.then(|| layer(said, context, named, watch, left - 1)).filter(|read| read.format.message != "text")
        });
        if let Some(read) = read {
            take(&mut record, read);
        }
        return record;
    }
    inside(&mut record, said, context, named, watch, left);
    record
}

/// Opens the text that an object carried, where nothing but the object is known so far. `object` is its text, which the message is where it
/// carried none.
fn inside<'a>(record: &mut LogRecord<'a>, object: &str, context: &Context<'_>, named: Option<Named>, watch: Watch<'_>, left: u8) {
    if left == 0 || record.format.message != "json" {
        return;
    }
    if record.message == object {
        return member(record, context, named, watch, left - 1);
    }
    let app = record.app.clone();
    let read = match &record.message {
        Cow::Borrowed(text) => line(text, app, context, named, watch, left - 1),
        Cow::Owned(text) => line(text, app, context, named, watch, left - 1).map(LogRecord::into_owned),
    };
    if let Some(read) = read {
        take(record, read);
    }
}

/// Members in which collectors put an object that they took in whole: Splunk's forwarders, Filebeat, Fluent Bit, Google's logging.
const CARRIERS: [&str; 4] = ["event", "json", "log_processed", "jsonPayload"];

/// Opens an object within the object that the record's message is, where a product is known by it.
fn member<'a>(record: &mut LogRecord<'a>, context: &Context<'_>, named: Option<Named>, watch: Watch<'_>, left: u8) {
    let Cow::Borrowed(object) = record.message else { return };
    // ECS has an `event` of its own.
    let is_splunk = record.field("sourcetype").is_some();
    let carriers = if is_splunk { &CARRIERS[..] } else { &CARRIERS[1..] };
    let carries = |(name, _): &(Cow<'_, str>, Value<'_>)| carriers.iter().any(|carrier| is_within(name, carrier));
    if !record.fields.iter().any(carries) {
        return;
    }
    let mut found = None;
    // Its syntax was checked.
    let _ = json::members(object, |name, raw| {
        if found.is_none() && raw.starts_with('{') && carriers.contains(&&*name) {
            found = Some((name, raw));
        }
    });
    let Some((name, raw)) = found else { return };
    let read = layer(raw, context, named, watch, left);
    if read.format.message != "json" {
        record.fields.retain(|(field, _)| !is_within(field, &name));
        take(record, read);
    }
}

/// `event.kind` is within `event`.
fn is_within(name: &str, object: &str) -> bool {
    name.strip_prefix(object).is_some_and(|rest| rest.starts_with('.'))
}

/// What the parsers make of a line that an object says `app` wrote; `None` where it is mere text to them.
fn line<'a>(
    text: &'a str,
    app: Option<Cow<'a, str>>,
    context: &Context<'_>,
    named: Option<Named>,
    watch: Watch<'_>,
    left: u8,
) -> Option<LogRecord<'a>> {
    let text = envelope::bare(text);
    if app.is_some() && !text.starts_with('{') && !envelope::has_header(text, context) {
        let mut record = LogRecord::text(text);
        record.app = app;
        message::read(&mut record, named, context, watch);
        if record.format.message != "text" {
            return Some(record);
        }
    }
    let read = layer(text, context, named, watch, left);
    (read.format.message != "text" || !read.format.envelope.is_empty()).then_some(read)
}

/// Takes over what was read within a record: what it says is nearer to the event.
fn take<'a>(record: &mut LogRecord<'a>, mut read: LogRecord<'a>) {
    record.event_time = read.event_time.or(record.event_time);
    passed_on(record, &mut read);
    if read.app.is_some() && read.app != record.app {
        (record.app, record.pid) = (read.app, None);
    }
    record.pid = read.pid.or(record.pid);
    record.username = read.username.or(record.username.take());
    if read.src_ip.is_some() {
        (record.src_ip, record.src_port) = (read.src_ip, read.src_port);
    }
    if read.dst_ip.is_some() {
        (record.dst_ip, record.dst_port) = (read.dst_ip, read.dst_port);
    }
    record.protocol = read.protocol.or(record.protocol.take());
    record.action = read.action.or(record.action.take());
    if read.format.message != "text" {
        record.event_type = read.event_type;
        record.severity = read.severity.max(record.severity);
    }
    record.message = read.message;
    let outer = if record.format.envelope.is_empty() { "json" } else { record.format.envelope };
    record.format = Format { envelope: outer, message: read.format.message };
    record.error = read.error;
    record.count = read.count;
    record.told_by = read.told_by;
    for (name, value) in read.fields {
        record.set(name, value);
    }
}

/// Puts the host that is nearer to the event in the place of the one that passed its line on.
pub(super) fn passed_on<'a>(record: &mut LogRecord<'a>, inner: &mut LogRecord<'a>) {
    const RELAY: &str = "log.relay";
    let Some(nearer) = inner.host.take() else { return };
    let inner_relays = inner.fields.iter().position(|(name, _)| name == RELAY).map(|at| inner.fields.swap_remove(at).1);
    let next = match &inner_relays {
        Some(Value::Str(relays)) => relays.split(',').next(),
        _ => None,
    };
    let relay = record.host.take().filter(|host| next.unwrap_or(&nearer) != host);
    record.host = Some(nearer);
    for relay in [relay.map(Value::Str), inner_relays].into_iter().flatten() {
        let relays = match (record.field(RELAY), relay) {
            (Some(Value::Str(before)), Value::Str(relay)) => Value::from(format!("{before}, {relay}")),
            (_, relay) => relay,
        };
        record.set(RELAY, relays);
    }
}
