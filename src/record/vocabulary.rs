//! The closed vocabularies of a record. Their words are those of the database's enums and of every output.

/// A word that is not in the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not one of {known}")]
pub struct UnknownWord {
    pub(super) word: String,
    pub(super) known: &'static str,
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every word, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word as databases and outputs carry it.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::record::UnknownWord;
            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok($name::$variant),)+
                    _ => Err($crate::record::UnknownWord { word: word.to_owned(), known: concat!($($word, " ",)+) }),
                }
            }
        }
    };
}

pub(super) use vocabulary;

vocabulary! {
    /// What kind of event a record is.
    EventType {
        /// Somebody logged in.
        LoginSuccess = "login_success",
        /// Somebody tried to log in and did not get in.
        LoginFailed = "login_failed",
        /// A session ended.
        Logout = "logout",
        /// A service refused an access for lack of permission.
        AccessDenied = "access_denied",
        /// Somebody used another account's rights: sudo, su.
        PrivilegeUse = "privilege_use",
        /// An account or group was made, changed or removed.
        AccountChange = "account_change",
        /// A network connection was let through.
        ConnectionAllowed = "connection_allowed",
        /// A network connection was refused.
        ConnectionBlocked = "connection_blocked",
        /// An intrusion detection system raised an alert.
        IdsAlert = "ids_alert",
        /// Malicious software was found.
        MalwareDetected = "malware_detected",
        /// Data was moved: a file transfer, a flow record.
        DataTransfer = "data_transfer",
        /// A request to a web server.
        HttpRequest = "http_request",
        /// A configuration was changed.
        ConfigChange = "config_change",
        /// A service started, stopped or failed.
        ServiceChange = "service_change",
        /// The operating system or a device speaks of itself.
        System = "system",
        /// Anything else.
        Other = "other",
    }
}

vocabulary! {
    /// How bad something is.
    Severity {
        /// Routine.
        Low = "low",
        /// Worth a look.
        Medium = "medium",
        /// Needs somebody soon.
        High = "high",
        /// Needs somebody now.
        Critical = "critical",
    }
}

impl Severity {
    /// From a syslog severity, RFC 5424 §6.2.1: 0–1 (emergency, alert) → critical, 2 (critical) → high, 3–4 (error, warning) →
    /// medium, 5–7 → low. Programs call their daily troubles errors; what is really bad, message parsers say themselves.
    pub const fn from_syslog(severity: u8) -> Severity {
        match severity {
            0 | 1 => Severity::Critical,
            2 => Severity::High,
            3 | 4 => Severity::Medium,
            _ => Severity::Low,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for t in EventType::ALL {
            assert_eq!(t.as_str().parse::<EventType>().unwrap(), *t);
        }
        for s in Severity::ALL {
            assert_eq!(s.as_str().parse::<Severity>().unwrap(), *s);
        }
        assert!("worse".parse::<Severity>().is_err());
        assert!(Severity::High > Severity::Medium);
    }
}
