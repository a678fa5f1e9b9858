//! The report as one page, in the manner of the others: no script, nothing from elsewhere, for the screen and for paper.

use std::fmt::Write as _;

use serde_json::Value;

use super::{AuditRow, HOW_AUDIT, HOW_EVIDENCE, IncidentReport, markdown};
use crate::casework::reports::html::{begin, end};
use crate::record::Timestamp;
use crate::record::text::push_html;
use crate::store::cases::{CaseRow, Happening};

const STYLE: &str = "\
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.15rem 1rem;margin:.4rem 0}dt{color:var(--faint)}dd{margin:0;overflow-wrap:anywhere}\
.hash{font:12px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}.text{white-space:pre-wrap;overflow-wrap:anywhere;color:inherit}\
article{border-left:3px solid var(--line);padding:.1rem 0 .1rem .9rem;margin:.8rem 0;overflow-wrap:anywhere}article p{color:inherit}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px}.wide{overflow-x:auto}section{break-inside:auto}h2{break-after:avoid}tr{break-inside:avoid}\
.wide th,.wide td{overflow-wrap:normal}.wide td:first-child{white-space:nowrap}.wide td:nth-child(n+4){overflow-wrap:anywhere;min-width:8rem}\
.wide th:nth-child(5){width:40%}blockquote{margin:.5rem 0;padding-left:.8rem;border-left:2px solid var(--axis)}article h4,article h5,article h6{font-size:1rem;margin:.6rem 0 .2rem}\
@media screen and (max-width:40rem){dl{grid-template-columns:minmax(5rem,7rem) 1fr;gap:.15rem .6rem}.wide thead{display:none}\
.wide tr{display:block;border-bottom:1px solid var(--line);padding:.4rem 0}.wide td{display:grid;grid-template-columns:4.5rem 1fr;padding:0;border:0}\
.wide td:nth-child(n){overflow-wrap:anywhere;white-space:pre-wrap}.wide td:empty{display:none}\
.wide td::before{content:attr(data-name);color:var(--faint)}}\
@media print{.wide{overflow:visible}.hash,pre{font-size:8px}}";

/// The page.
pub fn page(report: &IncidentReport) -> String {
    let incident = &report.dossier.incident;
    let title = format!("{}: {}", incident.number, incident.title);
    let mut out = String::new();
    begin(&mut out, &title, STYLE);
    let _ = write!(out, "<p>{}, severity {}, priority {}. ", incident.status, incident.severity, incident.priority);
    let _ = write!(out, "Made at {} by ", report.made_at);
    push_html(&mut out, &report.made_by);
    out.push_str(" with tocsin. All times are UTC.</p>\n");
    facts(&mut out, incident);
    for (name, text) in [
        ("What happened", Some(&incident.description)),
        ("What made it possible", incident.root_cause.as_ref()),
        ("How it ended", incident.resolution.as_ref()),
        ("What to do better", incident.lessons_learned.as_ref()),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            heading(&mut out, name);
            out.push_str("<p class=\"text\">");
            push_lines(&mut out, text);
            out.push_str("</p>\n</section>\n");
        }
    }
    notes(&mut out, report);
    let tasks = report.dossier.tasks.iter().map(|task| {
        let due = task.due_at.map(|due| due.to_string()).unwrap_or_default();
        vec![task.id.to_string(), task.status.clone(), task.assignee.clone().unwrap_or_default(), due, task.title.clone()]
    });
    table(&mut out, "Tasks", &["id", "status", "assignee", "due", "task"], tasks);
    let timeline = report.dossier.timeline.iter().map(|what| happening(what).to_vec());
    table(&mut out, "Timeline", &["time", "who", "what", "before", "after"], timeline);
    observables(&mut out, report);
    others(&mut out, report);
    evidence(&mut out, report);
    files(&mut out, report);
    audit(&mut out, report);
    end(&mut out);
    out
}

fn heading(out: &mut String, title: &str) {
    let _ = write!(out, "<section>\n<h2>{title}</h2>\n");
}

/// Of what people wrote, the lines remain.
fn push_lines(out: &mut String, text: &str) {
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            out.push('\n');
        }
        push_html(out, line);
    }
}

fn facts(out: &mut String, incident: &CaseRow) {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let list = |names: &[String]| Some(names.join(", ")).filter(|text| !text.is_empty());
    let rows = [
        ("category", Some(incident.category.clone())),
        ("type", incident.kind.clone()),
        ("detector", incident.detector.clone()),
        ("group", incident.group_key.clone()),
        ("attack vector", incident.attack_vector.clone()),
        ("ATT&CK technique", incident.technique.clone()),
        ("affected systems", list(&incident.affected)),
        ("accounts", list(&incident.usernames)),
        ("reporter", Some(incident.reporter.clone())),
        ("assignee", incident.assignee.clone()),
        ("why that priority", incident.priority_reason.clone()),
        ("first event", time(incident.first_seen)),
        ("last event", time(incident.last_seen)),
        ("events", Some(incident.event_count.to_string())),
        ("opened", time(Some(incident.created_at))),
        ("acknowledged", time(incident.acknowledged_at)),
        ("over", time(incident.resolved_at)),
        ("archived", time(incident.archived_at)),
    ];
    out.push_str("<dl>\n");
    for (name, value) in rows {
        if let Some(value) = value {
            out.push_str("<dt>");
            push_html(out, name);
            out.push_str("</dt><dd>");
            push_html(out, &value);
            out.push_str("</dd>\n");
        }
    }
    out.push_str("</dl>\n");
}

fn notes(out: &mut String, report: &IncidentReport) {
    if report.dossier.notes.is_empty() {
        return;
    }
    heading(out, "Notes, actions and findings");
    for note in &report.dossier.notes {
        let _ = write!(out, "<article>\n<p><strong>{}</strong> by ", note.kind);
        push_html(out, &note.author);
        let _ = write!(out, ", {}", note.created_at);
        if note.version > 1 {
            let _ = write!(out, "; version {} of {} by ", note.version, note.edited_at);
            push_html(out, &note.edited_by);
        }
        let _ = write!(out, "</p>\n{}</article>\n", markdown::render(&note.body));
    }
    out.push_str("</section>\n");
}

/// A row of the timeline, values as people read them.
fn happening(what: &Happening) -> [String; 5] {
    let shown = |value: &Option<Value>| value.as_ref().map(shown).unwrap_or_default();
    [what.at.to_string(), what.actor.clone(), what.event.clone(), shown(&what.old), shown(&what.new)]
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| format!("{name}: {}", shown(value))).collect::<Vec<_>>().join("\n")
        }
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn table(out: &mut String, title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    heading(out, title);
    out.push_str("<div class=\"wide\">\n<table>\n<thead><tr>");
    for name in head {
        let _ = write!(out, "<th scope=\"col\">{name}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (name, cell) in head.iter().zip(row) {
            // On a narrow screen, where the row is shown as a list, its name stands before each.
            let _ = write!(out, "<td data-name=\"{name}\">");
            push_lines(out, &cell);
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n</section>\n");
}

fn observables(out: &mut String, report: &IncidentReport) {
    let rows = report.dossier.observables.iter().map(|seen| {
        let from = seen.log_id.map_or_else(|| seen.added_by.clone(), |record| format!("record {record}"));
        vec![
            seen.kind.clone(),
            seen.value.clone(),
            format!("TLP:{}", seen.tlp.to_uppercase()),
            from,
            seen.comment.clone().unwrap_or_default(),
        ]
    });
    table(out, "Observables", &["kind", "value", "share", "from", "comment"], rows);
}

/// Incidents that have to do with it: those that somebody linked, those that became part of it, those in which the same was seen.
fn others(out: &mut String, report: &IncidentReport) {
    let dossier = &report.dossier;
    let links = dossier.links.iter().map(|link| {
        vec![link.incident.clone(), link.kind.replace('_', " "), link.status.clone(), link.severity.clone(), link.title.clone()]
    });
    let parts = dossier
        .parts
        .iter()
        .map(|number| vec![number.clone(), "became part of it".into(), String::new(), String::new(), String::new()]);
    let related = dossier.related.iter().map(|other| {
        let what = format!("shares {} observable{}", other.shared_count, if other.shared_count == 1 { "" } else { "s" });
        vec![other.number.clone(), what, other.status.clone(), other.severity.clone(), other.title.clone()]
    });
    let rows = links.chain(parts).chain(related);
    table(out, "Other incidents", &["number", "how", "status", "severity", "title"], rows);
}

fn files(out: &mut String, report: &IncidentReport) {
    let kept = report.dossier.files.iter().filter(|file| file.archived_at.is_none());
    let rows = kept.map(|file| {
        let added = format!("{} by {}", file.added_at, file.added_by);
        vec![file.name.clone(), file.media_type.clone(), file.size.to_string(), added, file.sha256.clone()]
    });
    table(out, "Files", &["name", "type", "bytes", "added", "SHA-256"], rows);
}

fn evidence(out: &mut String, report: &IncidentReport) {
    let records = &report.dossier.evidence;
    if records.is_empty() {
        return;
    }
    heading(out, "Evidence");
    let _ = writeln!(
        out,
        "<p>{} log records, of an incident with {} events.</p>",
        records.len(),
        report.dossier.incident.event_count
    );
    for (record, hash) in records.iter().zip(&report.evidence_sha256) {
        let message = record.record.get("message").and_then(Value::as_str).unwrap_or_default();
        let _ = write!(out, "<article>\n<p>{}, record {}</p>\n<p class=\"text\">", record.event_time, record.log_id);
        push_html(out, message);
        let _ = write!(
            out,
            "</p>\n<p class=\"hash\">SHA-256 {}</p>\n<details>\n<summary>The whole record</summary>\n<pre>",
            hash.sha256
        );
        let mut text = String::new();
        super::push_canonical(&mut text, &record.record);
        push_html(out, &text);
        out.push_str("</pre>\n</details>\n</article>\n");
    }
    out.push_str("<p>");
    push_html(out, HOW_EVIDENCE);
    out.push_str("</p>\n</section>\n");
}

fn audit(out: &mut String, report: &IncidentReport) {
    let proof = &report.audit;
    heading(out, "Proof: the audit log");
    let _ = writeln!(
        out,
        "<p>{} of {} rows that tell of this incident. The whole log had {} rows when this report was made; the hash of the last one was:</p>\n\
         <p class=\"hash\">{}</p>",
        proof.rows.len(),
        proof.rows_total,
        proof.head_id,
        proof.head
    );
    for row in &proof.rows {
        audit_row(out, row);
    }
    out.push_str("<p>");
    push_html(out, HOW_AUDIT);
    out.push_str("</p>\n</section>\n");
}

fn audit_row(out: &mut String, row: &AuditRow) {
    let _ = write!(out, "<article>\n<p>Row {}: {} (", row.id, row.at);
    let _ = write!(out, "{} µs), <strong>", row.at_micros);
    push_html(out, &row.action);
    out.push_str("</strong> by ");
    for text in [&row.actor, " (", &row.role, ") via ", &row.via] {
        push_html(out, text);
    }
    if let Some(address) = &row.address {
        out.push_str(" from ");
        push_html(out, address);
    }
    out.push_str("</p>\n");
    for (name, value) in [("old", &row.old), ("new", &row.new), ("reason", &row.reason)] {
        if let Some(value) = value {
            let _ = write!(out, "<p class=\"hash\">{name} ");
            push_html(out, value);
            out.push_str("</p>\n");
        }
    }
    let _ = write!(out, "<p class=\"hash\">previous {}<br>hash {}</p>\n</article>\n", row.previous, row.hash);
}
