//! Assets: what there is to protect, how it is recognised, and how much depends on it.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::case::{Criticality, Priority};
use super::{Severity, UnknownWord};

/// By what an asset is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Match {
    /// A host name, lower case.
    Host(String),
    /// What ends in this, a dot at its beginning: `*.example.org`.
    Suffix(String),
    /// A network, or an address: its first address, and the bits that it fixes.
    Network(IpAddr, u8),
}

/// Why a text is no [`Match`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a host name, nor *.suffix of one, nor an address, nor a network such as 10.0.0.0/8")]
pub struct NoMatch(String);

/// The address with all bits behind the first so many cleared.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

fn most_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// A host name as people write them: letters of any script, digits, `.`, `-` and `_`; lower case, without a dot at the end.
fn host(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_lowercase();
    let fits = (1..=253).contains(&name.len()) && name.chars().all(|c| c.is_alphanumeric() || ".-_".contains(c));
    (fits && name.split('.').all(|label| !label.is_empty())).then_some(name)
}

impl std::str::FromStr for Match {
    type Err = NoMatch;

    fn from_str(text: &str) -> Result<Match, NoMatch> {
        let text = text.trim();
        let none = || NoMatch(text.chars().take(100).collect());
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| none())?;
            let bits = bits.parse().ok().filter(|bits| *bits <= most_bits(address)).ok_or_else(none)?;
            return Ok(Match::Network(masked(address, bits), bits));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            let address = address.to_canonical();
            return Ok(Match::Network(address, most_bits(address)));
        }
        match text.strip_prefix("*.") {
            Some(suffix) => host(suffix).map(|suffix| Match::Suffix(format!(".{suffix}"))).ok_or_else(none),
            None => host(text).map(Match::Host).ok_or_else(none),
        }
    }
}

impl std::fmt::Display for Match {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Match::Host(name) => f.write_str(name),
            Match::Suffix(suffix) => write!(f, "*{suffix}"),
            Match::Network(address, bits) if *bits == most_bits(*address) => write!(f, "{address}"),
            Match::Network(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

/// All assets, to be looked up in.
#[derive(Debug, Clone, Default)]
pub struct Assets {
    hosts: HashMap<String, Criticality>,
    suffixes: HashMap<String, Criticality>,
    networks: HashMap<(IpAddr, u8), Criticality>,
    /// Lengths of prefixes that occur.
    bits: BTreeSet<u8>,
}

impl Assets {
    /// Adds what an asset is recognised by. Where several are, the most critical one counts.
    pub fn add(&mut self, by: &Match, criticality: Criticality) {
        let known = match by {
            Match::Host(name) => self.hosts.entry(name.clone()).or_insert(criticality),
            Match::Suffix(suffix) => self.suffixes.entry(suffix.clone()).or_insert(criticality),
            Match::Network(address, bits) => {
                self.bits.insert(*bits);
                self.networks.entry((*address, *bits)).or_insert(criticality)
            }
        };
        *known = criticality.max(*known);
    }

    /// How much depends on a system, by its name or address; `None` where it is no known asset.
    pub fn criticality(&self, system: &str) -> Option<Criticality> {
        let system = system.trim();
        if let Ok(address) = system.parse::<IpAddr>() {
            let address = address.to_canonical();
            let networks = self.bits.iter().filter(|bits| **bits <= most_bits(address));
            return networks.filter_map(|bits| self.networks.get(&(masked(address, *bits), *bits)).copied()).max();
        }
        let name = host(system)?;
        let suffixes = name.match_indices('.').filter_map(|(at, _)| self.suffixes.get(&name[at..]).copied());
        suffixes.chain(self.hosts.get(&name).copied()).max()
    }

    /// How much depends on the systems that an incident affects: on the most critical one. One that is no known asset is of medium
    /// criticality, so a mild one beside it does not make the incident milder. `None` without any known asset.
    pub fn of_all<'s>(&self, systems: impl Iterator<Item = &'s str>) -> Option<Criticality> {
        let (mut most, mut any_unknown) = (None, false);
        for system in systems {
            match self.criticality(system) {
                Some(criticality) => most = most.max(Some(criticality)),
                None => any_unknown = true,
            }
        }
        most.map(|most| if any_unknown { most.max(Criticality::Medium) } else { most })
    }
}

/// The priority that follows from an incident's severity and the systems that it affects.
///
/// # Errors
/// The severity is none.
pub fn priority(severity: &str, affected: &[String], assets: &Assets) -> Result<Priority, UnknownWord> {
    let severity: Severity = severity.parse()?;
    Ok(Priority::with(severity, assets.of_all(affected.iter().map(String::as_str))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets(list: &[(&str, Criticality)]) -> Assets {
        let mut assets = Assets::default();
        for (by, criticality) in list {
            assets.add(&by.parse().unwrap(), *criticality);
        }
        assets
    }

    #[test]
    fn what_recognises_an_asset_is_read_and_written() {
        for (text, written) in [
            ("Web1.Example.org.", "web1.example.org"),
            ("*.Example.org", "*.example.org"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::1/32", "2001:db8::/32"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("bücher-1_a", "bücher-1_a"),
        ] {
            let read: Match = text.parse().unwrap();
            assert_eq!(read.to_string(), written);
            assert_eq!(written.parse(), Ok(read), "{written} is read back");
        }
        for none in ["", "*", "*.", "a..b", "10.0.0.0/33", "10.0.0/8", "a b", "a/b", "*.*.org", "::/129", "a;b"] {
            assert!(none.parse::<Match>().is_err(), "{none:?}");
        }
    }

    #[test]
    fn the_most_critical_of_what_fits_counts() {
        use Criticality::{Critical, High, Low, Medium};
        let assets = assets(&[
            ("10.0.0.0/8", Low),
            ("10.1.0.0/16", High),
            ("10.1.2.3", Critical),
            ("2001:db8::/32", Medium),
            ("db1", Critical),
            ("*.example.org", Low),
            ("*.db.example.org", High),
            ("www.example.org", Medium),
        ]);
        for (system, found) in [
            ("10.2.0.1", Some(Low)),
            ("10.1.9.9", Some(High)),
            ("10.1.2.3", Some(Critical)),
            ("::ffff:10.1.2.3", Some(Critical)),
            ("11.0.0.1", None),
            ("2001:db8::7", Some(Medium)),
            ("DB1", Some(Critical)),
            ("db1.example.org", Some(Low)),
            ("a.db.example.org", Some(High)),
            ("db.example.org", Some(Low)),
            ("example.org", None),
            ("www.example.org.", Some(Medium)),
            ("notexample.org", None),
            ("", None),
            ("a b", None),
        ] {
            assert_eq!(assets.criticality(system), found, "{system}");
        }
        let all = |systems: &[&str]| assets.of_all(systems.iter().copied());
        assert_eq!(all(&[]), None);
        assert_eq!(all(&["elsewhere"]), None);
        assert_eq!(all(&["10.2.0.1"]), Some(Low));
        assert_eq!(all(&["10.2.0.1", "elsewhere"]), Some(Medium), "who knows what that is");
        assert_eq!(all(&["10.2.0.1", "db1", "elsewhere"]), Some(Critical));
    }
}
