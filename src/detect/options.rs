//! What the engine can be told. `config` builds it; [`Options::validate`] is the one place that knows the limits.

use crate::record::incident::Detector;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// One detector's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Whether it looks at all.
    pub enabled: bool,
    /// Events (distinct accounts for `account_compromise`) from which on it fires.
    pub threshold: u32,
    /// Length of its window, half-open, in microseconds.
    pub window_micros: i64,
}

impl Rule {
    const fn new(threshold: u32, window_micros: i64) -> Rule {
        Rule { enabled: true, threshold, window_micros }
    }
}

/// Everything the engine can be told. The defaults are those of the design.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Failed logins of one remote end, in a short time.
    pub login_failures: Rule,
    /// Failed logins of one remote end, over a longer time.
    pub brute_force: Rule,
    /// Events of a `brute_force` incident from which on it is high.
    pub brute_force_high_from: u64,
    /// Distinct accounts with failed logins of one remote end.
    pub account_compromise: Rule,
    /// Logins of everybody, failed or not.
    pub login_spike: Rule,
    /// Events of severity high or above of one type.
    pub high_severity_cluster: Rule,
    /// How far behind the newest event of its group an event may be and still be counted exactly, in microseconds.
    pub lateness_micros: i64,
    /// Remote ends that are watched at a time; beyond, those not seen for longest are forgotten.
    pub max_keys: usize,
    /// Memory for what of remote ends is not in the table itself, host names and more than three points in time, in bytes; beyond, those
    /// not seen for longest are forgotten.
    pub max_heap_bytes: usize,
    /// Memory for the groups of rules, their windows and the values that they tell apart, in bytes; beyond, the groups not seen for longest
    /// are forgotten. The compiled rules themselves come on top.
    pub max_rule_bytes: usize,
    /// Points in time kept for one group (four times the largest threshold, if that is more); beyond, the oldest go.
    pub max_points: usize,
    /// Pending points of `account_compromise` in one group above which those of one account are merged (see [`super::window`]).
    pub merge_points_above: usize,
    /// Sessions whose attempts are being followed; beyond, those not seen for longest are forgotten.
    pub max_sessions: usize,
    /// Account names remembered at a time; beyond, further ones are told apart but not named.
    pub max_names: usize,
    /// Evidence in one change.
    pub evidence_per_change: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            login_failures: Rule::new(3, 10 * MINUTE),
            brute_force: Rule::new(5, 60 * MINUTE),
            brute_force_high_from: 10,
            account_compromise: Rule::new(3, 30 * MINUTE),
            login_spike: Rule::new(20, 10 * MINUTE),
            high_severity_cluster: Rule::new(3, 24 * HOUR),
            lateness_micros: 5 * MINUTE,
            max_keys: 1_000_000,
            max_heap_bytes: 64 << 20,
            max_rule_bytes: 32 << 20,
            max_points: 512,
            merge_points_above: 32,
            max_sessions: 65_536,
            max_names: 262_144,
            evidence_per_change: 1000,
        }
    }
}

/// An option outside of its limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("detect.{key} must be between {min} and {max}{unit}, not {value}")]
pub struct OptionError {
    /// The key below `[detect]`: `brute_force.threshold`.
    pub key: String,
    min: i64,
    max: i64,
    unit: &'static str,
    value: i64,
}

impl Options {
    /// What a remote end takes in the tables at most, in bytes: 112 for itself, 12 beside it, and up to 22 in the index, which is at
    /// least three eighths full.
    pub const KEY_BYTES: usize = 146;
    /// What a session takes at most, in bytes, with a host name of 255 bytes.
    const SESSION_BYTES: usize = 160 + 272;
    /// What an account's name takes at most, in bytes.
    const NAME_BYTES: usize = 224;

    /// What a group of a rule takes in the tables at most, in bytes, beside its values.
    const RULE_GROUP_BYTES: usize = 192;

    /// Groups of rules, bytes for their windows and values, and names: a quarter, a half and a quarter of the memory for rules.
    pub(super) fn rule_limits(&self) -> (usize, usize, usize) {
        let quarter = self.max_rule_bytes / 4;
        (quarter / Self::RULE_GROUP_BYTES, quarter * 2, quarter / Self::NAME_BYTES)
    }

    /// Memory of the engine without its remote ends in the worst case, and without rules, in bytes.
    pub fn fixed_bytes(&self) -> usize {
        self.max_heap_bytes + self.max_sessions * Self::SESSION_BYTES + self.max_names * Self::NAME_BYTES
    }

    /// The numbers of one detector.
    pub const fn rule(&self, detector: Detector) -> &Rule {
        match detector {
            Detector::LoginFailures => &self.login_failures,
            Detector::BruteForce => &self.brute_force,
            Detector::AccountCompromise => &self.account_compromise,
            Detector::LoginSpike => &self.login_spike,
            Detector::HighSeverityCluster => &self.high_severity_cluster,
        }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// All that are outside of their limits, in the order of the keys.
    pub fn validate(&self) -> Result<(), Vec<OptionError>> {
        let mut errors = Vec::new();
        let mut check = |key: String, value: i64, min: i64, max: i64, unit: &'static str| {
            if !(min..=max).contains(&value) {
                errors.push(OptionError { key, min, max, unit, value });
            }
        };
        let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        for detector in Detector::ALL {
            let rule = self.rule(detector);
            // Work per event grows with the threshold; for accounts, with its square.
            let most = if detector == Detector::AccountCompromise { 100 } else { 1000 };
            check(format!("{}.threshold", detector.as_str()), i64::from(rule.threshold), 2, most, "");
            check(format!("{}.window", detector.as_str()), rule.window_micros, SECOND, 7 * 24 * HOUR, " microseconds");
        }
        let high_from = i64::try_from(self.brute_force_high_from).unwrap_or(i64::MAX);
        check("brute_force.high_from".to_owned(), high_from, 2, i64::MAX - 1, "");
        check("lateness".to_owned(), self.lateness_micros, 0, 24 * HOUR, " microseconds");
        check("max_keys".to_owned(), whole(self.max_keys), 1, 100_000_000, "");
        check("max_heap_bytes".to_owned(), whole(self.max_heap_bytes), 1 << 16, i64::MAX, "");
        check("max_rule_bytes".to_owned(), whole(self.max_rule_bytes), 1 << 16, i64::MAX, "");
        check("max_points".to_owned(), whole(self.max_points), 16, 65_536, "");
        check("merge_points_above".to_owned(), whole(self.merge_points_above), 1, 65_536, "");
        check("max_sessions".to_owned(), whole(self.max_sessions), 1, 100_000_000, "");
        check("max_names".to_owned(), whole(self.max_names), 0, 100_000_000, "");
        check("evidence_per_change".to_owned(), whole(self.evidence_per_change), 1, 1_000_000, "");
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// How far before the newest event the stored records that detectors look at must be observed again after a restart, in
    /// microseconds.
    pub fn warmup_micros(&self) -> i64 {
        let widest = Detector::ALL.iter().map(|d| self.rule(*d).window_micros).max().unwrap_or(0);
        self.warmup_of_window_micros(widest)
    }

    /// The same for one window. An event that can still matter is at most a window and the lateness old, whether it was counted depends
    /// on another window before it, and whether a line was an event at all on the session before that.
    pub const fn warmup_of_window_micros(&self, window: i64) -> i64 {
        window
            .saturating_mul(2)
            .saturating_add(self.lateness_micros.saturating_mul(2))
            .saturating_add(super::attempts::SESSION_MICROS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_name_their_key() {
        assert_eq!(Options::default().validate(), Ok(()));
        let mut options = Options::default();
        options.brute_force.threshold = 1;
        options.login_spike.window_micros = i64::MAX;
        let errors = options.validate().unwrap_err();
        assert_eq!(errors.iter().map(|e| e.key.as_str()).collect::<Vec<_>>(), ["brute_force.threshold", "login_spike.window"]);
        assert_eq!(errors[0].to_string(), "detect.brute_force.threshold must be between 2 and 1000, not 1");
    }
}
