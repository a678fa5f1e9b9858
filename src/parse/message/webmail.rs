//! Webmail and groupware: Roundcube, SOGo, SquirrelMail, Horde, Group-Office, Open WebMail.
//!
//! Sources: the pages below and the programs' own format strings. A failed login is medium, a login low. A login's name is the visitor's word, so what
//! follows it is looked for from the right.

use crate::parse::dialect::Mark::{App, Holds, Line};
use crate::parse::prose::Means::{Failed, Login, Logout};
use crate::parse::prose::dialect;

dialect!(
    ROUNDCUBE,
    "roundcube",
    "",
    "Roundcube",
    "https://github.com/roundcube/roundcubemail/wiki/Configuration",
    [
        App("roundcube"),
        Line("IMAP Error: Login failed for "),
        Holds("IMAP Error: Login failed for "),
        Line("Failed login for "),
        Holds("Failed login for "),
        Line("Successful login for ")
    ],
    [
        "[20-Nov-2026 06:25:01 -0500]: IMAP Error: Login failed for mia@example.org from 203.0.113.77. AUTHENTICATE PLAIN: Authentication failed. in /srv/rcube_imap.php on line 184 (POST /?_task=login&_action=login)",
        "[20-Nov-2026 06:25:01 +0100]: <1q2w3e4r> Failed login for mia from 203.0.113.77 in session 1q2w3e4r5t6z (error: 0)"
    ],
    [
        (Failed, "login", "[{dmy}]: IMAP Error: Login failed for {user} from {ip}. AUTHENTICATE {=event.reason}"),
        (Failed, "login", "[{dmy}]: IMAP Error: Login failed for {user} from {ip}{*}"),
        (
            Failed,
            "login",
            "[{dmy}]: <{_}> IMAP Error: Login failed for {user} against {=server.address} from {ip}. {=event.reason}"
        ),
        (Failed, "login", "[{dmy}]: <{_}> IMAP Error: Login failed for {user} from {ip}. AUTHENTICATE {=event.reason}"),
        (Failed, "login", "[{dmy}]: <{_}> IMAP Error: Login failed for {user} from {ip}. {=event.reason}"),
        (Failed, "login", "[{dmy}]: <{_}> Failed login for {user} from {ip} in session {_} ({=event.reason})"),
        (Failed, "login", "[{dmy}]: <{_}> Failed login for {user} from {ip}{*} in session {_} ({=event.reason})"),
        (Failed, "login", "[{dmy}]: Failed login for {user} from {ip}{*} in session {_} ({=event.reason})"),
        (Login, "login", "[{dmy}]: <{_}> Successful login for {user} (ID: {#}) from {ip}{*}"),
        (Failed, "login", "IMAP Error: Login failed for {user} against {=server.address} from {ip}. {=event.reason}"),
        (Failed, "login", "IMAP Error: Login failed for {user} from {ip}. AUTHENTICATE {=event.reason}"),
        (Failed, "login", "IMAP Error: Login failed for {user} from {ip}. {=event.reason}"),
        (Failed, "login", "IMAP Error: Login failed for {user} from {ip}"),
        (Failed, "login", "<{_}> IMAP Error: Login failed for {user} from {ip}. AUTHENTICATE {=event.reason}"),
        (Failed, "login", "<{_}> IMAP Error: Login failed for {user} from {ip}{*}"),
        (Failed, "login", "<{_}> Failed login for {user} from {ip}{*} in session {_} ({=event.reason})"),
        (Failed, "login", "Failed login for {user} from {ip}{*} in session {_} ({=event.reason})"),
        (Failed, "login", "Failed login for {user} from {ip}"),
        (Login, "login", "<{_}> Successful login for {user} (ID: {#}) from {ip}{*}"),
        (Login, "login", "Successful login for {user} (ID: {#}) from {ip}{*}"),
    ]
);

dialect!(
    SOGO,
    "sogo",
    "",
    "SOGo",
    "https://www.sogo.nu/support/faq/how-to-block-brute-force-attacks.html",
    [App("sogod"), Holds("SOGoRootPage Login from '"), Holds("SOGoRootPage successful login from '")],
    [
        "<30>Nov 20 06:25:01 mx1 sogod[268]: SOGoRootPage Login from '203.0.113.77' for user 'mia' might not have worked - password policy: 65535  grace: -1  expire: -1  bound: 0"
    ],
    [
        (Failed, "login", "{*}SOGoRootPage Login from '{ip}' for user '{user}' might not have worked{*}"),
        (Failed, "login", "{*}SOGoRootPage Login from '{ip}, {*}' for user '{user}' might not have worked{*}"),
        (Login, "login", "{*}SOGoRootPage successful login from '{ip}' for user '{user}'{*}"),
        (Login, "login", "{*}SOGoRootPage successful login from '{ip}, {*}' for user '{user}'{*}"),
    ]
);

dialect!(
    SQUIRRELMAIL,
    "squirrelmail",
    "",
    "SquirrelMail: Squirrel Logger",
    "https://squirrelmail.org/plugin_view.php?id=52",
    [Line("[LOGIN_ERROR]"), Holds("[LOGIN_ERROR]"), Line("[LOGIN] "), Line("[LOGOUT] ")],
    ["11/20/2026 06:25:01 [LOGIN_ERROR] mia (example.org) from 203.0.113.77: Unknown user or password incorrect."],
    [
        (Failed, "login_error", "{mdy} [LOGIN_ERROR] {user} ({*}) from {ip}: {=event.reason}"),
        (Login, "login", "{mdy} [LOGIN] {user} ({*}) from {ip}{*}"),
        (Logout, "logout", "{mdy} [LOGOUT] {user} ({*}) from {ip}{*}"),
        (Failed, "login_error", "[LOGIN_ERROR] {user} ({*}) from {ip}: {=event.reason}"),
    ]
);

dialect!(
    HORDE,
    "horde",
    "",
    "Horde",
    "https://www.horde.org/apps/horde/docs/INSTALL",
    [App("HORDE"), App("horde"), Holds("FAILED LOGIN for "), Holds("Login success for ")],
    [
        "<34>Nov 20 06:25:01 mx1 HORDE: [imp] FAILED LOGIN for mia@example.org [203.0.113.77] to {localhost:143 [imap]} [pid 123 on line 116 of \"/srv/imp/lib/Auth.php\"]"
    ],
    [
        (Failed, "login", "{*}FAILED LOGIN for {user} [{ip}] to {*}"),
        (Failed, "login", "{*}FAILED LOGIN for {user} [{ip}] (forwarded for [{*}]) to {*}"),
        (Failed, "login", "{*}FAILED LOGIN for {user} ({ip}) to {*}"),
        (Login, "login", "{*}Login success for {user} [{ip}] {*}"),
        (Login, "login", "{*}Login success for {user} ({ip}) {*}"),
    ]
);

dialect!(
    GROUP_OFFICE,
    "group-office",
    "",
    "Group-Office",
    "https://groupoffice.readthedocs.io/en/latest/system-administrator/security.html",
    [Line("]LOGIN FAILED for user: \""), Line("]LOGIN SUCCESS for user: \""), Line("] LOGIN FAILED for user: \"")],
    ["[2026-11-20 06:25:01]LOGIN FAILED for user: \"mia\" from IP: 203.0.113.77"],
    [
        (Failed, "login", "[{time}]LOGIN FAILED for user: \"{user}\" from IP: {ip}"),
        (Failed, "login", "[{time}] LOGIN FAILED for user: \"{user}\" from IP: {ip}"),
        (Login, "login", "[{time}]LOGIN SUCCESS for user: \"{user}\" from IP: {ip}"),
    ]
);

dialect!(
    OPEN_WEBMAIL,
    "openwebmail",
    "",
    "Open WebMail",
    "https://openwebmail.org/",
    [Line(" - login error - "), Holds(" - login error - ")],
    ["Fri Nov 20 06:25:01 2026 - [726] (203.0.113.77) mia - login error - no such user - loginname=mia"],
    [
        (Failed, "login", "{time} - [{pid}] ({ip}) {*} - login error - {=event.reason} - loginname={user}"),
        (Failed, "login", "- [{pid}] ({ip}) {*} - login error - {=event.reason} - loginname={user}"),
        (Login, "login", "{time} - [{pid}] ({ip}) {user} - login - {*}"),
        (Logout, "logout", "{time} - [{pid}] ({ip}) {user} - logout - {*}"),
    ]
);
