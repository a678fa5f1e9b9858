//! Questions and answers, a line each. Works on a terminal and through a pipe alike.

use std::io::{self, BufRead, Read as _, Write as _};

use tokio::sync::mpsc;

use crate::record::text::visible;

/// A longer line is no answer to anything that is asked here.
const MAX_LINE_BYTES: u64 = 64 << 10;
/// Lines, or rows of a list, that are shown at a time.
pub const PAGE: usize = 15;

/// There are no more answers: Ctrl-D, or the end of a pipe.
#[derive(Debug, thiserror::Error)]
#[error("the input has ended")]
pub struct Ended;

/// Who answers.
pub struct Dialogue {
    lines: mpsc::Receiver<io::Result<String>>,
}

/// What somebody wants after a page of a list.
pub enum Next {
    /// The one of that number.
    Chosen(usize),
    /// More of the list.
    More,
    /// What was before.
    Back,
}

impl Dialogue {
    /// Begins to read standard input, on a thread of its own: one that waits for a line cannot be told to stop, and ends with the process.
    pub fn begin() -> Dialogue {
        let (send, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            let mut input = io::stdin().lock();
            while let Some(line) = read_line(&mut input).transpose() {
                if send.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        Dialogue { lines }
    }

    /// Says something.
    pub fn say(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(writeln!(io::stdout(), "{text}")?)
    }

    /// Asks, and waits for a line; what is around it is taken away.
    async fn answer(&mut self, question: &str) -> anyhow::Result<String> {
        let mut out = io::stdout();
        write!(out, "{question}: ")?;
        out.flush()?;
        match self.lines.recv().await {
            Some(line) => Ok(line?.trim().to_owned()),
            None => Err(Ended.into()),
        }
    }

    /// Asks until the answer is one, and says what is wrong with those that are none. `None` where it is empty.
    pub async fn ask<T>(&mut self, question: &str, read: impl Fn(&str) -> Result<T, String>) -> anyhow::Result<Option<T>> {
        loop {
            let answer = self.answer(question).await?;
            if answer.is_empty() {
                return Ok(None);
            }
            match read(&answer) {
                Ok(value) => return Ok(Some(value)),
                Err(wrong) => self.say(&format!("  {} is not possible: {wrong}", visible(&format!("{answer:.60}"))))?,
            }
        }
    }

    /// Asks for text; empty for the default, which is shown.
    pub async fn text(&mut self, question: &str, default: &str) -> anyhow::Result<String> {
        let shown = if default.is_empty() { "none".to_owned() } else { visible(default) };
        let answer = self.answer(&format!("{question} [{shown}]")).await?;
        Ok(if answer.is_empty() { default.to_owned() } else { answer })
    }

    /// Asks for one of several, by number or by name; empty to go back.
    pub async fn choose(&mut self, question: &str, choices: &[(&str, &str)]) -> anyhow::Result<Option<usize>> {
        let widest = choices.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (n, (name, about)) in choices.iter().enumerate() {
            self.say(format!("  {}  {name:widest$}  {about}", n + 1).trim_end())?;
        }
        let question = format!("{question} (1-{}, Enter to go back)", choices.len());
        self.ask(&question, |answer| {
            let named = choices.iter().position(|(name, _)| name.eq_ignore_ascii_case(answer));
            named.map_or_else(|| number(answer, 1, choices.len()).map(|n| n - 1), Ok)
        })
        .await
    }

    /// Asks whether to; empty for no.
    pub async fn confirm(&mut self, question: &str) -> anyhow::Result<bool> {
        let read = |answer: &str| match answer.to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err("give y or n".to_owned()),
        };
        Ok(self.ask(&format!("{question} y/n [n]"), read).await?.unwrap_or(false))
    }

    /// Asks what to do after a page of a list, of which `shown` can be chosen.
    pub async fn after_page(&mut self, shown: usize, is_last: bool) -> anyhow::Result<Next> {
        if shown == 0 {
            return Ok(Next::Back);
        }
        let enter = if is_last { "Enter to go back" } else { "Enter for more, q to go back" };
        let question = format!("Number to look at (1-{shown}), {enter}");
        let chosen = self.ask(&question, |answer| match answer {
            "q" | "Q" => Ok(Next::Back),
            answer => number(answer, 1, shown).map(Next::Chosen),
        });
        Ok(chosen.await?.unwrap_or(if is_last { Next::Back } else { Next::More }))
    }

    /// Shows a long text in pages.
    pub async fn show(&mut self, text: &str) -> anyhow::Result<()> {
        let lines: Vec<&str> = text.lines().collect();
        let mut pages = lines.chunks(PAGE * 2).peekable();
        while let Some(page) = pages.next() {
            self.say(&page.join("\n"))?;
            if pages.peek().is_some() {
                let answer = self.answer("Enter for more, q to go back").await?;
                if answer.eq_ignore_ascii_case("q") {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// A number within bounds.
pub fn number(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let read = text.parse().ok().filter(|n| (least..=most).contains(n));
    read.ok_or_else(|| format!("give a number from {least} to {most}"))
}

/// `None` at the end.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() as u64 == MAX_LINE_BYTES && line.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line of the input is longer than 64 KiB"));
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_to_the_end_and_not_beyond_what_they_may_have() {
        let mut input: &[u8] = b"one\r\ntw\xffo";
        assert_eq!(read_line(&mut input).unwrap().as_deref(), Some("one\r\n"));
        assert_eq!(read_line(&mut input).unwrap().as_deref(), Some("tw\u{fffd}o"));
        assert_eq!(read_line(&mut input).unwrap(), None);
        let long = vec![b'x'; MAX_LINE_BYTES as usize + 1];
        assert!(read_line(&mut &long[..]).is_err());
    }

    #[test]
    fn a_number_is_within_its_bounds() {
        assert_eq!(number("10", 0, 10), Ok(10));
        for none in ["", "11", "-1", "1.5", "ten", "99999999999999999999"] {
            assert_eq!(number(none, 0, 10), Err("give a number from 0 to 10".to_owned()), "{none}");
        }
    }
}
