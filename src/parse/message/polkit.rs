//! polkit: who asked for another's rights, and whether they were given.
//!
//! Source: polkit, `polkitbackendinteractiveauthority.c`. Whose secret was wrong is PAM's to tell, so a refusal is none of a login.

use crate::parse::dialect::Mark::{App, Begins};
use crate::parse::prose;
use crate::parse::prose::Means::{Denied, Is};
use crate::record::EventType::{Other, PrivilegeUse};

prose::dialect!(
    DIALECT,
    "polkit",
    "polkitd",
    "polkit",
    "https://www.freedesktop.org/software/polkit/docs/latest/polkitd.8.html",
    [App("polkitd"), App("polkit-agent-helper-1"), Begins("polkitd(authority=")],
    [
        "Nov 20 06:25:01 web1 polkitd[811]: Operator of unix-session:2 FAILED to authenticate to gain authorization for action org.freedesktop.systemd1.manage-units for system-bus-name::1.99 [systemctl restart web] (owned by unix-user:mia)",
        "Nov 20 06:25:02 web1 polkitd[811]: Operator of unix-session:2 successfully authenticated as unix-user:root to gain TEMPORARY authorization for action org.freedesktop.systemd1.manage-units for system-bus-name::1.99 [systemctl restart web] (owned by unix-user:mia)",
        "Nov 20 06:25:03 web1 polkitd(authority=local)[811]: Registered Authentication Agent for unix-session:2 (system bus name :1.98, locale C.UTF-8)",
    ],
    [
        (
            Denied,
            "authorization_refused",
            "Operator of {-polkit.session} FAILED to authenticate to gain {~}authorization for action {-rule.name} for {=polkit.subject} (owned by unix-user:{user})"
        ),
        (
            Is(PrivilegeUse),
            "authorization_gained",
            "Operator of {-polkit.session} successfully authenticated as unix-user:{-user.effective.name} to gain {-polkit.duration} authorization for action {-rule.name} for {=polkit.subject} (owned by unix-user:{user})"
        ),
        (
            Is(PrivilegeUse),
            "authorization_gained",
            "polkitd(authority={_})[{pid}]: Operator of {-polkit.session} successfully authenticated as unix-user:{-user.effective.name} to gain {-polkit.duration} authorization for action {-rule.name} for {=polkit.subject} (owned by unix-user:{user})"
        ),
        (
            Denied,
            "authorization_refused",
            "polkitd(authority={_})[{pid}]: Operator of {-polkit.session} FAILED to authenticate to gain {~}authorization for action {-rule.name} for {=polkit.subject} (owned by unix-user:{user})"
        ),
        (Is(Other), "agent_registered", "Registered Authentication Agent for {*}"),
        (Is(Other), "agent_unregistered", "Unregistered Authentication Agent for {*}"),
        (Is(Other), "agent_registered", "polkitd(authority={_})[{pid}]: Registered Authentication Agent for {*}"),
        (Is(Other), "agent_unregistered", "polkitd(authority={_})[{pid}]: Unregistered Authentication Agent for {*}"),
    ]
);

#[cfg(test)]
mod tests {
    use crate::parse::{self, Context};
    use crate::record::{EventType, Timestamp, Zone};

    #[test]
    fn who_asked() {
        let samples = super::DIALECT.samples;
        for (line, event_type, user) in [
            (samples[0], EventType::AccessDenied, Some("mia")),
            (samples[1], EventType::PrivilegeUse, Some("mia")),
            (samples[2], EventType::Other, None),
        ] {
            let record = parse::parse(line, &Context { now: Timestamp::from_secs(0), zone: &Zone::UTC, own: &[] });
            assert_eq!(
                (record.format.message, record.event_type, record.username.as_deref()),
                ("polkit", event_type, user),
                "{line}"
            );
            assert_eq!((record.app.as_deref(), record.pid), (Some("polkitd"), Some(811)), "{line}");
        }
    }
}
