//! The words of casework: what an incident, a task, a note can be.

use super::Severity;
use super::vocabulary::vocabulary;

vocabulary! {
    /// Where an incident is in its life.
    Status {
        /// Nobody has looked at it.
        Open = "open",
        /// Somebody is at it.
        Investigating = "investigating",
        /// It does no more harm.
        Contained = "contained",
        /// It is over.
        Resolved = "resolved",
        /// It was none.
        FalsePositive = "false_positive",
    }
}

impl Status {
    /// Whether an incident may go from here to there. What is over may be taken up again, and goes on where work does.
    pub fn may_become(self, next: Status) -> bool {
        use Status::{Contained, FalsePositive, Investigating, Open, Resolved};
        match (self, next) {
            (Open, Investigating | Contained | Resolved | FalsePositive) => true,
            (Investigating, Contained | Resolved | FalsePositive) => true,
            (Contained, Investigating | Resolved | FalsePositive) => true,
            (Resolved | FalsePositive, Investigating) => true,
            (Open | Investigating | Contained | Resolved | FalsePositive, _) => false,
        }
    }

    /// Nobody has to work on it any more.
    pub fn is_over(self) -> bool {
        matches!(self, Status::Resolved | Status::FalsePositive)
    }
}

vocabulary! {
    /// How soon somebody has to act.
    Priority {
        /// Now.
        P1 = "P1",
        /// Today.
        P2 = "P2",
        /// This week.
        P3 = "P3",
        /// When there is time.
        P4 = "P4",
    }
}

vocabulary! {
    /// How much depends on an asset.
    Criticality {
        /// Nobody would miss it for a while.
        Low = "low",
        /// Work goes on without it, with trouble.
        Medium = "medium",
        /// Work stops without it.
        High = "high",
        /// The organisation is in danger without it.
        Critical = "critical",
    }
}

impl Priority {
    /// What follows from the severity and from the criticality of the assets that are affected, where nobody says otherwise.
    ///
    /// | severity | low | medium, or no known asset | high | critical |
    /// | --- | --- | --- | --- | --- |
    /// | critical | P2 | P1 | P1 | P1 |
    /// | high | P3 | P2 | P2 | P1 |
    /// | medium | P4 | P3 | P2 | P2 |
    /// | low | P4 | P4 | P3 | P3 |
    ///
    /// A critical asset raises by one, a low one lowers by one; a high one raises what would have to wait for days.
    pub fn with(severity: Severity, criticality: Option<Criticality>) -> Priority {
        use Priority::{P1, P2, P3, P4};
        let follows = Priority::of(severity);
        match (criticality, follows) {
            (None | Some(Criticality::Medium), follows) => follows,
            (Some(Criticality::Low), P1) => P2,
            (Some(Criticality::Low), P2) => P3,
            (Some(Criticality::Low), P3 | P4) => P4,
            (Some(Criticality::High), P1) => P1,
            (Some(Criticality::High), P2 | P3) => P2,
            (Some(Criticality::High), P4) => P3,
            (Some(Criticality::Critical), P1 | P2) => P1,
            (Some(Criticality::Critical), P3) => P2,
            (Some(Criticality::Critical), P4) => P3,
        }
    }

    /// What follows from the severity alone.
    pub fn of(severity: Severity) -> Priority {
        match severity {
            Severity::Critical => Priority::P1,
            Severity::High => Priority::P2,
            Severity::Medium => Priority::P3,
            Severity::Low => Priority::P4,
        }
    }
}

vocabulary! {
    /// The classification of the Reference Security Incident Taxonomy (ENISA and TF-CSIRT, version 1003, machine names).
    Category {
        /// Spam, hate speech, sexual content.
        AbusiveContent = "abusive-content",
        /// Infected systems, control servers, distribution and configuration of malware.
        MaliciousCode = "malicious-code",
        /// Scanning, sniffing, social engineering.
        InformationGathering = "information-gathering",
        /// Attempts to exploit vulnerabilities and to log in.
        IntrusionAttempts = "intrusion-attempts",
        /// Compromised accounts, applications and systems.
        Intrusions = "intrusions",
        /// Denial of service, sabotage, outage.
        Availability = "availability",
        /// Access to, changes of and loss of data that were not permitted.
        InformationContentSecurity = "information-content-security",
        /// Unauthorised use, phishing, masquerade.
        Fraud = "fraud",
        /// What is open to abuse.
        Vulnerable = "vulnerable",
        /// None of these.
        Other = "other",
        /// A test.
        Test = "test",
    }
}

vocabulary! {
    /// Where a task is.
    TaskStatus {
        /// To be done.
        Open = "open",
        /// Somebody is at it.
        InProgress = "in_progress",
        /// Done.
        Done = "done",
        /// Not to be done any more.
        Cancelled = "cancelled",
    }
}

vocabulary! {
    /// What a note is.
    NoteKind {
        /// Something to remember.
        Note = "note",
        /// Something that was done.
        Action = "action",
        /// Something that was found out.
        Finding = "finding",
    }
}

vocabulary! {
    /// What somebody has to do with an incident.
    PartyRole {
        /// Was harmed.
        Victim = "victim",
        /// May have done it.
        Suspect = "suspect",
        /// Saw something.
        Witness = "witness",
        /// Told us.
        Reporter = "reporter",
    }
}

vocabulary! {
    /// What an incident is to another one that it is linked with.
    LinkKind {
        /// They have to do with each other.
        Related = "related",
        /// It is the same as the other, which goes on.
        DuplicateOf = "duplicate_of",
        /// The other is the same as this one.
        HasDuplicate = "has_duplicate",
        /// The other made it possible.
        CausedBy = "caused_by",
        /// It made the other possible.
        CauseOf = "cause_of",
    }
}

impl LinkKind {
    /// What the other incident is to this one.
    pub fn from_the_other_side(self) -> LinkKind {
        match self {
            LinkKind::Related => LinkKind::Related,
            LinkKind::DuplicateOf => LinkKind::HasDuplicate,
            LinkKind::HasDuplicate => LinkKind::DuplicateOf,
            LinkKind::CausedBy => LinkKind::CauseOf,
            LinkKind::CauseOf => LinkKind::CausedBy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_never_becomes_what_it_is_and_what_is_over_is_only_taken_up_again() {
        for from in Status::ALL {
            for to in Status::ALL {
                let legal = from.may_become(*to);
                assert!(!(legal && from == to), "{from} → {to}");
                assert!(!(legal && *to == Status::Open), "nobody unsees it");
                assert!(!from.is_over() || legal == (*to == Status::Investigating), "{from} → {to}");
                assert!(
                    from.is_over() || *to == *from || *to == Status::Open || legal || *to == Status::Investigating,
                    "{from} → {to}"
                );
            }
        }
    }

    #[test]
    fn each_word_is_read_back() {
        assert!(Status::ALL.iter().all(|s| s.as_str().parse() == Ok(*s)));
        assert!(Priority::ALL.iter().all(|p| p.as_str().parse() == Ok(*p)));
        assert_eq!(Priority::of(Severity::Critical), Priority::P1);
        assert!(Criticality::ALL.iter().all(|c| c.as_str().parse() == Ok(*c)));
    }

    #[test]
    fn what_is_worse_or_more_critical_is_never_less_urgent() {
        for pair in Severity::ALL.windows(2) {
            for criticality in Criticality::ALL {
                assert!(Priority::with(pair[1], Some(*criticality)) <= Priority::with(pair[0], Some(*criticality)));
            }
        }
        for severity in Severity::ALL {
            assert_eq!(Priority::with(*severity, None), Priority::of(*severity));
            for pair in Criticality::ALL.windows(2) {
                assert!(Priority::with(*severity, Some(pair[1])) <= Priority::with(*severity, Some(pair[0])));
            }
        }
        let with =
            |criticality| Severity::ALL.iter().rev().map(|s| Priority::with(*s, Some(criticality)).as_str()).collect::<Vec<_>>();
        assert_eq!(with(Criticality::Low), ["P2", "P3", "P4", "P4"]);
        assert_eq!(with(Criticality::High), ["P1", "P2", "P2", "P3"]);
        assert_eq!(with(Criticality::Critical), ["P1", "P1", "P2", "P3"]);
    }
}
