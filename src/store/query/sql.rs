//! [`Query`] → SQL.
//!
//! Nothing that was typed gets into the text of a statement. [`Sql::push`] takes `&'static str` only, which input never is: pieces that
//! stand in this program, and the words of its closed vocabularies. Everything else goes through [`Sql::bind`], which writes `$n`.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo};
use sqlx::{Arguments as _, Encode, Postgres, Type};

use super::{AddressField, Comparison, Mark, NamedValue, Network, NumberField, Pattern, Query, Range, Term, Test, TextField};
use crate::record::{Severity, Timestamp};

/// A statement in the making.
#[derive(Default)]
pub(in crate::store) struct Sql {
    text: String,
    arguments: PgArguments,
}

impl Sql {
    /// Adds a piece of our own.
    pub(in crate::store) fn push(&mut self, piece: &'static str) -> &mut Sql {
        self.text.push_str(piece);
        self
    }

    /// Adds a value, as a parameter.
    pub(in crate::store) fn bind<'v>(&mut self, value: impl Encode<'v, Postgres> + Type<Postgres>) -> &mut Sql {
        use std::fmt::Write as _;
        self.arguments.add(value).expect("text, numbers and times can always be encoded");
        let _ = write!(self.text, "${}", self.arguments.len());
        self
    }

    /// What was made of it.
    pub(in crate::store) fn into_parts(self) -> (String, PgArguments) {
        (self.text, self.arguments)
    }

    /// `one OR other OR …`, in brackets.
    fn any<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Sql, &T)) {
        self.push("(");
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.push(" OR ");
            }
            each(self, item);
        }
        self.push(")");
    }
}

/// An instant as PostgreSQL's own type, so that partitions are left out when a statement is planned: what a cast or a sum gives is known
/// only when it runs.
pub(in crate::store) struct Instant(pub Timestamp);

/// 2000-01-01, where the binary `timestamptz` counts from.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
/// `timestamptz` in `pg_type`.
const TIMESTAMPTZ: Oid = Oid(1184);

impl Type<Postgres> for Instant {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl Encode<'_, Postgres> for Instant {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = self.0.clamp(Timestamp::MIN, Timestamp::MAX).as_micros() - POSTGRES_EPOCH;
        buffer.extend_from_slice(&micros.to_be_bytes());
        Ok(IsNull::No)
    }
}

/// Adds ` AND …` for a range of `l.event_time`.
pub(in crate::store) fn range(sql: &mut Sql, range: Range) {
    if let Some(from) = range.from {
        sql.push(" AND l.event_time >= ").bind(Instant(from));
    }
    if let Some(to) = range.to {
        sql.push(" AND l.event_time < ").bind(Instant(to));
    }
}

/// Adds ` AND …` for what else a query asks of a row `l` of `logs`.
pub(in crate::store) fn terms(sql: &mut Sql, query: &Query) {
    if !query.terms.iter().any(|term| term.test == Test::Is(Mark::Archived)) {
        sql.push(" AND NOT ").push(mark(Mark::Archived));
    }
    for Term { negated, test: wanted } in &query.terms {
        sql.push(" AND (");
        test(sql, wanted);
        // Not NOT: of what is not there, it would be as unknown as the condition.
        sql.push(if *negated { ") IS NOT TRUE" } else { ")" });
    }
}

const fn mark(mark: Mark) -> &'static str {
    match mark {
        Mark::Archived => "EXISTS (SELECT FROM archived_logs a WHERE a.log_id = l.id)",
        Mark::Annotated => "EXISTS (SELECT FROM log_notes n WHERE n.log_id = l.id)",
    }
}

fn test(sql: &mut Sql, test: &Test) {
    match test {
        Test::Message(patterns) => sql.any(patterns, message),
        Test::Text(field, patterns) => sql.any(patterns, |sql, pattern| {
            sql.push(match field {
                TextField::Source => "l.source",
                TextField::Host => "l.host",
                TextField::App => "l.app",
                TextField::Username => "l.username",
                TextField::Protocol => "l.protocol",
                TextField::Action => "l.action",
            });
            whole(sql, pattern);
        }),
        Test::Number(field, values) => sql.any(values, |sql, (comparison, number)| {
            for (i, column) in numbers(*field).iter().enumerate() {
                sql.push(if i > 0 { " OR " } else { "" }).push(column).push(operator(*comparison)).bind(*number);
            }
        }),
        Test::HasNumber(field) => sql.any(numbers(*field), |sql, column| {
            sql.push(column).push(" IS NOT NULL");
        }),
        Test::Address(field, networks) => sql.any(networks, |sql, network| {
            for (i, column) in addresses(*field).iter().enumerate() {
                sql.push(if i > 0 { " OR " } else { "" }).push(column);
                within(sql, *network);
            }
        }),
        Test::HasAddress(field) => sql.any(addresses(*field), |sql, column| {
            sql.push(column).push(" IS NOT NULL");
        }),
        Test::Severity(values) => sql.any(values, |sql, (comparison, severity)| {
            sql.push("l.severity").push(operator(*comparison));
            // In the words of the partial index on what detectors look at, which is used only for constants.
            sql.push(match severity {
                Severity::Low => "'low'",
                Severity::Medium => "'medium'",
                Severity::High => "'high'",
                Severity::Critical => "'critical'",
            });
        }),
        Test::EventType(types) => {
            sql.push("l.event_type IN (");
            for (i, event_type) in types.iter().enumerate() {
                sql.push(if i > 0 { ", '" } else { "'" }).push(event_type.as_str()).push("'");
            }
            sql.push(")");
        }
        Test::Named(name, values) => named(sql, name, values),
        Test::Is(wanted) => {
            sql.push(mark(*wanted));
        }
    }
}

/// Anywhere in the message. Making letters small takes longer than looking for them, so it is left out where there are none; and in the
/// collation "C", where only ASCII letters have cases, it takes half as long as in others. What has other letters is compared as the
/// database does. (A million messages, processor time: LIKE 0.15 s, ILIKE in "C" 0.39 s, ILIKE 0.79 s, on top of 0.16 s for the scan.)
fn message(sql: &mut Sql, pattern: &Pattern) {
    let pieces = pattern.pieces();
    let has_no_case = pieces.iter().all(|piece| piece.to_lowercase() == piece.to_uppercase());
    sql.push(match (has_no_case, pieces.iter().all(|piece| piece.is_ascii())) {
        (true, _) => "l.message LIKE ",
        (false, true) => "l.message COLLATE \"C\" ILIKE ",
        (false, false) => "l.message ILIKE ",
    });
    sql.bind(format!("%{}%", like(pattern)));
}

/// ` = …` or ` LIKE …`: the whole value.
fn whole(sql: &mut Sql, pattern: &Pattern) {
    match pattern.literal() {
        Some(text) => sql.push(" = ").bind(text.to_owned()),
        None => sql.push(" LIKE ").bind(like(pattern)),
    };
}

/// A pattern of LIKE; what means something there and was only text is escaped.
fn like(pattern: &Pattern) -> String {
    let mut out = String::new();
    for (i, piece) in pattern.pieces().iter().enumerate() {
        if i > 0 {
            out.push('%');
        }
        for c in piece.chars() {
            if matches!(c, '%' | '_' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

const fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => " = ",
        Comparison::Less => " < ",
        Comparison::AtMost => " <= ",
        Comparison::More => " > ",
        Comparison::AtLeast => " >= ",
    }
}

const fn numbers(field: NumberField) -> &'static [&'static str] {
    match field {
        NumberField::Id => &["l.id"],
        NumberField::Pid => &["l.pid"],
        NumberField::SrcPort => &["l.src_port"],
        NumberField::DstPort => &["l.dst_port"],
        NumberField::Port => &["l.src_port", "l.dst_port"],
    }
}

const fn addresses(field: AddressField) -> &'static [&'static str] {
    match field {
        AddressField::SrcIp => &["l.src_ip"],
        AddressField::DstIp => &["l.dst_ip"],
        AddressField::Ip => &["l.src_ip", "l.dst_ip"],
    }
}

fn within(sql: &mut Sql, network: Network) {
    sql.push(if network.is_address() { " = " } else { " <<= " }).bind(network.to_string()).push("::inet");
}

/// Of a list in `fields`, any entry; `#>> '{}'` is the text of a value, and nothing for JSON's null.
fn named(sql: &mut Sql, name: &str, values: &[NamedValue]) {
    sql.push("l.fields ? ").bind(name.to_owned());
    sql.push(" AND EXISTS (SELECT FROM (SELECT l.fields -> ").bind(name.to_owned());
    sql.push(
        " AS whole) w, jsonb_array_elements(CASE jsonb_typeof(whole) WHEN 'array' THEN whole ELSE jsonb_build_array(whole) END) AS v \
         WHERE ",
    );
    sql.any(values, |sql, value| match value {
        NamedValue::Text(pattern) => {
            sql.push("v #>> '{}'");
            whole(sql, pattern);
        }
        NamedValue::Number(comparison, number) => {
            sql.push("CASE jsonb_typeof(v) WHEN 'number' THEN v::numeric").push(operator(*comparison));
            sql.bind(number.as_str().to_owned()).push("::numeric END");
        }
    });
    sql.push(")");
}
