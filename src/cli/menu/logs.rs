//! Choices about log records: add one, view the newest, search.

use super::Menu;
use super::prompt::{Next, PAGE};
use crate::casework::CaseworkError;
use crate::casework::logs::NewLine;
use crate::cli::logs::{as_table, told};
use crate::cli::table::Width;
use crate::record::Timestamp;
use crate::record::text::visible;
use crate::store::query::{Query, Range};

impl Menu {
    pub(super) async fn add_log(&mut self) -> anyhow::Result<()> {
        let mut line = NewLine::default();
        loop {
            line.message = self.dialogue.text("What happened, in one line (empty to go back)", &line.message).await?;
            if line.message.is_empty() {
                return Ok(());
            }
            let read = |answer: &str| super::time_or_ago(answer, Timestamp::now());
            let question = "When, such as 2026-11-20T08:30:00Z or 2h for two hours ago [now]";
            line.time = self.dialogue.ask(question, read).await?;
            line.host = some(self.dialogue.text("On which machine", line.host.as_deref().unwrap_or_default()).await?);
            let question = "In which program, such as sshd: its parser reads the line";
            line.app = some(self.dialogue.text(question, line.app.as_deref().unwrap_or_default()).await?);
            match self.office.casework.add_log(&self.office.actor, &line).await {
                Ok(()) => {
                    return self.dialogue.say("  Added: the daemon takes it within seconds, or when it runs next.");
                }
                // What was right is offered again, and what was wrong is not.
                Err(CaseworkError::Invalid { field, problem }) => {
                    self.dialogue.say(&format!("  {field}: {problem}. Once more:"))?;
                    match field {
                        "host" => line.host = None,
                        "app" => line.app = None,
                        _ => line.message.clear(),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) async fn view_logs(&mut self) -> anyhow::Result<()> {
        let day_ago = Timestamp::now().plus_micros(-crate::casework::logs::DEFAULT_SPAN_MICROS);
        let from = self.time("Since when", day_ago).await?;
        let mut query = Query::parse("", Timestamp::now()).expect("an empty query is one");
        query.range.from = Some(from);
        self.browse_logs(query).await
    }

    pub(super) async fn search_logs(&mut self) -> anyhow::Result<()> {
        self.dialogue.say(
            "  Words are looked for in the message; field:value in a field; - excludes. Some examples:\n    \
             invalid \"failed password\"\n    \
             event_type:login_failed src_ip:10.0.0.0/8 -user:root\n    \
             severity:>=high host:web* port:22",
        )?;
        let read = |answer: &str| match Query::parse(answer, Timestamp::now()) {
            Ok(query) => Ok(query),
            Err(error) => Err(format!("{} (at character {})", error.problem, answer[..error.offset].chars().count() + 1)),
        };
        let Some(mut query) = self.dialogue.ask("What to look for (Enter to go back)", read).await? else { return Ok(()) };
        if query.range == (Range { from: None, to: None }) {
            let day_ago = Timestamp::now().plus_micros(-crate::casework::logs::DEFAULT_SPAN_MICROS);
            query.range.from = Some(self.time("Since when", day_ago).await?);
        }
        self.browse_logs(query).await
    }

    async fn browse_logs(&mut self, query: Query) -> anyhow::Result<()> {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.office.casework.search_logs(&self.office.actor, &query, cursor, PAGE as u32).await?;
            if page.logs.is_empty() {
                return self.dialogue.say("  Nothing.");
            }
            let table = as_table(&page.logs, Some(seen.len() + 1), Width::of_terminal());
            self.dialogue.say(&table.to_string())?;
            seen.extend(page.logs.iter().map(|log| log.id));
            loop {
                match self.dialogue.after_page(seen.len(), page.next.is_none()).await? {
                    Next::Chosen(n) => self.show_log(seen[n - 1]).await?,
                    Next::More => break,
                    Next::Back => return Ok(()),
                }
            }
            cursor = page.next;
        }
    }

    async fn show_log(&mut self, id: i64) -> anyhow::Result<()> {
        match self.office.casework.log(&self.office.actor, id).await {
            Ok(details) => self.dialogue.show(&told(&details, Width::of_terminal())?.to_string()).await,
            Err(gone @ CaseworkError::NotFound(_)) => self.dialogue.say(&format!("  {}", visible(&gone.to_string()))),
            Err(error) => Err(error.into()),
        }
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}
