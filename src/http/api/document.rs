//! What describes the API: OpenAPI 3.1, from the code. The routes say what is their own; what they have in common is added here.

use serde_json::{Value, json};
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::casework::Role;
use crate::record::case::{Category, NoteKind, Priority, Status, TaskStatus};
use crate::record::{EventType, Severity, Timestamp};

/// The beginning of it.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "tocsin", description = "Casework: logs, incidents, tasks, reports, users, the audit log."),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
pub(super) struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("of a session or a program")).build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The whole of it: with the problems that any route, or any of its kind, can give, with their content type, and with the headers that
/// every answer has.
pub(super) fn complete(document: &OpenApi) -> Value {
    let mut document = serde_json::to_value(document).expect("a document is JSON");
    let paths = document["paths"].as_object_mut().expect("there are paths");
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut()) {
        let is_open = operation["security"].as_array().is_some_and(|ways| ways.iter().any(|way| way == &json!({})));
        let takes_body = operation.get("requestBody").is_some();
        let takes = |place: &str| {
            let parameters = operation["parameters"].as_array();
            parameters.is_some_and(|all| all.iter().any(|parameter| parameter["in"] == place))
        };
        let mut codes = vec!["429", "500", "503"];
        codes.extend((!is_open).then_some("401"));
        codes.extend((takes_body || takes("query")).then_some("422"));
        codes.extend(takes("path").then_some("404"));
        codes.extend(if takes_body { &["400", "413", "415"][..] } else { &[] });
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            never_null(&mut parameter["schema"]);
        }
        let responses = operation["responses"].as_object_mut().expect("there are responses");
        for code in codes {
            responses.entry(code).or_insert_with(|| json!({ "description": "" }));
        }
        for (code, response) in responses {
            describe(code, response);
        }
    }
    let asked: Vec<String> = requests(&document).collect();
    let schemas = document["components"]["schemas"].as_object_mut().expect("there are schemas");
    for (_, schema) in schemas.iter_mut().filter(|(name, _)| !asked.contains(name)) {
        always_there(schema);
    }
    document
}

/// The names of what requests bring.
fn requests(document: &Value) -> impl Iterator<Item = String> {
    let methods = document["paths"].as_object().into_iter().flat_map(|paths| paths.values()).filter_map(Value::as_object);
    let bodies = methods.flat_map(|methods| methods.values()).map(|operation| &operation["requestBody"]["content"]);
    let names = bodies.filter_map(|content| content["application/json"]["schema"]["$ref"].as_str());
    names.filter_map(|name| name.strip_prefix("#/components/schemas/")).map(str::to_owned)
}

/// In an answer, what may be null is there; what may be absent is never null.
fn always_there(schema: &mut Value) {
    let may_be_null = |schema: &Value| {
        let is_null = |kind: &Value| kind == "null" || kind["type"] == "null";
        [&schema["type"], &schema["oneOf"]].iter().any(|kinds| kinds.as_array().is_some_and(|kinds| kinds.iter().any(is_null)))
    };
    for part in schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
        always_there(part);
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    let nullable = properties.iter().filter(|(_, property)| may_be_null(property)).map(|(name, _)| json!(name));
    let nullable: Vec<Value> = nullable.collect();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let all: Vec<Value> = required.iter().chain(nullable.iter().filter(|name| !required.contains(name))).cloned().collect();
    if !all.is_empty() {
        schema["required"] = json!(all);
    }
}

/// What is sent in a URL or a header is there or not; it is never null.
fn never_null(schema: &mut Value) {
    if let Some(types) = schema["type"].as_array() {
        let one = types.iter().find(|kind| *kind != "null").cloned();
        schema["type"] = one.unwrap_or(Value::Null);
    }
    for way in ["oneOf", "anyOf"] {
        if let Some(all) = schema[way].as_array() {
            let one = all.iter().find(|one| one["type"] != "null").cloned();
            *schema = one.unwrap_or(Value::Null);
        }
    }
    if let Some(object) = schema.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
}

fn describe(code: &str, response: &mut Value) {
    let text = |description: &str| json!({ "description": description, "required": true, "schema": { "type": "string" } });
    response["headers"]["X-Request-Id"] = text("The id of the request: what it brought, or one that was made");
    if code != "500" {
        response["headers"]["RateLimit"] = text("What is left of the quota, and in how many seconds it is whole again");
        response["headers"]["RateLimit-Policy"] = text("The quota, and over how many seconds");
    }
    if code.starts_with(['4', '5']) {
        response["content"] = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        if response["description"] == "" {
            let status = code.parse().ok().and_then(|code| axum::http::StatusCode::from_u16(code).ok());
            response["description"] = json!(status.and_then(|status| status.canonical_reason()).unwrap_or_default());
        }
    }
    if matches!(code, "429" | "503") {
        response["headers"]["Retry-After"] = json!({ "description": "Seconds until it may be otherwise", "required": true, "schema": { "type": "integer", "minimum": 1 } });
    }
}

macro_rules! words {
    ($($name:ty),+) => { $(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(<$name>::ALL.iter().map(|word| word.as_str()))).into()
            }
        }

        impl ToSchema for $name {}
    )+ };
}

words!(Category, EventType, NoteKind, Priority, Role, Severity, Status, TaskStatus);

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
    }
}

impl ToSchema for Timestamp {}

/// A time, or an empty text that takes one away.
pub(super) struct TimeOrNothing;

impl PartialSchema for TimeOrNothing {
    fn schema() -> RefOr<Schema> {
        let nothing = ObjectBuilder::new().schema_type(Type::String).max_length(Some(0));
        AnyOfBuilder::new().item(Timestamp::schema()).item(nothing).into()
    }
}

impl ToSchema for TimeOrNothing {}

/// Texts of which there is a description, and no value: the fields that hold one are strings.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = ($least:expr, $most:expr, $pattern:expr);)+) => { $(
        $(#[$doc])*
        pub(super) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let least: Option<usize> = $least;
                let text = ObjectBuilder::new().schema_type(Type::String).min_length(least).max_length(Some($most));
                text.pattern(Some($pattern)).into()
            }
        }

        impl ToSchema for $name {}
    )+ };
}

texts! {
    /// A line with something in it.
    Line = (Some(1), 500, r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$");
    /// A line, or nothing.
    LineOrNothing = (None, 500, r"^[^\x00-\x1f\x7f-\x9f]*$");
    /// Lines with something in them.
    Text = (Some(1), 20_000, r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$");
    /// Lines, or nothing.
    TextOrNothing = (None, 20_000, r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$");
    /// A note about a log record.
    LogNote = (Some(1), 10_000, r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$");
    /// A line of a log.
    LogLine = (Some(1), 10_000, r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$");
    /// The name of a user.
    UserName = (Some(1), 64, "^[a-z][a-z0-9._-]*$");
    /// An ATT&CK technique, or nothing.
    Technique = (None, 9, r"^(T[0-9]{4}(\.[0-9]{3})?)?$");
}
