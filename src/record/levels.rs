//! Service levels: until when somebody has to take notice of an incident, and until when it has to be over.
//!
//! Nothing of this is stored: it follows from when the incident was opened, from its priority, and from what is configured now.

use std::collections::BTreeSet;

use super::case::{Priority, Status};
use super::time::{Civil, Timestamp, Zone, civil_from_days};

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
/// Days that are looked through for working time: forty years, of which not every day can be a holiday.
const MAX_DAYS: i64 = 40 * 366;
/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// When people work: the same hours on some days of the week, unless it is a holiday.
#[derive(Debug, Clone)]
pub struct WorkingTime {
    /// Whose clock shows the hours.
    pub zone: Zone,
    /// Monday to Sunday.
    pub days: [bool; 7],
    /// Minutes since midnight.
    pub from: u16,
    /// Minutes since midnight, at most 24:00; not included.
    pub to: u16,
    /// In days since 1970.
    pub holidays: BTreeSet<i64>,
}

impl WorkingTime {
    /// When people work on a day of their calendar: from, and up to, in microseconds since 1970. Where clocks are changed it is as much
    /// longer or shorter.
    fn on(&self, day: i64) -> Option<(i64, i64)> {
        // 1970-01-01 was a Thursday.
        let weekday = (day + 3).rem_euclid(7) as usize;
        if !self.days[weekday] || self.holidays.contains(&day) {
            return None;
        }
        let shown = |minutes: u16| {
            let (year, month, day) = civil_from_days(day + i64::from(minutes / DAY_MINUTES));
            let minutes = minutes % DAY_MINUTES;
            let shown = Civil::new(year, month, day, (minutes / 60) as u8, (minutes % 60) as u8, 0, 0)?;
            Some(self.zone.instant(shown).as_micros())
        };
        Some((shown(self.from)?, shown(self.to)?))
    }

    /// When so many microseconds of working time will have passed since `start`.
    pub fn after(&self, start: Timestamp, micros: i64) -> Timestamp {
        let mut left = micros;
        let first = self.zone.day_at(start);
        for (from, to) in (first..first + MAX_DAYS).filter_map(|day| self.on(day)) {
            let from = from.max(start.as_micros());
            if to <= from {
                continue;
            }
            if left <= to - from {
                return Timestamp::from_micros(from + left);
            }
            left -= to - from;
        }
        Timestamp::MAX
    }
}

/// Monday to Friday, nine to five by the clock of this machine.
impl Default for WorkingTime {
    fn default() -> WorkingTime {
        WorkingTime {
            zone: Zone::system(),
            days: [true, true, true, true, true, false, false],
            from: 9 * 60,
            to: 17 * 60,
            holidays: BTreeSet::new(),
        }
    }
}

/// Which time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// All of it.
    Always,
    /// Working time.
    Working,
}

/// What is promised for a priority, in microseconds since the incident was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Until somebody has taken notice.
    pub acknowledge: i64,
    /// Until it is over.
    pub resolve: i64,
    /// Of which time.
    pub counts: Counts,
}

/// What is promised.
#[derive(Debug, Clone)]
pub struct Levels {
    /// When people work.
    pub working: WorkingTime,
    /// P1 to P4.
    pub levels: [Level; 4],
}

impl Default for Levels {
    fn default() -> Levels {
        let level = |acknowledge, resolve, counts| Level { acknowledge, resolve, counts };
        Levels {
            working: WorkingTime::default(),
            levels: [
                level(15 * MINUTE, 4 * HOUR, Counts::Always),
                level(HOUR, 8 * HOUR, Counts::Working),
                level(4 * HOUR, 24 * HOUR, Counts::Working),
                level(8 * HOUR, 40 * HOUR, Counts::Working),
            ],
        }
    }
}

/// What an incident has come to, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Course {
    pub priority: Priority,
    pub status: Status,
    pub created_at: Timestamp,
    pub acknowledged_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
}

/// How an incident stands to what is promised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Standing {
    /// Until when somebody has to take notice; null once it is over.
    pub acknowledge_by: Option<Timestamp>,
    /// Until when it has to be over; null once it is.
    pub resolve_by: Option<Timestamp>,
    /// Whether either should have happened by now; null once it is over.
    pub overdue: Option<bool>,
    /// Whether both happened in time; only of what was resolved.
    pub service_level_met: Option<bool>,
}

/// Whether something happened in time; `None` where it may still do so.
fn in_time(happened: Option<Timestamp>, by: impl FnOnce() -> Timestamp, now: Timestamp) -> Option<bool> {
    match happened {
        Some(happened) => Some(happened <= by()),
        None => (now > by()).then_some(false),
    }
}

impl Levels {
    fn level(&self, priority: Priority) -> &Level {
        &self.levels[priority as usize]
    }

    fn due(&self, created_at: Timestamp, micros: i64, counts: Counts) -> Timestamp {
        match counts {
            Counts::Always => created_at.plus_micros(micros),
            Counts::Working => self.working.after(created_at, micros),
        }
    }

    /// Until when somebody has to take notice of an incident.
    pub fn acknowledge_by(&self, priority: Priority, created_at: Timestamp) -> Timestamp {
        let level = self.level(priority);
        self.due(created_at, level.acknowledge, level.counts)
    }

    /// Until when an incident has to be over.
    pub fn resolve_by(&self, priority: Priority, created_at: Timestamp) -> Timestamp {
        let level = self.level(priority);
        self.due(created_at, level.resolve, level.counts)
    }

    /// Whether somebody took notice in time, and whether it was over in time; `None` where it may still be.
    pub fn met(&self, course: &Course, now: Timestamp) -> (Option<bool>, Option<bool>) {
        let level = *self.level(course.priority);
        let met = |happened: Option<Timestamp>, micros: i64| {
            // Working time is never longer than all time: most need no calendar.
            if happened.unwrap_or(now).micros_since(course.created_at) <= micros {
                return happened.map(|_| true);
            }
            in_time(happened, || self.due(course.created_at, micros, level.counts), now)
        };
        (met(course.acknowledged_at, level.acknowledge), met(course.resolved_at, level.resolve))
    }

    /// How an incident stands now.
    pub fn standing(&self, course: &Course, now: Timestamp) -> Standing {
        let (acknowledged, resolved) = self.met(course, now);
        match course.status {
            Status::FalsePositive => Standing::default(),
            Status::Resolved => {
                let met = acknowledged == Some(true) && resolved == Some(true);
                Standing { service_level_met: Some(met), ..Standing::default() }
            }
            Status::Open | Status::Investigating | Status::Contained => Standing {
                acknowledge_by: Some(self.acknowledge_by(course.priority, course.created_at)),
                resolve_by: Some(self.resolve_by(course.priority, course.created_at)),
                overdue: Some(resolved == Some(false) || course.acknowledged_at.is_none() && acknowledged == Some(false)),
                service_level_met: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn working(zone: &str, from: u16, to: u16) -> WorkingTime {
        WorkingTime { zone: Zone::named(zone).unwrap(), from, to, ..WorkingTime::default() }
    }

    #[test]
    fn nights_weekends_and_holidays_do_not_count_and_an_hour_is_an_hour_when_clocks_change() {
        let mut paris = working("Europe/Paris", 9 * 60, 17 * 60);
        let after = |working: &WorkingTime, start: &str, hours: i64| working.after(at(start), hours * HOUR).to_string();
        assert_eq!(after(&paris, "2026-11-20T14:00:00Z", 1), "2026-11-20T15:00:00Z");
        assert_eq!(after(&paris, "2026-11-20T15:00:00Z", 1), "2026-11-20T16:00:00Z", "until five");
        assert_eq!(after(&paris, "2026-11-20T15:30:00Z", 1), "2026-11-23T08:30:00Z", "Friday to Monday");
        assert_eq!(after(&paris, "2026-11-21T12:00:00Z", 8), "2026-11-23T16:00:00Z", "since Saturday");
        assert_eq!(after(&paris, "2026-10-23T14:30:00Z", 1), "2026-10-26T08:30:00Z", "winter time by then");
        paris.holidays.insert(at("2026-11-23T00:00:00Z").day());
        assert_eq!(after(&paris, "2026-11-20T15:30:00Z", 1), "2026-11-24T08:30:00Z");
        let mut nights = working("Europe/Paris", 0, 6 * 60);
        nights.days = [true; 7];
        // A day on which 02:00 to 03:00 is there twice, and one on which it is not.
        assert_eq!(after(&nights, "2026-10-24T22:00:00Z", 7), "2026-10-25T05:00:00Z");
        assert_eq!(after(&nights, "2026-03-28T23:00:00Z", 6), "2026-03-29T23:00:00Z");
        let mut never = working("UTC", 0, 60);
        never.days = [false; 7];
        assert_eq!(never.after(at("2026-11-20T00:00:00Z"), 1), Timestamp::MAX);
    }

    #[test]
    fn an_incident_is_overdue_until_it_is_over_and_then_its_level_was_met_or_not() {
        let levels = Levels { working: working("UTC", 9 * 60, 17 * 60), ..Levels::default() };
        let open = Course {
            priority: Priority::P1,
            status: Status::Open,
            created_at: at("2026-11-21T00:00:00Z"),
            acknowledged_at: None,
            resolved_at: None,
        };
        let overdue = |course: Course, now: &str| levels.standing(&course, at(now)).overdue;
        assert_eq!(overdue(open, "2026-11-21T00:15:00Z"), Some(false));
        assert_eq!(overdue(open, "2026-11-21T00:15:00.000001Z"), Some(true));
        let late = Course { acknowledged_at: Some(at("2026-11-21T00:20:00Z")), ..open };
        assert_eq!(overdue(late, "2026-11-21T00:30:00Z"), Some(false), "somebody is at it");
        assert_eq!(overdue(late, "2026-11-21T04:00:01Z"), Some(true));
        let over = |acknowledged: &str, resolved: &str, status| {
            let course = Course { status, acknowledged_at: Some(at(acknowledged)), resolved_at: Some(at(resolved)), ..open };
            let standing = levels.standing(&course, Timestamp::MAX);
            assert_eq!((standing.acknowledge_by, standing.resolve_by, standing.overdue), (None, None, None));
            standing.service_level_met
        };
        let (soon, late) = ("2026-11-21T00:15:00Z", "2026-11-21T04:00:01Z");
        assert_eq!(over(soon, "2026-11-21T04:00:00Z", Status::Resolved), Some(true));
        assert_eq!(over(soon, late, Status::Resolved), Some(false));
        assert_eq!(over("2026-11-21T00:16:00Z", "2026-11-21T01:00:00Z", Status::Resolved), Some(false));
        assert_eq!(over(soon, late, Status::FalsePositive), None);
        let weekend = Course { priority: Priority::P2, ..open };
        assert_eq!(levels.standing(&weekend, open.created_at).resolve_by, Some(at("2026-11-23T17:00:00Z")));
    }

    /// Minutes that a clock shows within the hours of working days, counted one by one.
    fn counted(working: &WorkingTime, from: Timestamp, to: Timestamp) -> i64 {
        let mut minutes = 0;
        let mut now = from;
        while now < to {
            let shown = working.zone.shown_at(now);
            let day = shown.day();
            let shown = shown.as_micros().rem_euclid(24 * HOUR) / MINUTE;
            let is_on = working.days[(day + 3).rem_euclid(7) as usize] && !working.holidays.contains(&day);
            minutes += i64::from(is_on && (i64::from(working.from)..i64::from(working.to)).contains(&shown));
            now = now.plus_micros(MINUTE);
        }
        minutes
    }

    fn any_working() -> impl Strategy<Value = WorkingTime> {
        // Hours begin and end where no zone here changes its clock, which may be within them.
        let hours = prop_oneof![Just((0u16, 1440u16)), (240u16..700, 701u16..=1440), Just((0, 241)), Just((0, 1439))];
        let zones = prop::sample::select(vec!["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "-05:30"]);
        let days = prop::array::uniform7(any::<bool>()).prop_map(|mut days| {
            days[2] = true;
            days
        });
        (zones, days, hours, prop::collection::btree_set(20_450i64..20_820, 0..30)).prop_map(
            |(zone, days, (from, to), holidays)| WorkingTime { zone: Zone::named(zone).unwrap(), days, from, to, holidays },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// 2026, and some days around it.
        #[test]
        fn due_times_are_what_counting_minutes_finds(
            working in any_working(), start in 0i64..370 * 1440, amount in 1i64..2_000, more in 1i64..2_000,
        ) {
            let start = at("2025-12-29T00:00:00Z").plus_micros(start * MINUTE);
            let due = working.after(start, amount * MINUTE);
            prop_assert_eq!(counted(&working, start, due), amount);
            prop_assert!(counted(&working, start, due.plus_micros(-MINUTE)) < amount, "not sooner");
            prop_assert_eq!(working.after(due, more * MINUTE), working.after(start, (amount + more) * MINUTE), "it adds up");
            prop_assert!(working.after(start.plus_micros(more * MINUTE), amount * MINUTE) >= due, "who begins later is done no sooner");
        }
    }
}
