//! What describes the API: OpenAPI 3.1, from the code. The routes say what is their own; what they have in common is added here.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::casework::Role;
use crate::record::case::{Category, Criticality, LinkKind, NoteKind, PartyRole, Priority, SearchKind, Status, TaskStatus};
use crate::record::observable::{Kind, Tlp};
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
    mend(&mut document);
    let paths = document["paths"].as_object_mut().expect("there are paths");
    let operations = paths.iter_mut().filter_map(|(path, methods)| Some((path, methods.as_object_mut()?)));
    for (path, (method, operation)) in operations.flat_map(|(path, methods)| methods.iter_mut().map(move |m| (path, m))) {
        let words =
            path.trim_start_matches("/api/v1/").split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        operation["operationId"] = json!(std::iter::once(&**method).chain(words).collect::<Vec<_>>().join("_"));
        let is_open = operation["security"].as_array().is_some_and(|ways| ways.iter().any(|way| way == &json!({})));
        let takes_body = operation.get("requestBody").is_some();
        let takes = |place: &str| {
            let parameters = operation["parameters"].as_array();
            parameters.is_some_and(|all| all.iter().any(|parameter| parameter["in"] == place))
        };
        let mut codes = vec!["429", "500", "503"];
        codes.extend((!is_open).then_some("401"));
        codes.extend((takes_body || takes("query") || takes("path")).then_some("422"));
        codes.extend(takes("path").then_some("404"));
        codes.extend(if takes_body { &["400", "413", "415"][..] } else { &[] });
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            never_null(&mut parameter["schema"]);
            // What is called so is so on every path.
            let pattern = match (parameter["in"].as_str(), parameter["name"].as_str()) {
                (Some("path"), Some("number" | "other")) => "^INC-[0-9]{4}-[0-9]{6,12}$",
                (Some("path"), Some("user")) => "^[a-z][a-z0-9._-]{0,63}$",
                (Some("path"), Some("name")) => r"^[^/\x00-\x1f\x7f-\x9f]{1,500}$",
                (Some("header"), Some("If-Match")) => r#"^(\*|"[0-9]{1,18}")$"#,
                _ => continue,
            };
            parameter["schema"]["pattern"] = json!(pattern);
        }
        let responses = operation["responses"].as_object_mut().expect("there are responses");
        for code in codes {
            responses.entry(code).or_insert_with(|| json!({ "description": "" }));
        }
        for (code, response) in responses {
            describe(code, response);
        }
        // Refused before it is looked at, and so without anything of the rest.
        operation["responses"]["431"] = json!({ "description": "Line and headers are longer than http.max_head_bytes" });
    }
    let asked: Vec<String> = requests(&document).collect();
    let schemas = document["components"]["schemas"].as_object_mut().expect("there are schemas");
    for (_, schema) in schemas.iter_mut().filter(|(name, _)| !asked.contains(name)) {
        always_there(schema);
    }
    document
}

/// What stands beside the schema of a field is an `allOf` with an object of its own, which the field is none of: they belong together.
fn mend(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(mend),
        Value::Object(object) => {
            object.values_mut().for_each(mend);
            if let Some([schema, beside]) = object.get("allOf").and_then(Value::as_array).map(Vec::as_slice)
                && let (Some(schema), Some(beside)) = (schema.as_object(), beside.as_object())
                && !schema.contains_key("$ref")
                && beside["type"] == "object"
                && beside.keys().all(|key| matches!(&**key, "type" | "description" | "default"))
            {
                let mut whole = schema.clone();
                whole.extend(beside.iter().filter(|(key, _)| *key != "type").map(|(key, value)| (key.clone(), value.clone())));
                object.remove("allOf");
                object.extend(whole);
            }
        }
        _ => {}
    }
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
    }
    if response["description"].as_str().is_none_or(str::is_empty) {
        let status = code.parse().ok().and_then(|code| axum::http::StatusCode::from_u16(code).ok());
        response["description"] = json!(status.and_then(|status| status.canonical_reason()).unwrap_or_default());
    }
    if matches!(code, "429" | "503") {
        response["headers"]["Retry-After"] = json!({ "description": "Seconds until it may be otherwise", "required": true, "schema": { "type": "integer", "minimum": 1 } });
    }
}

macro_rules! words {
    ($($name:ty $(= $called:literal)?),+) => { $(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(<$name>::ALL.iter().map(|word| word.as_str()))).into()
            }
        }

        impl ToSchema for $name {
            $(fn name() -> Cow<'static, str> {
                Cow::Borrowed($called)
            })?
        }
    )+ };
}

words!(
    Category,
    Criticality,
    EventType,
    Kind = "ObservableKind",
    LinkKind,
    NoteKind,
    PartyRole,
    Priority,
    Role,
    SearchKind,
    Severity,
    Status,
    TaskStatus,
    Tlp
);

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
    }
}

impl ToSchema for Timestamp {}

/// Bytes, as they are.
pub(super) struct Bytes;

impl PartialSchema for Bytes {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).into()
    }
}

impl ToSchema for Bytes {}

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

/// A line with something in it; and lines; and either, or nothing.
const LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
const LINE_OR_NOTHING: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
const LINES: &str = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$";
const LINES_OR_NOTHING: &str = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$";

texts! {
    /// A line with something in it.
    Line = (Some(1), 500, LINE);
    /// A line, or nothing.
    LineOrNothing = (None, 500, LINE_OR_NOTHING);
    /// Lines with something in them.
    Text = (Some(1), 20_000, LINES);
    /// Lines, or nothing.
    TextOrNothing = (None, 20_000, LINES_OR_NOTHING);
    /// A note about a log record.
    LogNote = (Some(1), 10_000, LINES);
    /// A line of a log.
    LogLine = (Some(1), 10_000, LINE);
    /// The name of an asset.
    AssetName = (Some(1), 200, LINE);
    /// What is looked for among observables.
    Seen = (Some(1), 2_048, LINE);
    /// Some lines.
    Lines = (Some(1), 2_000, LINES);
    /// Some lines, or nothing.
    LinesOrNothing = (None, 2_000, LINES_OR_NOTHING);
    /// What is said of somebody.
    PartyNotes = (Some(1), 4_000, LINES);
    /// What is said of somebody, or nothing.
    PartyNotesOrNothing = (None, 4_000, LINES_OR_NOTHING);
    /// Text that is looked for.
    Sought = (None, 500, r"^[^\x00]*$");
    /// The name of a user.
    UserName = (Some(1), 64, "^[a-z][a-z0-9._-]*$");
    /// The number of an incident.
    Number = (Some(15), 21, "^INC-[0-9]{4}-[0-9]{6,12}$");
    /// An ATT&CK technique, or nothing.
    Technique = (None, 9, r"^(T[0-9]{4}(\.[0-9]{3})?)?$");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn document() -> Value {
        complete(super::super::routes().get_openapi())
    }

    fn operations(document: &Value) -> Vec<(String, &Value)> {
        let paths = document["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, all)| all.as_object().unwrap().iter().map(move |(m, o)| (format!("{m} {path}"), o))).collect()
    }

    /// Calls `each` with every object in a document.
    fn objects(value: &Value, each: &mut dyn FnMut(&serde_json::Map<String, Value>)) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| objects(value, each)),
            Value::Object(object) => {
                each(object);
                object.values().for_each(|value| objects(value, each));
            }
            _ => {}
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_every_answer_a_description() {
        let document = document();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let mut names = BTreeSet::new();
        for (at, operation) in operations(&document) {
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{at}");
            assert!(operation["summary"].is_string(), "{at}");
            for (code, response) in operation["responses"].as_object().unwrap() {
                assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{at} {code}");
                if code.starts_with(['4', '5']) && code != "431" {
                    let content = response["content"].as_object().unwrap();
                    assert_eq!(content.keys().collect::<Vec<_>>(), ["application/problem+json"], "{at} {code}");
                }
            }
            let has = |code: &str| operation["responses"].get(code).is_some();
            assert!(has("429") && has("500") && has("503") && has("431"), "{at}");
            assert!(has("401"), "{at}");
            assert_eq!(has("413") && has("415") && has("400"), operation.get("requestBody").is_some(), "{at}");
        }
    }

    /// As schemathesis found them: fields that had to be text and an object at once, parameters that could be null.
    #[test]
    fn nothing_contradicts_itself_and_no_parameter_is_null() {
        let document = document();
        objects(&document, &mut |object| {
            for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
                let is_real = part.get("$ref").is_some() || part["type"] != "object" || part.get("properties").is_some();
                assert!(is_real, "{object:?}");
                // A part that takes nothing else would take nothing of the others.
                let whole = part["$ref"].as_str().map_or(part, |to| document.pointer(&to[1..]).unwrap());
                assert_ne!(whole["additionalProperties"], false, "{object:?}");
            }
        });
        for (at, operation) in operations(&document) {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(!parameter["schema"].to_string().contains("null"), "{at}: {parameter}");
                assert!(parameter["schema"]["type"].is_string(), "{at}: {parameter}");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_what_may_be_null_is_there() {
        let document = document();
        objects(&document, &mut |object| {
            if let Some(to) = object.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(&to[1..]).is_some(), "{to}");
            }
        });
        let schemas = &document["components"]["schemas"];
        // How an incident stands to what is promised is a part of its own.
        let parts = schemas["CaseRow"]["allOf"].as_array().unwrap();
        let case = parts.iter().find(|part| part["properties"].get("assignee").is_some()).unwrap();
        assert!(case["required"].as_array().unwrap().contains(&json!("assignee")), "{case}");
        assert_eq!(case["properties"]["status"]["$ref"], "#/components/schemas/Status");
        let patch = &document["components"]["schemas"]["IncidentPatch"];
        assert!(patch.get("required").is_none() && patch["additionalProperties"] == false, "{patch}");
        // What is left out where there is none is never null, and so it is not always there.
        assert!(schemas["Person"].get("required").is_none() && schemas["Person"]["properties"]["name"]["type"] == "string");
        assert_eq!(schemas["CheckedFile"]["required"], json!(["id", "intact"]));
        let statuses = document["components"]["schemas"]["Status"]["enum"].as_array().unwrap();
        assert_eq!(statuses.len(), Status::ALL.len());
    }
}
