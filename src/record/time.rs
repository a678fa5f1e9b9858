//! Instants and time zones. Everything inside the program is UTC in microseconds, the resolution of PostgreSQL's `timestamptz`.

use std::fmt;

use jiff::tz::TimeZone;

/// An instant: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX time).
///
/// The range is that of an `i64`; only instants between [`Timestamp::MIN`] and [`Timestamp::MAX`] can be written as RFC 3339,
/// and the constructors that read text never leave that range.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Timestamp = Timestamp(-62_135_596_800_000_000);
    /// 9999-12-30T22:00:00Z, the last instant that the time zone library can hold.
    pub const MAX: Timestamp = Timestamp(253_402_207_200_000_000);

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Timestamp {
        Timestamp(micros)
    }

    /// From whole seconds since the epoch; saturates at the ends of the range.
    pub const fn from_secs(secs: i64) -> Timestamp {
        Timestamp(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The system clock. Only shells call this; pure rooms take the time as an argument.
    pub fn now() -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// The instant `micros` later (earlier if negative); saturates.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to `self`; saturates.
    pub const fn micros_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Days since 1970-01-01 of the UTC day this instant falls in.
    pub const fn day(self) -> i64 {
        self.0.div_euclid(86_400_000_000)
    }

    /// Reads an RFC 3339 instant such as `2026-01-02T03:04:05.678Z`.
    ///
    /// # Errors
    /// The text is no RFC 3339 instant, or lies outside of the years 1 to 9999.
    pub fn parse_rfc3339(text: &str) -> Result<Timestamp, jiff::Error> {
        text.parse::<jiff::Timestamp>().map(|t| Timestamp(t.as_microsecond()))
    }
}

/// RFC 3339 in UTC, with as many digits of the fraction as are not zero.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => t.fmt(f),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

/// RFC 3339 in UTC, as everywhere.
/// Out of RFC 3339, as it is written.
impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Timestamp::parse_rfc3339(&text).map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A wall-clock reading without a zone, as log lines carry it. Every field is in range: a value that exists is a real date.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Civil {
    year: i32,
    month: u8,
    day: u8,
    micros: i64,
}

impl Civil {
    /// A date and a time of day. `second` may be 60 (a leap second is filed under the second before it).
    /// `None` where no such date or time exists, or the year is not between 1 and 9999.
    pub fn new(year: i32, month: u8, day: u8, hour: u8, minute: u8, second: u8, micros: u32) -> Option<Civil> {
        let ok = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && day >= 1
            && day <= days_in_month(year, month)
            && hour <= 23
            && minute <= 59
            && second <= 60
            && micros < 1_000_000;
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second.min(59));
        ok.then(|| Civil { year, month, day, micros: seconds * 1_000_000 + i64::from(micros) })
    }

    /// The instant at which a clock `offset_secs` east of UTC shows this reading.
    pub fn at_offset(self, offset_secs: i32) -> Timestamp {
        let days = days_from_civil(self.year, self.month, self.day);
        let micros = days * 86_400_000_000 + self.micros - i64::from(offset_secs) * 1_000_000;
        Timestamp(micros.clamp(Timestamp::MIN.0, Timestamp::MAX.0))
    }
}

/// Days of `month` (1–12) in `year`, Gregorian.
pub fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a Gregorian date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub fn days_from_civil(year: i32, month: u8, day: u8) -> i64 {
    let y = i64::from(year) - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The Gregorian year, month and day of a count of days since 1970-01-01 (same source).
pub fn civil_from_days(days: i64) -> (i32, u8, u8) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month as u8, day as u8)
}

/// A time zone, for readings that name none.
#[derive(Clone, Debug)]
pub struct Zone(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Fixed(i32),
    Rules(TimeZone),
}

impl Zone {
    /// UTC.
    pub const UTC: Zone = Zone(Kind::Fixed(0));

    /// The zone this machine is set to; UTC where it is not set.
    pub fn system() -> Zone {
        Zone::from_rules(TimeZone::system())
    }

    /// A zone by its IANA name (`Europe/Paris`), `local`, `UTC`, or an offset (`+02:00`).
    ///
    /// # Errors
    /// No zone of that name is known.
    pub fn named(name: &str) -> Result<Zone, UnknownZone> {
        if name.eq_ignore_ascii_case("local") {
            return Ok(Zone::system());
        }
        if name.eq_ignore_ascii_case("utc") || name == "Z" {
            return Ok(Zone::UTC);
        }
        if let Some(secs) = offset_secs(name) {
            return Ok(Zone(Kind::Fixed(secs)));
        }
        TimeZone::get(name).map(Zone::from_rules).map_err(|_| UnknownZone(name.to_owned()))
    }

    fn from_rules(rules: TimeZone) -> Zone {
        match rules.to_fixed_offset() {
            Ok(offset) => Zone(Kind::Fixed(offset.seconds())),
            Err(_) => Zone(Kind::Rules(rules)),
        }
    }

    /// The instant at which a clock in this zone shows `civil`. A reading that occurs twice means the first;
    /// one that is skipped is read as if the clock had not been put forward yet (RFC 5545 §3.3.5).
    pub fn instant(&self, civil: Civil) -> Timestamp {
        match &self.0 {
            Kind::Fixed(secs) => civil.at_offset(*secs),
            Kind::Rules(rules) => {
                let secs = civil.micros / 1_000_000;
                let reading = jiff::civil::DateTime::new(
                    civil.year as i16,
                    civil.month as i8,
                    civil.day as i8,
                    (secs / 3600) as i8,
                    (secs / 60 % 60) as i8,
                    (secs % 60) as i8,
                    0,
                );
                let base = reading
                    .ok()
                    .and_then(|r| rules.to_ambiguous_timestamp(r).compatible().ok())
                    .map_or_else(|| civil.at_offset(0), |t| Timestamp(t.as_microsecond()));
                base.plus_micros(civil.micros % 1_000_000)
            }
        }
    }

    /// The year that clocks of this zone show at `at`.
    pub fn year_at(&self, at: Timestamp) -> i32 {
        civil_from_days(self.day_at(at)).0
    }

    /// The day that clocks of this zone show at `at`, in days since 1970-01-01.
    pub fn day_at(&self, at: Timestamp) -> i64 {
        self.shown_at(at).day()
    }

    /// What clocks of this zone show at `at`: the instant at which those of UTC do.
    pub fn shown_at(&self, at: Timestamp) -> Timestamp {
        let offset = match &self.0 {
            Kind::Fixed(secs) => *secs,
            Kind::Rules(rules) => jiff::Timestamp::from_microsecond(at.0).map_or(0, |t| rules.to_offset(t).seconds()),
        };
        at.plus_micros(i64::from(offset) * 1_000_000)
    }
}

/// `+02:00`, `-0530` or `+02` as seconds east of UTC.
fn offset_secs(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits[..2].parse().ok()?;
    let minutes: i32 = if digits.len() == 4 { digits[2..].parse().ok()? } else { 0 };
    (hours <= 15 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A time zone name that is neither `local`, nor an IANA name, nor an offset.
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown time zone {0:?}: give an IANA name such as \"Europe/Paris\", an offset such as \"+02:00\", \"UTC\" or \"local\""
)]
pub struct UnknownZone(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_days_agree_over_four_centuries() {
        for day in -146_097..146_097 {
            let (y, m, d) = civil_from_days(day);
            assert_eq!(days_from_civil(y, m, d), day);
        }
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 3, 1), 11_017);
    }

    #[test]
    fn impossible_readings_are_refused() {
        assert!(Civil::new(2023, 2, 29, 0, 0, 0, 0).is_none());
        assert!(Civil::new(2024, 2, 29, 23, 59, 60, 0).is_some());
        assert!(Civil::new(2024, 13, 1, 0, 0, 0, 0).is_none());
        assert!(Civil::new(0, 1, 1, 0, 0, 0, 0).is_none());
    }

    #[test]
    fn zones_follow_their_rules() {
        let paris = Zone::named("Europe/Paris").unwrap();
        let summer = Civil::new(2026, 7, 1, 12, 0, 0, 500).unwrap();
        assert_eq!(paris.instant(summer).to_string(), "2026-07-01T10:00:00.0005Z");
        let twice = Civil::new(2026, 10, 25, 2, 30, 0, 0).unwrap();
        assert_eq!(paris.instant(twice).to_string(), "2026-10-25T00:30:00Z");
        let skipped = Civil::new(2026, 3, 29, 2, 30, 0, 0).unwrap();
        assert_eq!(paris.instant(skipped).to_string(), "2026-03-29T01:30:00Z");
        assert_eq!(Zone::named("-0530").unwrap().instant(summer).to_string(), "2026-07-01T17:30:00.0005Z");
        assert!(Zone::named("Mars/Olympus").is_err());
        assert_eq!(paris.year_at(Timestamp::parse_rfc3339("2026-12-31T23:30:00Z").unwrap()), 2027);
    }
}
