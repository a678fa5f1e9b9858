//! `[retention]`: what is kept for how long, and when what is due is taken away.

use jiff::civil;
use serde::{Deserialize, Deserializer};

use super::units::Span;
use crate::casework::maintenance;

/// `[retention]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct Retention {
    pub logs: Keep,
    pub rollups: Keep,
    pub incidents: Keep,
    pub quarantine: Keep,
    pub tokens: Keep,
    pub at: TimeOfDay,
}

impl Default for Retention {
    fn default() -> Retention {
        let days = |n: u64| Keep(Some(super::secs(n * 86_400)));
        Retention {
            logs: days(90),
            // 25 months: a year, and the year before it, whenever one looks.
            rollups: days(760),
            incidents: Keep(None),
            quarantine: days(365),
            tokens: days(365),
            at: TimeOfDay(civil::time(3, 0, 0, 0)),
        }
    }
}

impl Retention {
    /// As casework takes it.
    pub fn options(&self) -> maintenance::Retention {
        let micros = |keep: Keep| keep.0.map(Span::as_micros);
        maintenance::Retention {
            logs: micros(self.logs),
            rollups: micros(self.rollups),
            incidents: micros(self.incidents),
            quarantine: micros(self.quarantine),
            tokens: micros(self.tokens),
        }
    }

    /// What is wrong with it as a whole: the key, and why.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        let (Some(logs), Some(rollups)) = (self.logs.0, self.rollups.0) else { return None };
        (rollups < logs).then(|| {
            (
                "retention.rollups",
                format!("is {rollups}, but what they count, retention.logs, is kept for {logs}: keep them as long"),
            )
        })
    }
}

/// For how long: a time, or `"keep"` for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep(pub Option<Span>);

impl std::str::FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Keep, String> {
        if text == "keep" { Ok(Keep(None)) } else { text.parse().map(|span| Keep(Some(span))) }
    }
}

/// `"03:00"`, by the clock of this machine's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay(pub civil::Time);

impl std::str::FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<TimeOfDay, String> {
        let wrong = || format!("takes a time of day such as \"03:00\", not {text:?}");
        civil::Time::strptime("%H:%M", text).map(TimeOfDay).map_err(|_| wrong())
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Keep, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<TimeOfDay, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}
