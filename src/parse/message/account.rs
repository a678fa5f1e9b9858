//! Changes of accounts and groups: useradd, userdel, usermod, groupadd, groupdel, groupmod, gpasswd, chage, passwd, chfn, chsh of shadow-utils.

use std::borrow::Cow;

use super::super::token::{between, set_user};
use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::App;
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "account",
    product: "shadow-utils and useradd",
    reference: "https://github.com/shadow-maint/shadow",
    marks: &[
        App("useradd"),
        App("userdel"),
        App("usermod"),
        App("groupadd"),
        App("groupdel"),
        App("groupmod"),
        App("chage"),
        App("passwd"),
        App("gpasswd"),
        App("chfn"),
        App("chsh"),
        App("chpasswd"),
        App("chgpasswd"),
        App("newusers"),
        App("adduser"),
        App("deluser"),
    ],
    parse: |text, record, _| parse(text, record),
    samples: &[
        "<86>Nov 20 06:25:01 web1 useradd[811]: new user: name=mia, UID=1001, GID=1001, home=/home/mia, shell=/bin/bash, from=/dev/pts/0",
    ],
};

const FORMAT: &str = "account";

/// How a message starts, and what was done. The object's name follows.
const CHANGES: [(&str, &str); 34] = [
    ("new user: ", "user_added"),
    ("new group: ", "group_added"),
    ("group added to ", "group_added"),
    ("group changed in ", "group_changed"),
    ("group deleted from ", "group_removed"),
    ("delete user ", "user_removed"),
    ("removed user ", "user_removed"),
    ("removed group ", "group_removed"),
    ("removed shadow group ", "group_removed"),
    ("remove group ", "group_removed"),
    ("delete group ", "group_removed"),
    ("change user name ", "user_changed"),
    ("change user ", "user_changed"),
    ("changed user ", "user_changed"),
    ("change admin of ", "group_changed"),
    ("change group ", "group_changed"),
    ("changed group ", "group_changed"),
    ("lock user ", "user_locked"),
    ("unlock user ", "user_unlocked"),
    ("lock password for ", "user_locked"),
    ("unlock password for ", "user_unlocked"),
    ("changed password expiry for ", "password_expiry_changed"),
    ("change age of ", "password_expiry_changed"),
    ("changed ", "password_expiry_changed"),
    ("password for ", "password_changed"),
    ("password changed for ", "password_changed"),
    ("set password for ", "password_changed"),
    ("add ", "member_added"),
    ("delete ", "member_removed"),
    ("user ", "member_changed"),
    ("members of group ", "member_changed"),
    ("group ", "group_changed"),
    ("failed adding user ", "user_add_failed"),
    ("failed adding group ", "group_add_failed"),
];

/// Reads one message of these programs.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((rest, action)) = CHANGES.iter().find_map(|(start, action)| message.strip_prefix(start).map(|rest| (rest, *action)))
    else {
        return false;
    };
    let Some(name) = object(rest) else { return false };
    is(record, FORMAT, EventType::AccountChange, Severity::Medium);
    record.action = Some(Cow::Borrowed(action));
    let is_group = action.starts_with("group_") || message.starts_with("members of group ");
    if is_group {
        record.set("group.name", name);
    } else {
        set_user(record, name);
        group(rest, record);
    }
    true
}

/// `name=mike, UID=…`, `'mike' …`, `mike …`
fn object(text: &str) -> Option<&str> {
    let named = match text.strip_prefix("name=").or_else(|| scan::cut(text, ": name=").map(|(_, rest)| rest)) {
        Some(named) => named.split([',', ')']).next(),
        None if text.starts_with('\'') => between(text, "'", "'"),
        None => match between(text, "(group ", "/") {
            Some(group) => Some(group),
            None => text.split([' ', ',', ';', '(']).next().map(|name| name.trim_matches('\'')),
        },
    };
    named.filter(|name| !name.is_empty())
}

/// The group that a user was added to or taken from.
fn group<'a>(text: &'a str, record: &mut LogRecord<'a>) {
    let after = [" to group ", " to shadow group ", " from group ", " from shadow group "];
    if let Some((_, group)) = after.into_iter().find_map(|between| text.split_once(between)) {
        record.set("group.name", group.trim_matches('\''));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;
    use crate::record::EventType::*;

    #[test]
    fn users_and_groups() {
        for (message, user, group, action) in [
            ("new user: name=mia, UID=1001, GID=1003, home=/home/mia, shell=/bin/bash, from=/dev/pts/0", "mia", "", "user_added"),
            ("new group: name=staff, GID=1003", "", "staff", "group_added"),
            ("group added to /etc/group: name=staff, GID=1003", "", "staff", "group_added"),
            ("delete user 'mia'", "mia", "", "user_removed"),
            ("removed group 'staff' owned by 'mia'", "", "staff", "group_removed"),
            ("group 'staff' removed from /etc/gshadow", "", "staff", "group_changed"),
            ("group changed in /etc/group (group staff/1003, new name: crew)", "", "staff", "group_changed"),
            ("change user 'mia' shell from '/bin/sh' to '/bin/bash'", "mia", "", "user_changed"),
            ("change user name 'mia' to 'eva'", "mia", "", "user_changed"),
            ("changed user 'mia' information", "mia", "", "user_changed"),
            ("lock user 'mia' password", "mia", "", "user_locked"),
            ("add 'mia' to shadow group 'sudo'", "mia", "sudo", "member_added"),
            ("delete 'mia' from group 'sudo'", "mia", "sudo", "member_removed"),
            ("user mia added by root to group sudo", "mia", "sudo", "member_changed"),
            ("members of group sudo set by root to mia,eva", "", "sudo", "member_changed"),
            ("changed password expiry for mia", "mia", "", "password_expiry_changed"),
            ("password for 'mia' changed by 'root'", "mia", "", "password_changed"),
            ("failed adding user 'mia', exit code: 9", "mia", "", "user_add_failed"),
        ] {
            check("useradd", "account", &[(message, AccountChange, user, "", None, 1)]);
            let mut record = LogRecord::text("");
            assert!(parse(message, &mut record));
            assert_eq!(record.action.as_deref(), Some(action), "{message}");
            assert_eq!(record.field("group.name"), (!group.is_empty()).then(|| group.into()).as_ref(), "{message}");
        }
    }
}
