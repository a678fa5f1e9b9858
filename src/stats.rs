//! Counters: plain atomics, created once and handed down as an `Arc`; nothing global. `/metrics` and the log read them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A number that only grows, or a level that is set.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes `n` back (for gauges).
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// Sets the level (for gauges).
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How Prometheus is told to read a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: &'static str,
    /// By rendered labels, e.g. `source="lan",reason="kernel"`.
    values: BTreeMap<String, Arc<Counter>>,
}

/// All counters of a daemon.
#[derive(Debug, Default)]
pub struct Stats {
    families: Mutex<BTreeMap<&'static str, Family>>,
}

impl Stats {
    /// The counter of that name and labels; made at its first use. Labels must come from the configuration or the code, never from input.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Arc<Counter> {
        self.get(Kind::Counter, name, help, labels)
    }

    /// The gauge of that name and labels; made at its first use.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Arc<Counter> {
        self.get(Kind::Gauge, name, help, labels)
    }

    fn get(&self, kind: Kind, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Arc<Counter> {
        let mut key = String::new();
        for (i, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(key, "{}{label}=\"{value}\"", if i == 0 { "" } else { "," });
        }
        let mut families = self.families.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let family = families.entry(name).or_insert_with(|| Family { kind, help, values: BTreeMap::new() });
        Arc::clone(family.values.entry(key).or_default())
    }

    /// Sum of a family over all its labels; 0 if there is none of that name.
    pub fn total(&self, name: &str) -> u64 {
        let families = self.families.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        families.get(name).map_or(0, |f| f.values.values().map(|v| v.get()).sum())
    }

    /// Everything in Prometheus' text exposition format, version 0.0.4; names are prefixed with `tocsin_`.
    pub fn render(&self) -> String {
        let families = self.families.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut out = String::new();
        for (name, family) in families.iter() {
            let kind = if family.kind == Kind::Counter { "counter" } else { "gauge" };
            let _ = write!(out, "# HELP tocsin_{name} {}\n# TYPE tocsin_{name} {kind}\n", family.help);
            for (labels, value) in &family.values {
                let _ = if labels.is_empty() {
                    writeln!(out, "tocsin_{name} {}", value.get())
                } else {
                    writeln!(out, "tocsin_{name}{{{labels}}} {}", value.get())
                };
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_render_as_prometheus_text() {
        let stats = Stats::default();
        stats.counter("dropped_total", "Frames lost.", &[("source", "a\"b"), ("reason", "kernel")]).add(3);
        stats.counter("dropped_total", "Frames lost.", &[("source", "a\"b"), ("reason", "kernel")]).add(1);
        stats.gauge("lag_bytes", "Bytes not read yet.", &[]).set(7);
        assert_eq!(
            stats.render(),
            "# HELP tocsin_dropped_total Frames lost.\n# TYPE tocsin_dropped_total counter\n\
             tocsin_dropped_total{source=\"a\\\"b\",reason=\"kernel\"} 4\n\
             # HELP tocsin_lag_bytes Bytes not read yet.\n# TYPE tocsin_lag_bytes gauge\ntocsin_lag_bytes 7\n"
        );
        assert_eq!(stats.total("dropped_total"), 4);
    }
}
