//! Which rotated neighbours of a path were there before the path was first found.

/// Told apart by when they were last modified, which neither renaming nor compressing changes. Each time is remembered for itself: whoever
/// sets the clock back has later generations modified before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elders {
    /// What was modified then, or before, is one of them; nanoseconds since 1970.
    pub until: i64,
    /// And what was modified at one of these times, which ascend.
    pub times: Vec<i64>,
}

impl Elders {
    /// Times that are remembered at most: the newest.
    const MAX: usize = 100;

    /// There are none.
    pub const NONE: Elders = Elders { until: i64::MIN, times: Vec::new() };

    /// Of neighbours that were modified at these times.
    pub fn of(times: impl Iterator<Item = i64>) -> Elders {
        let mut times: Vec<i64> = times.collect();
        times.sort_unstable();
        times.dedup();
        let recent = times.split_off(times.len().saturating_sub(Elders::MAX));
        Elders { until: times.last().copied().unwrap_or(i64::MIN), times: recent }
    }

    /// Whether what was last modified then is one of them. Some programs keep whole seconds only.
    pub fn include(&self, mtime: i64) -> bool {
        const SECOND: i64 = 1_000_000_000;
        let is_cut = mtime % SECOND == 0;
        let from = self.times.partition_point(|time| *time < mtime);
        let next = self.times.get(from).copied();
        mtime <= self.until || next.is_some_and(|time| time == mtime || is_cut && time.saturating_sub(mtime) < SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_were_there_are_known_by_their_times() {
        let second = 1_000_000_000;
        let elders = Elders::of([5 * second + 7, 3 * second, 5 * second + 7, 9 * second + 1].into_iter());
        let table = [
            (3 * second, true),
            (5 * second + 7, true),
            (5 * second, true),
            (5 * second + 8, false),
            (4 * second, false),
            (9 * second, true),
            (9 * second + 1, true),
            (9 * second + 2, false),
            (0, false),
        ];
        for (mtime, want) in table {
            assert_eq!(elders.include(mtime), want, "{mtime}");
        }
        let many = Elders::of(1..=250);
        assert_eq!((many.until, many.times.len()), (150, Elders::MAX));
        assert!((1..=250).all(|mtime| many.include(mtime)) && !many.include(251));
        assert!(!Elders::NONE.include(0));
    }
}
