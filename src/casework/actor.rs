//! Who acts, and what they may do.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What a user may do. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks on.
    Viewer,
    /// Works on incidents.
    Analyst,
    /// Manages people, keys, backups and what is kept for how long.
    Admin,
}

impl Role {
    /// Every role, from the one that may least.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Analyst, Role::Admin];

    /// As the database and the API have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Analyst => "analyst",
            Role::Admin => "admin",
        }
    }

    /// The table of who may do what: the role that it takes at least.
    pub fn may(self, permission: Permission) -> bool {
        let least = match permission {
            Permission::ReadLogs | Permission::ReadIncidents | Permission::ReadReports => Role::Viewer,
            Permission::WriteLogs
            | Permission::WorkIncidents
            | Permission::ManageAssets
            | Permission::ReadParties
            | Permission::Export => Role::Analyst,
            Permission::ManageUsers | Permission::ReadAudit | Permission::PurgeIncidents | Permission::Maintain => Role::Admin,
        };
        self >= least
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no role: viewer, analyst or admin"))
    }
}

/// Something that not everybody may do. [`Role::may`] says who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Search log records.
    ReadLogs,
    /// See incidents, with their notes, tasks, evidence and timeline.
    ReadIncidents,
    /// See reports and figures.
    ReadReports,
    /// Add log records by hand, annotate and archive them.
    WriteLogs,
    /// Open incidents and work on them.
    WorkIncidents,
    /// Say what there is to protect, and how much depends on it.
    ManageAssets,
    /// See who is a victim, a suspect, a witness.
    ReadParties,
    /// Take data out in bulk.
    Export,
    /// Make users and tokens of others, and end them.
    ManageUsers,
    /// Read and check the audit log.
    ReadAudit,
    /// Remove an incident for good.
    PurgeIncidents,
    /// Keys, backups, retention.
    Maintain,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Permission; 12] = [
        Permission::ReadLogs,
        Permission::ReadIncidents,
        Permission::ReadReports,
        Permission::WriteLogs,
        Permission::WorkIncidents,
        Permission::ManageAssets,
        Permission::ReadParties,
        Permission::Export,
        Permission::ManageUsers,
        Permission::ReadAudit,
        Permission::PurgeIncidents,
        Permission::Maintain,
    ];
}

/// For people: what they are told they may not do.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Permission::ReadLogs => "read logs",
            Permission::ReadIncidents => "read incidents",
            Permission::ReadReports => "read reports",
            Permission::WriteLogs => "add to the logs",
            Permission::WorkIncidents => "work on incidents",
            Permission::ManageAssets => "change the list of assets",
            Permission::ReadParties => "see the people behind an incident",
            Permission::Export => "export data",
            Permission::ManageUsers => "manage users and tokens",
            Permission::ReadAudit => "read the audit log",
            Permission::PurgeIncidents => "remove incidents for good",
            Permission::Maintain => "maintain keys, backups and retention",
        })
    }
}

/// Through which door somebody came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The command line, on a machine that can reach the database.
    Cli,
    /// The HTTP API.
    Api,
    /// The daemon itself.
    Daemon,
}

impl Via {
    /// As the audit log has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Cli => "cli",
            Via::Api => "api",
            Via::Daemon => "daemon",
        }
    }
}

/// Somebody who does something. Whoever has one was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name of a user, or `os:<name>` for somebody at the machine itself.
    pub name: String,
    /// What they may do now.
    pub role: Role,
    /// How they came.
    pub via: Via,
    /// From where, over the network.
    pub address: Option<IpAddr>,
    /// `users.id`; `None` for somebody at the machine itself.
    pub user_id: Option<i64>,
    /// Their password was made by somebody else: until they have changed it they may do nothing.
    pub must_change_password: bool,
}

impl Actor {
    /// Somebody at the machine who has the database's credentials, and so could do everything without us: an admin, under the name that
    /// the operating system knows.
    pub fn operator(os_name: &str) -> Actor {
        Actor {
            name: format!("os:{os_name}"),
            role: Role::Admin,
            via: Via::Cli,
            address: None,
            user_id: None,
            must_change_password: false,
        }
    }

    /// The daemon, which makes the first account.
    pub fn daemon() -> Actor {
        Actor {
            name: "tocsin".to_owned(),
            role: Role::Admin,
            via: Via::Daemon,
            address: None,
            user_id: None,
            must_change_password: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_those_before_it_may_and_something_more() {
        let may = |role: Role| Permission::ALL.into_iter().filter(|p| role.may(*p)).collect::<Vec<_>>();
        use Permission::{ReadIncidents, ReadLogs, ReadReports};
        assert_eq!(may(Role::Viewer), [ReadLogs, ReadIncidents, ReadReports]);
        assert_eq!(may(Role::Admin), Permission::ALL);
        for pair in Role::ALL.windows(2) {
            let (less, more) = (may(pair[0]), may(pair[1]));
            assert!(less.iter().all(|p| more.contains(p)) && less.len() < more.len());
        }
        assert!(Role::ALL.into_iter().all(|role| role.as_str().parse() == Ok(role)));
    }
}
