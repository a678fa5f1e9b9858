//! Quantities with units, as people write them: `"64 KiB"`, `"5m"`, `"100 ms"`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes, written with a unit: `"512 B"`, `"64 KiB"`, `"1 MiB"`, `"4 GiB"`, `"1 TiB"`; `kB`, `MB`, `GB` are powers of ten.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Bytes(pub u64);

/// A length of time, written with a unit: `"100 ms"`, `"5 s"`, `"10m"`, `"24 h"`, `"7 d"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Span(pub Duration);

impl Bytes {
    /// The number as a size in memory.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Span {
    /// Microseconds.
    pub fn as_micros(self) -> i64 {
        i64::try_from(self.0.as_micros()).unwrap_or(i64::MAX)
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, text[digits..].trim()))
}

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        let wrong = || format!("{text:?} is no size: give a whole number and a unit, such as \"64 KiB\" or \"4 GiB\"");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(Bytes).ok_or_else(wrong)
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let wrong = || {
            format!(
                "{text:?} is no length of time: give a whole number and a unit, such as \"100 ms\", \"5 s\", \"10 m\", \"24 h\" or \"7 d\""
            )
        };
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let millis: u64 = match unit.to_ascii_lowercase().as_str() {
            "ms" => 1,
            "s" | "sec" | "second" | "seconds" => 1_000,
            "m" | "min" | "minute" | "minutes" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            _ => return Err(wrong()),
        };
        number
            .checked_mul(millis)
            .filter(|ms| *ms <= 100 * 365 * 86_400_000)
            .map(|ms| Span(Duration::from_millis(ms)))
            .ok_or_else(wrong)
    }
}

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 != 0 && self.0 % (1 << shift) == 0 {
                return write!(f, "{} {unit}", self.0 >> shift);
            }
        }
        write!(f, "{} B", self.0)
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0.as_millis();
        for (size, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
            if ms != 0 && ms % size == 0 {
                return write!(f, "{} {unit}", ms / size);
            }
        }
        write!(f, "{ms} ms")
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
    };
}
as_text!(Bytes);
as_text!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_and_write() {
        assert_eq!("64 KiB".parse(), Ok(Bytes(65_536)));
        assert_eq!("4GiB".parse::<Bytes>().unwrap().to_string(), "4 GiB");
        assert_eq!("10 MB".parse(), Ok(Bytes(10_000_000)));
        assert_eq!("60m".parse::<Span>().unwrap().to_string(), "1 h");
        assert_eq!("100 ms".parse(), Ok(Span(Duration::from_millis(100))));
        for bad in ["", "5", "m", "1.5 h", "-1 s", "99999999999999999999 s", "18446744073709551615 h", "5 parsecs"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        assert!("18446744073709551615 KiB".parse::<Bytes>().is_err());
    }
}
