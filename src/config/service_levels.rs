//! `[service_levels]`: until when somebody has to take notice of an incident, until when it has to be over, and when people work.

use jiff::civil::Date;
use serde::Deserialize;

use super::units::Span;
use crate::record::levels::{Counts, Level, Levels, WorkingTime};
use crate::record::{Zone, days_from_civil};

/// The days of a week, as they are written.
const WEEK: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// More holidays than this are no holidays.
const MAX_HOLIDAYS: usize = 1_000;

/// `[service_levels]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct ServiceLevels {
    pub timezone: String,
    pub days: Vec<String>,
    pub hours: String,
    pub holidays: Vec<String>,
    pub p1: ServiceLevel,
    pub p2: ServiceLevel,
    pub p3: ServiceLevel,
    pub p4: ServiceLevel,
}

/// What is changed of a level; what is absent keeps its default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "config/tocsin.toml explains each")]
pub struct ServiceLevel {
    pub acknowledge: Option<Span>,
    pub resolve: Option<Span>,
    pub counts: Option<String>,
}

impl Default for ServiceLevels {
    fn default() -> ServiceLevels {
        ServiceLevels {
            timezone: "local".into(),
            days: WEEK[..5].iter().map(|day| (*day).to_owned()).collect(),
            hours: "09:00-17:00".into(),
            holidays: Vec::new(),
            p1: ServiceLevel::default(),
            p2: ServiceLevel::default(),
            p3: ServiceLevel::default(),
            p4: ServiceLevel::default(),
        }
    }
}

impl ServiceLevels {
    /// As casework takes them. Every key was checked, so what cannot be read is not there.
    pub fn levels(&self) -> Levels {
        let default = Levels::default();
        let (from, to) = hours(&self.hours).unwrap_or((default.working.from, default.working.to));
        let working = WorkingTime {
            zone: Zone::named(&self.timezone).unwrap_or(default.working.zone),
            days: WEEK.map(|day| self.days.iter().any(|given| given == day)),
            from,
            to,
            holidays: self.holidays.iter().filter_map(|date| holiday(date).ok()).collect(),
        };
        let mut levels = default.levels;
        for (level, given) in levels.iter_mut().zip([&self.p1, &self.p2, &self.p3, &self.p4]) {
            *level = Level {
                acknowledge: given.acknowledge.map_or(level.acknowledge, Span::as_micros),
                resolve: given.resolve.map_or(level.resolve, Span::as_micros),
                counts: match given.counts.as_deref() {
                    Some("always") => Counts::Always,
                    Some(_) => Counts::Working,
                    None => level.counts,
                },
            };
        }
        Levels { working, levels }
    }

    /// What is wrong with them as a whole: the keys, and why.
    pub(super) fn problems(&self) -> Vec<(String, String)> {
        let levels = self.levels().levels.into_iter().enumerate();
        let late = levels.filter(|(_, level)| level.acknowledge > level.resolve);
        let late = late
            .map(|(n, _)| (format!("service_levels.p{}", n + 1), "is to be over before somebody has taken notice".to_owned()));
        late.collect()
    }
}

/// `"09:00-17:00"` in minutes since midnight; `24:00` is the end of the day.
pub(super) fn hours(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("takes hours of a day such as \"09:00-17:00\", not {text:?}");
    let minutes = |text: &str| -> Option<u16> {
        let (hour, minute) = text.trim().split_once(':')?;
        let is_number = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let (hour, minute): (u16, u16) = (is_number(hour) && minute.len() == 2 && is_number(minute))
            .then(|| Some((hour.parse().ok()?, minute.parse().ok()?)))??;
        (minute < 60 && hour * 60 + minute <= 24 * 60).then_some(hour * 60 + minute)
    };
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    minutes(from).zip(minutes(to)).filter(|(from, to)| from < to).ok_or_else(wrong)
}

/// `"2026-12-25"` in days since 1970.
fn holiday(text: &str) -> Result<i64, String> {
    let date: Date = text.parse().map_err(|_| format!("takes dates such as \"2026-12-25\"; {text:?} is none"))?;
    Ok(days_from_civil(i32::from(date.year()), date.month() as u8, date.day() as u8))
}

/// What is wrong with a list of days of the week.
pub(super) fn check_days(days: &[&str]) -> Result<(), String> {
    match days.iter().find(|day| !WEEK.contains(day)) {
        Some(wrong) => Err(format!("takes days of the week ({}), not {wrong:?}", WEEK.join(", "))),
        None if days.is_empty() => Err("takes at least one day of the week".to_owned()),
        None => Ok(()),
    }
}

/// What is wrong with a list of holidays.
pub(super) fn check_dates(dates: &[&str]) -> Result<(), String> {
    if dates.len() > MAX_HOLIDAYS {
        return Err(format!("has {} dates; at most {MAX_HOLIDAYS} are taken", dates.len()));
    }
    dates.iter().try_for_each(|date| holiday(date).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_within_a_day_and_end_after_they_begin() {
        assert_eq!(hours("09:00-17:30"), Ok((540, 1050)));
        assert_eq!(hours("0:00 - 24:00"), Ok((0, 1440)));
        for none in
            ["", "9-17", "09:00", "17:00-09:00", "09:00-09:00", "09:00-24:01", "09:60-10:00", "-1:00-10:00", "09:00-+9:30"]
        {
            assert!(hours(none).is_err(), "{none}");
        }
    }

    #[test]
    fn what_is_not_given_keeps_its_default() {
        let given = ServiceLevels {
            days: vec!["sat".into()],
            holidays: vec!["1970-01-03".into()],
            p2: ServiceLevel { resolve: Some(super::super::secs(60)), counts: Some("always".into()), acknowledge: None },
            ..ServiceLevels::default()
        };
        let levels = given.levels();
        assert_eq!(levels.levels[1], Level { acknowledge: 3_600_000_000, resolve: 60_000_000, counts: Counts::Always });
        assert_eq!(levels.levels[0], Levels::default().levels[0]);
        assert_eq!((levels.working.days[5], levels.working.days[0]), (true, false));
        assert!(levels.working.holidays.contains(&2));
        assert_eq!(given.problems().len(), 1, "an hour to take notice, a minute until it is over");
        assert!(check_days(&["mon", "funday"]).is_err() && check_days(&[]).is_err() && check_dates(&["2026-02-30"]).is_err());
    }
}
