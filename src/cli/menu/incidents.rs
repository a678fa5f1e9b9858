//! Choices about incidents: view them, search, take the next step with one.

use super::Menu;
use super::prompt::{Next, PAGE};
use crate::casework::CaseworkError;
use crate::casework::incidents::IncidentEdit;
use crate::cli::incidents::{listed, told};
use crate::cli::table::Width;
use crate::record::Severity;
use crate::record::case::Status;
use crate::record::text::visible;
use crate::store::cases::{CaseFilter, CaseRow};

/// What each status means, for people.
fn about(status: Status) -> &'static str {
    match status {
        Status::Open => "nobody has looked at it",
        Status::Investigating => "somebody is at it",
        Status::Contained => "it does no more harm",
        Status::Resolved => "it is over; asks how it ended",
        Status::FalsePositive => "it was none; asks why",
    }
}

impl Menu {
    pub(super) async fn view_incidents(&mut self) -> anyhow::Result<()> {
        self.browse_incidents(&CaseFilter::default()).await
    }

    pub(super) async fn search_incidents(&mut self) -> anyhow::Result<()> {
        let mut filter = CaseFilter::default();
        let text = self.dialogue.text("Text in number, title, description or group (an address, a name)", "").await?;
        filter.text = Some(text).filter(|text| !text.is_empty());
        let all: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
        let read = |answer: &str| -> Result<Vec<String>, String> {
            let words = answer.split(',').map(str::trim);
            words.map(|word| word.parse::<Status>().map(|s| s.to_string()).map_err(|e| e.to_string())).collect()
        };
        let question = format!("Status, several with commas: {} [any]", all.join(", "));
        filter.statuses = self.dialogue.ask(&question, read).await?.unwrap_or_default();
        let read = |answer: &str| answer.parse::<Severity>().map(|s| s.to_string()).map_err(|e| e.to_string());
        filter.least_severity = self.dialogue.ask("Severity at least: low, medium, high, critical [any]", read).await?;
        let read = |answer: &str| super::time_or_ago(answer, crate::record::Timestamp::now());
        let question = "Opened since when, such as 2026-11-20 or 7d [ever]";
        filter.from = self.dialogue.ask(question, read).await?;
        filter.to = self.dialogue.ask("Opened before when [now]", read).await?;
        self.browse_incidents(&filter).await
    }

    async fn browse_incidents(&mut self, filter: &CaseFilter) -> anyhow::Result<()> {
        while let Some(number) = self.pick_incident(filter).await? {
            self.show_incident(&number).await?;
        }
        Ok(())
    }

    async fn show_incident(&mut self, number: &str) -> anyhow::Result<()> {
        let dossier = self.office.casework.incident(&self.office.actor, number).await?;
        self.dialogue.show(&told(&dossier)?).await
    }

    /// Lists incidents until somebody has chosen one; its number.
    async fn pick_incident(&mut self, filter: &CaseFilter) -> anyhow::Result<Option<String>> {
        let mut seen: Vec<CaseRow> = Vec::new();
        loop {
            let behind = seen.last().map(|last| (last.created_at, last.id));
            // One more tells whether there is another page.
            let mut page = self.office.casework.incidents(&self.office.actor, filter, behind, PAGE + 1).await?;
            let is_last = page.len() <= PAGE;
            page.truncate(PAGE);
            if page.is_empty() && seen.is_empty() {
                self.dialogue.say("  No incidents.")?;
                return Ok(None);
            }
            let table = listed(&page, Some(seen.len() + 1), Width::of_terminal());
            self.dialogue.say(&table.to_string())?;
            seen.append(&mut page);
            match self.dialogue.after_page(seen.len(), is_last).await? {
                Next::Chosen(n) => return Ok(Some(seen.swap_remove(n - 1).number)),
                Next::More => {}
                Next::Back => return Ok(None),
            }
        }
    }

    pub(super) async fn update_status(&mut self) -> anyhow::Result<()> {
        let read = |answer: &str| match answer.starts_with("INC-") {
            true => Ok(answer.to_owned()),
            false => Err("give a number such as INC-2026-000123".to_owned()),
        };
        let question = "Number of the incident, such as INC-2026-000123 [choose from those that are not over]";
        let number = match self.dialogue.ask(question, read).await? {
            Some(number) => number,
            None => {
                let active = Status::ALL.iter().filter(|status| !status.is_over()).map(Status::to_string).collect();
                let filter = CaseFilter { statuses: active, ..CaseFilter::default() };
                let Some(number) = self.pick_incident(&filter).await? else { return Ok(()) };
                number
            }
        };
        let incident = self.office.casework.incident(&self.office.actor, &number).await?.incident;
        let title = visible(&incident.title);
        self.dialogue.say(&format!("  {number} ({title}) is {}, of severity {}.", incident.status, incident.severity))?;
        let current: Status = incident.status.parse()?;
        let next: Vec<Status> = Status::ALL.iter().copied().filter(|next| current.may_become(*next)).collect();
        let choices: Vec<(&str, &str)> = next.iter().map(|status| (status.as_str(), about(*status))).collect();
        let Some(chosen) = self.dialogue.choose("It becomes", &choices).await? else { return Ok(()) };
        let mut edit = IncidentEdit { status: Some(next[chosen]), ..IncidentEdit::default() };
        loop {
            if next[chosen].is_over() {
                self.ask_for_the_end(&incident, next[chosen], &mut edit).await?;
            }
            match self.office.casework.edit_incident(&self.office.actor, &number, &edit, Some(incident.version)).await {
                Ok(after) => return self.dialogue.say(&format!("  {number} is {} now.", after.status)),
                Err(CaseworkError::Invalid { field, problem }) if next[chosen].is_over() && field != "status" => {
                    self.dialogue.say(&format!("  {field}: {problem}."))?;
                    if !self.dialogue.confirm("Answer once more?").await? {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What has to be written down when an incident is over.
    async fn ask_for_the_end(&mut self, incident: &CaseRow, next: Status, edit: &mut IncidentEdit) -> anyhow::Result<()> {
        let is_grave = incident.severity.parse::<Severity>().is_ok_and(|severity| severity >= Severity::High);
        let questions = [
            ("How it ended", &mut edit.resolution, &incident.resolution, true),
            ("What made it possible", &mut edit.root_cause, &incident.root_cause, is_grave && next == Status::Resolved),
            ("What to do better", &mut edit.lessons_learned, &incident.lessons_learned, is_grave && next == Status::Resolved),
        ];
        for (question, answer, written, is_needed) in questions {
            if is_needed {
                let known = answer.as_deref().or(written.as_deref()).unwrap_or_default().to_owned();
                *answer = Some(self.dialogue.text(question, &known).await?).filter(|text| !text.is_empty());
            }
        }
        Ok(())
    }
}
