//! What detection holds and has done, for the counters.

/// What the engine holds, and what it has had to do beyond the exact. Totals count from the engine's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Remote ends that are watched, and groups of rules.
    pub keys: u64,
    /// Sessions that are followed.
    pub sessions: u64,
    /// Account names held.
    pub names: u64,
    /// Memory of all of it, without the allocator's overhead.
    pub bytes: u64,
    /// Remote ends forgotten because nothing that concerns them can happen any more.
    pub evicted_idle_total: u64,
    /// Remote ends forgotten because there were too many.
    pub evicted_full_total: u64,
    /// Sessions forgotten because there were too many.
    pub sessions_evicted_total: u64,
    /// Events that came later than the lateness allows, counted as well as what is left of their time permits.
    pub late_total: u64,
    /// Points merged with a later one of the same account.
    pub points_merged_total: u64,
    /// Points forgotten because a group had too many.
    pub points_dropped_total: u64,
    /// Account names that there was no room to hold.
    pub names_unheld_total: u64,
}
