//! Audit logs as JSON, of services that write nothing else: Kubernetes, HashiCorp Vault, AWS CloudTrail, Google Cloud, GitHub, Microsoft 365; also as Wazuh wraps them (`{"integration":"github","github":{…}}`).
//!
//! Sources: the references of the dialects. Severity: refused logins, refused requests and changes of accounts are medium, the rest is low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot, Slots};
use crate::parse::{Context, json, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy, Value};

pub(super) const KUBERNETES: Dialect = Dialect {
    name: "kubernetes_audit",
    product: "Kubernetes: audit log",
    reference: "https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/",
    marks: &[Member("\"audit.k8s.io/")],
    parse: kubernetes,
    samples: &[
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a1","stage":"ResponseComplete","requestURI":"/api/v1/secrets","verb":"list","user":{"username":"mia","groups":["system:authenticated"]},"sourceIPs":["203.0.113.77"],"userAgent":"kubectl/v1.30","objectRef":{"resource":"secrets"},"responseStatus":{"code":403},"requestReceivedTimestamp":"2026-11-20T06:25:01.123456Z"}"#,
    ],
};

pub(super) const VAULT: Dialect = Dialect {
    name: "hashicorp_vault",
    product: "HashiCorp Vault: audit log",
    reference: "https://developer.hashicorp.com/vault/docs/audit/schema",
    marks: &[Member("\"hmac-sha256:"), Member("\"mount_type\""), Member("\"token_type\""), Member("\"client_token\"")],
    parse: vault,
    samples: &[
        r#"{"time":"2026-11-20T06:25:01.123Z","type":"response","auth":{"display_name":"userpass-mia","policies":["default"],"token_type":"service"},"request":{"id":"24ac","operation":"update","mount_type":"userpass","path":"auth/userpass/login/mia","remote_address":"203.0.113.77","remote_port":50123},"error":"permission denied"}"#,
    ],
};

pub(super) const CLOUDTRAIL: Dialect = Dialect {
    name: "aws_cloudtrail",
    product: "AWS CloudTrail",
    reference: "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html",
    marks: &[Member("\"eventSource\""), Member("\"userIdentity\"")],
    parse: cloudtrail,
    samples: &[
        r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","accountId":"123456789012","userName":"mia"},"eventTime":"2026-11-20T06:25:01Z","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","awsRegion":"eu-west-1","sourceIPAddress":"203.0.113.77","userAgent":"Mozilla/5.0","errorMessage":"Failed authentication","responseElements":{"ConsoleLogin":"Failure"},"eventID":"e1"}"#,
    ],
};

pub(super) const GOOGLE: Dialect = Dialect {
    name: "google_cloud",
    product: "Google Cloud: audit and request logs",
    reference: "https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry",
    marks: &[Member("\"protoPayload\""), Member("\"logName\"")],
    parse: google,
    samples: &[
        r#"{"insertId":"1m","logName":"projects/shop/logs/cloudaudit.googleapis.com%2Factivity","protoPayload":{"authenticationInfo":{"principalEmail":"mia@example.org"},"methodName":"SetIamPolicy","requestMetadata":{"callerIp":"203.0.113.77"},"resourceName":"projects/shop","serviceName":"cloudresourcemanager.googleapis.com","status":{"code":7,"message":"PERMISSION_DENIED"}},"severity":"ERROR","timestamp":"2026-11-20T06:25:01.123Z"}"#,
    ],
};

pub(super) const GITHUB: Dialect = Dialect {
    name: "github_audit",
    product: "GitHub: audit log",
    reference: "https://docs.github.com/en/organizations/keeping-your-organization-secure/managing-security-settings-for-your-organization/audit-log-events-for-your-organization",
    marks: &[Member("\"github\":{"), Member("\"github\": {"), Member("\"_document_id\""), Member("\"actor_location\"")],
    parse: github,
    samples: &[
        r#"{"@timestamp":1795155901123,"_document_id":"d1","action":"org.add_member","actor":"mia","actor_ip":"203.0.113.77","actor_location":{"country_code":"CH"},"created_at":1795155901123,"org":"example","user":"eve"}"#,
    ],
};

pub(super) const MICROSOFT365: Dialect = Dialect {
    name: "microsoft365",
    product: "Microsoft 365: unified audit log",
    reference: "https://learn.microsoft.com/en-us/office/office-365-management-api/office-365-management-activity-api-schema",
    marks: &[Member("\"RecordType\""), Member("\"OrganizationId\""), Member("\"office365\":")],
    parse: microsoft365,
    samples: &[
        r#"{"CreationTime":"2026-11-20T06:25:01","Id":"e1","Operation":"UserLoginFailed","OrganizationId":"o1","RecordType":15,"ResultStatus":"Failed","UserKey":"k1","UserType":0,"Workload":"AzureActiveDirectory","ClientIP":"203.0.113.77","UserId":"mia@example.org"}"#,
    ],
};

/// Reads the object; false where `sure` says that it is another's.
pub(super) fn read<'a>(
    text: &'a str,
    record: &mut LogRecord<'a>,
    slots: Slots,
    context: &Context<'_>,
    finish: fn(&mut LogRecord<'a>) -> bool,
) -> bool {
    let mut filled = record.clone();
    filled.fields.reserve(32);
    let understood = fill::object(text, &mut filled, slots, context) && finish(&mut filled);
    if understood {
        *record = filled;
    }
    understood
}

fn number(record: &LogRecord<'_>, name: &str) -> i64 {
    match record.field(name) {
        Some(Value::Int(number)) => *number,
        Some(Value::Str(text)) => text.parse().unwrap_or(0),
        _ => 0,
    }
}

/// The first text of an array that was filed as a field.
fn first(record: &LogRecord<'_>, name: &str) -> Option<String> {
    let Some(Value::Json(list)) = record.field(name) else { return None };
    let mut found = None;
    json::elements(list, |element| {
        found.get_or_insert_with(|| json::string(element).into_owned());
    });
    found
}

fn kubernetes<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    fn slots(name: &str) -> Option<Slot> {
        use Slot::{Action, Field, Number, Time, User};
        Some(match name {
            "requestReceivedTimestamp" => Time,
            "timestamp" => Field("event.created"),
            "verb" => Action,
            "user.username" => User,
            "impersonatedUser.username" => Field("user.effective.name"),
            "requestURI" => Field("url.original"),
            "userAgent" => Field("user_agent.original"),
            "responseStatus.code" => Number("http.response.status_code"),
            "auditID" => Field("event.id"),
            "objectRef.namespace" => Field("orchestrator.namespace"),
            "objectRef.resource" => Field("orchestrator.resource.type"),
            "objectRef.name" => Field("orchestrator.resource.name"),
            _ => return None,
        })
    }
    read(text, record, slots, context, |record| {
        if word(record, "apiVersion").is_empty() || record.field("event.id").is_none() {
            return false;
        }
        record.src_ip = first(record, "sourceIPs").and_then(|ip| scan::ip(&ip));
        match number(record, "http.response.status_code") {
            401 => failed(record, "kubernetes_audit", "unauthorized", ToldBy::Service),
            403 => is(record, "kubernetes_audit", EventType::AccessDenied, Severity::Medium),
            _ => {
                let resource = word(record, "orchestrator.resource.type");
                let changes = matches!(record.action.as_deref(), Some("create" | "update" | "patch" | "delete"));
                let event_type = match resource {
                    "roles" | "clusterroles" | "rolebindings" | "clusterrolebindings" | "serviceaccounts" if changes => {
                        EventType::AccountChange
                    }
                    "pods/exec" | "pods/attach" => EventType::PrivilegeUse,
                    _ => EventType::HttpRequest,
                };
                let severity = if event_type == EventType::AccountChange { Severity::Medium } else { Severity::Low };
                is(record, "kubernetes_audit", event_type, severity);
            }
        }
        true
    })
}

fn vault<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    fn slots(name: &str) -> Option<Slot> {
        use Slot::{Action, Field, SrcIp, SrcPort, Time, User};
        Some(match name {
            "time" => Time,
            "request.remote_address" => SrcIp,
            "request.remote_port" => SrcPort,
            "request.operation" => Action,
            "request.path" => Field("url.path"),
            "request.id" => Field("event.id"),
            "auth.display_name" => User,
            "error" => Field("error.message"),
            _ => return None,
        })
    }
    read(text, record, slots, context, |record| {
        if !matches!(word(record, "type"), "request" | "response") || record.action.is_none() {
            return false;
        }
        let path = word(record, "url.path");
        let is_login = path.starts_with("auth/") && path.split('/').any(|part| part == "login");
        let refused = scan::has(word(record, "error.message"), "denied") || scan::has(word(record, "error.message"), "invalid");
        let is_response = word(record, "type") == "response";
        if is_login
            && record.username.is_none()
            && let Some((_, user)) = scan::cut(path, "/login/")
        {
            record.username = Some(Cow::Owned(user.to_owned()));
        }
        let has_error = record.field("error.message").is_some();
        match (is_login, has_error, is_response) {
            (true, true, _) => failed(record, "hashicorp_vault", "login", ToldBy::Service),
            (true, false, true) => succeeded(record, "hashicorp_vault", "login"),
            _ if refused => is(record, "hashicorp_vault", EventType::AccessDenied, Severity::Medium),
            _ => is(record, "hashicorp_vault", EventType::Other, Severity::Low),
        }
        true
    })
}

fn cloudtrail<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    fn slots(name: &str) -> Option<Slot> {
        use Slot::{Action, Field, SrcIp, Time, User};
        Some(match name.strip_prefix("aws.").unwrap_or(name) {
            "eventTime" => Time,
            "sourceIPAddress" => SrcIp,
            "userIdentity.userName" => User,
            "userIdentity.accountId" => Field("cloud.account.id"),
            "userIdentity.arn" => Field("user.id"),
            "eventName" => Action,
            "eventSource" => Field("event.provider"),
            "eventID" => Field("event.id"),
            "awsRegion" => Field("cloud.region"),
            "userAgent" => Field("user_agent.original"),
            "errorCode" => Field("error.code"),
            "errorMessage" => Field("error.message"),
            "responseElements.ConsoleLogin" => Field("aws.console_login"),
            _ => return None,
        })
    }
    read(text, record, slots, context, |record| {
        let (Some(action), true) = (record.action.as_deref(), word(record, "event.provider").contains(".amazonaws.com")) else {
            return false;
        };
        let refused =
            scan::has(word(record, "error.code"), "AccessDenied") || scan::has(word(record, "error.code"), "Unauthorized");
        let names_account =
            ["user", "role", "accesskey", "loginprofile", "group", "policy"].iter().any(|part| action.contains(part));
        let changes = ["create", "delete", "attach", "detach", "put", "update", "add", "remove"]
            .iter()
            .any(|verb| action.starts_with(verb));
        match (action, word(record, "aws.console_login")) {
            ("consolelogin", "Success") => succeeded(record, "aws_cloudtrail", "consolelogin"),
            ("consolelogin", _) => failed(record, "aws_cloudtrail", "consolelogin", ToldBy::Service),
            _ if refused => is(record, "aws_cloudtrail", EventType::AccessDenied, Severity::Medium),
            _ if changes && names_account && word(record, "event.provider").starts_with("iam.") => {
                is(record, "aws_cloudtrail", EventType::AccountChange, Severity::Medium);
            }
            ("stoplogging" | "deletetrail" | "updatetrail", _) => {
                is(record, "aws_cloudtrail", EventType::ConfigChange, Severity::Medium)
            }
            _ if changes => is(record, "aws_cloudtrail", EventType::ConfigChange, Severity::Low),
            _ => is(record, "aws_cloudtrail", EventType::Other, Severity::Low),
        }
        true
    })
}

fn google<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    fn slots(name: &str) -> Option<Slot> {
        use Slot::{Action, Field, Number, SrcIp, Time, User};
        Some(match name.strip_prefix("gcp.").unwrap_or(name) {
            "timestamp" => Time,
            "protoPayload.authenticationInfo.principalEmail" => User,
            "protoPayload.requestMetadata.callerIp"
            | "httpRequest.remoteIp"
            | "jsonPayload.connection.src_ip"
            | "jsonPayload.sourceIP" => SrcIp,
            "protoPayload.methodName" => Action,
            "protoPayload.serviceName" => Field("event.provider"),
            "protoPayload.status.code" => Number("google.status.code"),
            "protoPayload.status.message" => Field("error.message"),
            "protoPayload.requestMetadata.callerSuppliedUserAgent" | "httpRequest.userAgent" => Field("user_agent.original"),
            "httpRequest.requestMethod" => Field("http.request.method"),
            "httpRequest.requestUrl" => Field("url.original"),
            "httpRequest.status" => Number("http.response.status_code"),
            "insertId" => Field("event.id"),
            "severity" => Field("log.level"),
            "resource.labels.project_id" => Field("cloud.project.id"),
            "logName" => Field("log.name"),
            _ => return None,
        })
    }
    read(text, record, slots, context, |record| {
        if !word(record, "log.name").contains("/logs/") {
            return false;
        }
        let action = record.action.as_deref().unwrap_or_default();
        let (event_type, severity) = match number(record, "google.status.code") {
            7 | 16 => (EventType::AccessDenied, Severity::Medium),
            _ if action.ends_with("setiampolicy") || action.contains("serviceaccount") => {
                (EventType::AccountChange, Severity::Medium)
            }
            _ if [".insert", ".delete", ".patch", ".update", ".create"].iter().any(|verb| action.ends_with(verb)) => {
                (EventType::ConfigChange, Severity::Low)
            }
            _ if record.field("http.request.method").is_some() => (EventType::HttpRequest, Severity::Low),
            _ => (EventType::Other, Severity::Low),
        };
        is(record, "google_cloud", event_type, severity);
        true
    })
}

fn github<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    fn slots(name: &str) -> Option<Slot> {
        use Slot::{Action, Field, SrcIp, Time, User};
        Some(match name.strip_prefix("github.").unwrap_or(name) {
            "created_at" => Time,
            "@timestamp" => Time,
            "actor" => User,
            "actor_ip" => SrcIp,
            "action" => Action,
            "user" => Field("user.target.name"),
            "org" => Field("organization.name"),
            "repo" | "repository" => Field("github.repo"),
            "_document_id" => Field("event.id"),
            "user_agent" => Field("user_agent.original"),
            _ => return None,
        })
    }
    read(text, record, slots, context, |record| {
        let Some(action) = record.action.as_deref().filter(|action| action.contains('.')) else { return false };
        if word(record, "integration") != "github" && record.field("event.id").is_none() {
            return false;
        }
        let (kind, what) = action.split_once('.').unwrap_or((action, ""));
        let (event_type, severity) = match (kind, what) {
            ("user", "login") => (EventType::LoginSuccess, Severity::Low),
            ("user", "failed_login") => (EventType::LoginFailed, Severity::Medium),
            ("org" | "team" | "repo" | "business", what)
                if what.contains("member") || what.contains("collaborator") || what.contains("invite") =>
            {
                (EventType::AccountChange, Severity::Medium)
            }
            ("personal_access_token" | "public_key" | "oauth_access" | "role" | "two_factor_authentication" | "account", _) => {
                (EventType::AccountChange, Severity::Medium)
            }
            ("git" | "workflows", _) => (EventType::Other, Severity::Low),
            (_, what) if what.contains("disable") || what.contains("destroy") || what.contains("delete") => {
                (EventType::ConfigChange, Severity::Medium)
            }
            _ => (EventType::ConfigChange, Severity::Low),
        };
        is(record, "github_audit", event_type, severity);
        true
    })
}

fn microsoft365<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    fn slots(name: &str) -> Option<Slot> {
        use Slot::{Action, Field, SrcIp, User};
        Some(match name.strip_prefix("office365.").unwrap_or(name) {
            "CreationTime" => Field("microsoft365.creation_time"),
            "UserId" => User,
            "ClientIP" | "ActorIpAddress" | "ClientIPAddress" => SrcIp,
            "Operation" => Action,
            "Workload" => Field("event.provider"),
            "Id" => Field("event.id"),
            "OrganizationId" => Field("organization.id"),
            "RecordType" => Field("event.code"),
            "ResultStatus" => Field("event.outcome"),
            "ObjectId" => Field("microsoft365.object_id"),
            "UserAgent" => Field("user_agent.original"),
            _ => return None,
        })
    }
    read(text, record, slots, context, |record| {
        if record.field("event.code").is_none() || record.field("event.provider").is_none() {
            return false;
        }
        // UTC, though it does not say so.
        record.event_time =
            scan::iso_time(word(record, "microsoft365.creation_time"), Some(&crate::record::Zone::UTC)).or(record.event_time);
        let action = record.action.clone().unwrap_or_default();
        let action = action.trim_end_matches('.');
        match action {
            "userloggedin" => succeeded(record, "microsoft365", "userloggedin"),
            "userloginfailed" => failed(record, "microsoft365", "userloginfailed", ToldBy::Service),
            _ => {
                let about_accounts =
                    ["user", "member", "role", "group", "password", "permission"].iter().any(|part| action.contains(part));
                let changes = ["add", "delete", "remove", "change", "reset", "set", "update", "new", "disable", "enable"]
                    .iter()
                    .any(|verb| action.starts_with(verb));
                let (event_type, severity) = match (changes, about_accounts) {
                    (true, true) => (EventType::AccountChange, Severity::Medium),
                    (true, false) => (EventType::ConfigChange, Severity::Low),
                    _ if action.starts_with("file") => (EventType::DataTransfer, Severity::Low),
                    _ => (EventType::Other, Severity::Low),
                };
                is(record, "microsoft365", event_type, severity);
            }
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn what_happened() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        use EventType::*;
        for (dialect, event_type, user, ip) in [
            (&KUBERNETES, AccessDenied, "mia", "203.0.113.77"),
            (&VAULT, LoginFailed, "userpass-mia", "203.0.113.77"),
            (&CLOUDTRAIL, LoginFailed, "mia", "203.0.113.77"),
            (&GOOGLE, AccessDenied, "mia", "203.0.113.77"),
            (&GITHUB, AccountChange, "mia", "203.0.113.77"),
            (&MICROSOFT365, LoginFailed, "mia", "203.0.113.77"),
        ] {
            let mut record = LogRecord::text("");
            assert!((dialect.parse)(dialect.samples[0], &mut record, &context), "{}", dialect.name);
            let at = record.src_ip.map(|ip| ip.to_string()).unwrap_or_default();
            assert_eq!((record.event_type, record.username.as_deref(), &*at), (event_type, Some(user), ip), "{}", dialect.name);
            assert!(record.event_time.is_some(), "{}", dialect.name);
        }
    }
}
