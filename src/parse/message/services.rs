//! Services whose lines about logins are single sentences: Gitea, GitLab, Jellyfin, Froxlor, Tine, OpenLDAP's slapd, WU-FTPD, macOS,
//! Synology DSM, ejabberd, stunnel, NRPE, phpMyAdmin, Drupal, openHAB, OpenSMTPD, OpenSCAP.
//!
//! Sources: the pages below and the programs' own format strings. Failed logins and refusals are medium, the rest low.

use crate::parse::dialect::Mark::{App, Begins, Holds, Line};
use crate::parse::prose::Means::{Denied, Failed, Is, Login, Logout, Minds};
use crate::parse::prose::dialect;
use crate::record::EventType::{ConnectionAllowed, HttpRequest, Other};

dialect!(
    GITEA,
    "gitea",
    "",
    "Gitea and Forgejo",
    "https://docs.gitea.com/administration/fail2ban-setup",
    [
        Line("Failed authentication attempt for "),
        Holds("Failed authentication attempt for "),
        Line("Failed authentication attempt from "),
        Holds("Failed authentication attempt from "),
        Line("invalid credentials from ")
    ],
    [
        "2026/11/20 06:25:01 routers/web/auth/auth.go:228:SignInPost() [I] Failed authentication attempt for mia from 203.0.113.77:51522: user's password is invalid [uid: 1, name: mia]"
    ],
    [
        (Failed, "login", "{time} {*}Failed authentication attempt for {user} from {peer}: {=event.reason}"),
        (Failed, "login", "{time} {*}Failed authentication attempt for {user} from {peer}"),
        (Failed, "login", "{time} {*}Failed authentication attempt from {peer}{*}"),
        (Failed, "login", "{time} {*}invalid credentials from {peer}{*}"),
        (Failed, "login", "{*}Failed authentication attempt for {user} from {peer}: {=event.reason}"),
        (Failed, "login", "{*}Failed authentication attempt for {user} from {peer}"),
        (Failed, "login", "{*}Failed authentication attempt from {peer}{*}"),
    ]
);

dialect!(
    GITLAB,
    "gitlab",
    "",
    "GitLab: application log",
    "https://docs.gitlab.com/administration/logs/#application_jsonlog",
    [Line(": Failed Login: username="), Holds("Failed Login: username="), Line(": User Login: username=")],
    ["2026-11-20T06:25:01.344Z: Failed Login: username=mia ip=203.0.113.77"],
    [
        (Failed, "login", "{time}: Failed Login: username={user} ip={ip}"),
        (Failed, "login", "Failed Login: username={user} ip={ip}"),
        (Failed, "login", "{*} Failed Login: username={user} ip={ip}"),
        (Login, "login", "{time}: User Login: username={user} ip={ip}"),
    ]
);

dialect!(
    JELLYFIN,
    "jellyfin",
    "",
    "Jellyfin and Emby",
    "https://jellyfin.org/docs/general/post-install/networking/advanced/fail2ban/",
    [
        Line("] [ERR] ["),
        Line("] [INF] ["),
        Line("] [WRN] ["),
        Line("Authentication request for "),
        Holds("Authentication request for ")
    ],
    [
        "[2026-11-20 06:25:01.123 +01:00] [ERR] [35] Jellyfin.Server.Implementations.Users.UserManager: Authentication request for \"mia\" has been denied (IP: \"203.0.113.77\")."
    ],
    [
        (
            Failed,
            "login",
            "[{time}] [{-log.level}] [{#}] {_}: Authentication request for \"{user}\" has been denied (IP: \"{peer}\")."
        ),
        (Failed, "login", "[{time}] [{-log.level}] [{#}] {_}: Authentication request for {user} has been denied (IP: {peer})."),
        (Login, "login", "[{time}] [{-log.level}] [{#}] {_}: Authentication request for \"{user}\" has succeeded."),
        (Login, "login", "[{time}] [{-log.level}] [{#}] {_}: Authentication request for {user} has succeeded."),
        (Failed, "login", "{*}Authentication request for \"{user}\" has been denied (IP: \"{peer}\")."),
        (Failed, "login", "{*}Authentication request for {user} has been denied (IP: {peer})."),
        (Login, "login", "{*}Authentication request for \"{user}\" has succeeded."),
    ]
);

dialect!(
    FROXLOR,
    "froxlor",
    "",
    "Froxlor",
    "https://docs.froxlor.org/latest/general/configuration/logging.html",
    [App("Froxlor"), App("froxlor"), Holds("[Login Action ")],
    ["<28>Nov 20 06:25:01 web1 Froxlor: [Login Action 203.0.113.77] User 'mia' tried to login with wrong password."],
    [
        (Failed, "login", "[Login Action {ip}] User '{user}' tried to login with wrong password."),
        (Failed, "login", "[Login Action {ip}] Unknown user '{user}' tried to login."),
        (Failed, "login", "{*}[Login Action {ip}] User '{user}' tried to login with wrong password."),
        (Failed, "login", "{*}[Login Action {ip}] Unknown user '{user}' tried to login."),
        (Login, "login", "[Login Action {ip}] User '{user}' successfully logged in{*}"),
    ]
);

dialect!(
    TINE,
    "tine",
    "",
    "Tine groupware",
    "https://github.com/tine-groupware/tine/wiki",
    [Line("Login with username "), Holds("Login with username ")],
    [
        "8e035 ffff3 -- none -- - 2026-11-20T06:25:01+00:00 WARN (4): Tinebase_Controller::login::106 Login with username mia from 203.0.113.77 failed (-3)!"
    ],
    [
        (
            Failed,
            "login",
            "{_} {_} -- {*} -- - {time} {_} ({#}): {_} Login with username {user} from {ip} failed ({=event.reason})!"
        ),
        (Failed, "login", "{_} {_} {*} - {time} {_} ({#}): {_} Login with username {user} from {ip} failed ({=event.reason})!"),
        (Login, "login", "{_} {_} -- {*} -- - {time} {_} ({#}): {_} Login with username {user} from {ip} succeeded."),
        (Failed, "login", "{*}Login with username {user} from {ip} failed ({=event.reason})!"),
    ]
);

dialect!(
    SLAPD,
    "slapd",
    "",
    "OpenLDAP: slapd",
    "https://www.openldap.org/doc/admin26/runningslapd.html",
    [App("slapd")],
    [
        "<167>Nov 20 06:25:01 ldap1 slapd[811]: conn=1068 fd=19 ACCEPT from IP=203.0.113.77:59800 (IP=192.0.2.10:636)",
        "<167>Nov 20 06:25:01 ldap1 slapd[811]: conn=1068 op=0 RESULT tag=97 err=49 text="
    ],
    [
        (Is(ConnectionAllowed), "accept", "conn={-slapd.conn} fd={#} ACCEPT from IP={peer} (IP={dstpeer})"),
        (Is(ConnectionAllowed), "accept", "conn={-slapd.conn} fd={#} ACCEPT from IP={peer} {*}"),
        (Failed, "bind", "conn={-slapd.conn} op={-slapd.op} RESULT tag=97 err=49{*}"),
        (Failed, "bind", "conn={-slapd.conn} op={-slapd.op} RESULT oid= err=49{*}"),
        (Denied, "result", "conn={-slapd.conn} op={-slapd.op} RESULT tag={#} err=50{*}"),
        (Denied, "search", "conn={-slapd.conn} op={-slapd.op} SEARCH RESULT tag={#} err=50{*}"),
        (Is(Other), "bind", "conn={-slapd.conn} op={-slapd.op} BIND dn=\"{=user.name.dn}\" method={#}{*}"),
        (Is(Other), "bind", "conn={-slapd.conn} op={-slapd.op} BIND dn=\"{=user.name.dn}\" mech={*}"),
        (Is(Other), "unbind", "conn={-slapd.conn} op={-slapd.op} UNBIND"),
        (Is(Other), "search", "conn={-slapd.conn} op={-slapd.op} SRCH {*}"),
        (Is(Other), "result", "conn={-slapd.conn} op={-slapd.op} RESULT tag={#} err={-error.code}{*}"),
        (Is(Other), "search", "conn={-slapd.conn} op={-slapd.op} SEARCH RESULT tag={#} err={-error.code} {*}"),
        (Is(Other), "closed", "conn={-slapd.conn} fd={#} closed{*}"),
    ]
);

dialect!(
    WU_FTPD,
    "wu-ftpd",
    "",
    "WU-FTPD",
    "https://en.wikipedia.org/wiki/WU-FTPD",
    [App("wu-ftpd"), App("ftpd"), App("in.ftpd")],
    ["<38>Nov 20 06:25:01 web1 wu-ftpd[876]: failed login from pc1.example [203.0.113.77]"],
    [
        (Failed, "ftp_login", "failed login from {=source.domain} [{ip}]"),
        (Failed, "ftp_login", "failed login from {=source.domain} [{ip}], {user}"),
        (Failed, "ftp_login", "FTP LOGIN FAILED FROM {from}, {user}"),
        (Failed, "ftp_login", "FTP LOGIN REFUSED ({=event.reason}) FROM {=source.domain} [{ip}], {user}"),
        (Failed, "ftp_login", "refused connect from {ip}"),
        (Login, "ftp_login", "FTP LOGIN FROM {=source.domain} [{ip}], {user}"),
        (Login, "ftp_login", "FTP LOGIN FROM {from} as {user}"),
        (Login, "ftp_login", "ANONYMOUS FTP LOGIN FROM {=source.domain} [{ip}], {user}"),
        (Is(Other), "connection", "connection from {=source.domain} [{ip}]{*}"),
    ]
);

dialect!(
    LOGINWINDOW,
    "loginwindow",
    "",
    "macOS: login window",
    "https://support.apple.com/guide/security/sec35dd877d0/web",
    [App("loginwindow"), App("securityd"), App("sessionlogoutd")],
    [
        "<38>Nov 20 06:25:01 mac1 loginwindow[156]: [com.apple.loginwindow.logging:Standard] -[SessionAgentNotificationCenter sendBSDNotification:forUserID:] | sendBSDNotification: com.apple.sessionagent.screenIsUnlocked, with userID:501"
    ],
    [
        (Login, "screen_unlocked", "{*}com.apple.sessionagent.screenIsUnlocked, with userID:{-user.id}"),
        (Logout, "screen_locked", "{*}com.apple.sessionagent.screenIsLocked, with userID:{-user.id}"),
        (Login, "login", "{*}loginComplete, with userID:{-user.id}"),
        (Logout, "session_destroyed", "{*}Session {-session.id} destroyed"),
        (Is(Other), "session_created", "{*}Session {-session.id} created"),
    ]
);

dialect!(
    SYNOLOGY,
    "synology-dsm",
    "",
    "Synology DSM: connection log",
    "https://kb.synology.com/en-global/DSM/help/LogCenter/logcenter_desc",
    [Holds("User [")],
    [
        "<14>Nov 20 06:25:01 nas1 Connection: User [mia] from [203.0.113.77] failed to log in via [DSM] due to authorization failure."
    ],
    [
        (Failed, "login", "User [{user}] from [{ip}] failed to {_} in via [{=network.application}] due to {=event.reason}."),
        (Failed, "login", "{*}User [{user}] from [{ip}] failed to log in via [{=network.application}] due to {=event.reason}."),
        (
            Failed,
            "login",
            "{*}User [{user}] from [{=source.domain}({ip})] failed to log in via [{=network.application}] due to {=event.reason}."
        ),
        (Login, "login", "{*}User [{user}] from [{ip}] logged in successfully via [{=network.application}]."),
        (Login, "login", "{*}User [{user}] from [{=source.domain}({ip})] logged in successfully via [{=network.application}]."),
        (Logout, "logout", "{*}User [{user}] from [{ip}] logged out the server via [{=network.application}]{*}"),
        (
            Logout,
            "logout",
            "{*}User [{user}] from [{=source.domain}({ip})] logged out the server via [{=network.application}]{*}"
        ),
    ]
);

dialect!(
    EJABBERD,
    "ejabberd",
    "",
    "ejabberd",
    "https://docs.ejabberd.im/admin/configuration/toplevel/#log_rotate_size",
    [Line(" authentication for "), Holds(") Failed "), Holds(") Accepted ")],
    [
        "2026-11-20 06:25:01.512 [info] <0.370.0>@ejabberd_c2s:process_auth_result:272 (tls|<0.370.0>) Failed c2s PLAIN authentication for mia@example.org from 203.0.113.77: Invalid username or password"
    ],
    [
        (
            Failed,
            "login",
            "{time} [{_}] {*}) Failed c2s {-network.auth_method} authentication for {user} from {ip}: {=event.reason}"
        ),
        (Login, "login", "{time} [{_}] {*}) Accepted c2s {-network.auth_method} authentication for {user} by {*} from {ip}"),
        (Failed, "login", "{time} [{_}] {*}) Failed authentication for {user} from IP {ip} ({*}"),
        (Failed, "login", "{time} [{_}] {*}) Failed authentication for {user} from {ip}{*}"),
        (Failed, "login", "[{_}] {*}) Failed c2s {-network.auth_method} authentication for {user} from {ip}: {=event.reason}"),
        (Login, "login", "[{_}] {*}) Accepted c2s {-network.auth_method} authentication for {user} by {*} from {ip}"),
    ]
);

dialect!(
    STUNNEL,
    "stunnel",
    "",
    "stunnel",
    "https://www.stunnel.org/static/stunnel.html",
    [App("stunnel"), App("stunnel4"), Line("]: SSL_accept from "), Line("]: Service [")],
    ["<30>Nov 20 06:25:01 web1 stunnel: LOG5[7]: Service [imaps] accepted connection from 203.0.113.77:51522"],
    [
        (Denied, "handshake", "{time} LOG{_}: SSL_accept from {peer} : {=event.reason}"),
        (Denied, "handshake", "{ymd} LOG{_}: SSL_accept from {peer} : {=event.reason}"),
        (Denied, "handshake", "LOG{_}: SSL_accept from {peer} : {=event.reason}"),
        (Is(ConnectionAllowed), "accept", "{time} LOG{_}: Service [{=service.name}] accepted connection from {peer}"),
        (Is(ConnectionAllowed), "accept", "LOG{_}: Service [{=service.name}] accepted connection from {peer}"),
        (Is(ConnectionAllowed), "connect", "LOG{_}: Service [{=service.name}] connected remote server from {dstpeer}"),
        (Denied, "refused", "LOG{_}: Service [{=service.name}] from {peer} REFUSED by {=rule.name}"),
    ]
);

dialect!(
    NRPE,
    "nrpe",
    "",
    "Nagios NRPE",
    "https://github.com/NagiosEnterprises/nrpe/blob/master/README.md",
    [App("nrpe")],
    ["<28>Nov 20 06:25:01 web1 nrpe[811]: Host 203.0.113.77 is not allowed to talk to us!"],
    [
        (Denied, "connection", "Host {ip} is not allowed to talk to us!"),
        (Denied, "connection", "Error: Could not complete SSL handshake with {ip}: {=event.reason}"),
        (Is(ConnectionAllowed), "connection", "Connection from {ip} port {port}"),
    ]
);

dialect!(
    PHPMYADMIN,
    "phpmyadmin",
    "",
    "phpMyAdmin",
    "https://docs.phpmyadmin.net/en/latest/config.html#cfg_AuthLog",
    [App("phpMyAdmin"), App("phpmyadmin")],
    ["<36>Nov 20 06:25:01 web1 phpMyAdmin[811]: user denied: root (mysql-denied) from 203.0.113.77"],
    [
        (Failed, "login", "user denied: {user} ({-event.reason}) from {ip}"),
        (Login, "login", "user logged in: {user} from {ip}"),
        (Login, "login", "user ok: {user} from {ip}"),
    ]
);

dialect!(
    DRUPAL,
    "drupal",
    "",
    "Drupal: syslog module",
    "https://www.drupal.org/docs/8/core/modules/syslog/overview",
    [App("drupal"), App("drupal-site"), Holds("|user|"), Holds("|access denied|"), Holds("|page not found|")],
    [
        "<37>Nov 20 06:25:01 web1 drupal: https://www.example.org|1795155901|user|203.0.113.77|https://www.example.org/user/login|https://www.example.org/|0||Login attempt failed for mia."
    ],
    [
        (
            Failed,
            "login",
            "{-url.full}|{#}|user|{ip}|{=url.original}|{=http.request.referrer}|{#}|{*}|Login attempt failed for {user}."
        ),
        (
            Failed,
            "login",
            "{-url.full}|{#}|user|{ip}|{=url.original}|{=http.request.referrer}|{#}|{*}|Login attempt failed from {*}"
        ),
        (Login, "login", "{-url.full}|{#}|user|{ip}|{=url.original}|{=http.request.referrer}|{#}|{*}|Session opened for {user}."),
        (
            Logout,
            "logout",
            "{-url.full}|{#}|user|{ip}|{=url.original}|{=http.request.referrer}|{#}|{*}|Session closed for {user}."
        ),
        (Denied, "access", "{-url.full}|{#}|access denied|{ip}|{=url.original}|{=http.request.referrer}|{#}|{*}|{*}"),
        (Is(Other), "", "{-url.full}|{#}|{=event.category}|{ip}|{=url.original}|{=http.request.referrer}|{#}|{*}|{*}"),
    ]
);

dialect!(
    OPENHAB,
    "openhab",
    "",
    "openHAB: request log",
    "https://www.openhab.org/docs/administration/logging.html",
    [Line(" -  -  [")],
    ["203.0.113.77 -  -  [20/Nov/2026:06:25:01 +0200] \"GET /openhab.app HTTP/1.1\" 401 1382"],
    [
        (
            Failed,
            "request",
            "{ip} -  {user'} [{dmy}] \"{-http.request.method} {-url.original} HTTP/{-http.version}\" 401 {-http.response.body.bytes}"
        ),
        (
            Is(HttpRequest),
            "",
            "{ip} -  {user'} [{dmy}] \"{-http.request.method} {-url.original} HTTP/{-http.version}\" {-http.response.status_code} {-http.response.body.bytes}"
        ),
    ]
);

dialect!(
    OPENSMTPD,
    "opensmtpd",
    "",
    "OpenSMTPD",
    "https://man.openbsd.org/smtpd.8",
    [
        App("opensmtpd"),
        Holds(" smtp authentication user="),
        Holds(" smtp connected address="),
        Holds(" smtp event="),
        Holds(" smtp failed-command "),
        Holds(" smtp disconnected "),
        Begins("smtp-in: ")
    ],
    [
        "<22>Nov 20 06:25:01 mx1 smtpd[811]: 4eb1d1b6e0b1a5a7 smtp authentication user=mia address=203.0.113.77 host=pc1.example result=permfail",
        "<22>Nov 20 06:25:01 mx1 smtpd[811]: 4eb1d1b6e0b1a5a7 smtp connected address=203.0.113.77 host=pc1.example"
    ],
    [
        (Failed, "login", "{-session.id} smtp authentication user={user} address={ip} host={-source.domain} result=permfail"),
        (Login, "login", "{-session.id} smtp authentication user={user} address={ip} host={-source.domain} result=ok"),
        (Is(Other), "connected", "{-session.id} smtp connected address={ip} host={-source.domain}"),
        (Is(Other), "event", "{-session.id} smtp event={-event.action.name} address={ip} host={-source.domain}{*}"),
        (Denied, "failed-command", "{-session.id} smtp failed-command command=\"{=smtp.command}\" result=\"{=event.reason}\""),
        (Is(Other), "disconnected", "{-session.id} smtp disconnected reason={-event.reason}"),
        (Is(Other), "connection", "smtp-in: New session {-session.id} from host {-source.domain} [{ip}]"),
        (Failed, "login", "smtp-in: Authentication failed for user {user} on session {-session.id}"),
        (Login, "login", "smtp-in: Accepted authentication for user {user} on session {-session.id}"),
        (Denied, "rejected", "smtp-in: Failed command on session {-session.id}: \"{=smtp.command}\" => {=event.reason}"),
        (Is(Other), "disconnect", "smtp-in: Received disconnect from session {-session.id}"),
        (Minds(Other), "disconnect", "smtp-in: Disconnecting session {-session.id}: {=event.reason}"),
        (Is(Other), "closed", "smtp-in: Closing session {-session.id}"),
    ]
);

dialect!(
    OPENSCAP,
    "openscap",
    "",
    "OpenSCAP as Wazuh runs it",
    "https://documentation.wazuh.com/3.13/user-manual/capabilities/policy-monitoring/openscap/",
    [App("oscap"), Line("oscap: msg: \""), Line("oscap: ERROR: ")],
    [
        "oscap: msg: \"xccdf-result\", scan-id: \"0011\", content: \"ssg.xml\", title: \"Ensure /tmp Located On Separate Partition\", id: \"xccdf_tmp\", result: \"fail\", severity: \"medium\", description: \"-\""
    ],
    [
        (
            Is(Other),
            "fail",
            "oscap: msg: \"xccdf-result\", scan-id: \"{=oscap.scan.id}\", content: \"{=oscap.content}\", title: \"{=rule.name}\", id: \"{=rule.id}\", result: \"{=event.outcome.text}\", severity: \"{=log.level}\", {*}"
        ),
        (
            Is(Other),
            "overview",
            "oscap: msg: \"{-event.kind.text}\", scan-id: \"{=oscap.scan.id}\", content: \"{=oscap.content}\", {*}score: \"{=event.risk_score}\"."
        ),
        (Minds(Other), "error", "oscap: ERROR: {=error.message}"),
        (
            Is(Other),
            "fail",
            "msg: \"xccdf-result\", scan-id: \"{=oscap.scan.id}\", content: \"{=oscap.content}\", title: \"{=rule.name}\", id: \"{=rule.id}\", result: \"{=event.outcome.text}\", severity: \"{=log.level}\", {*}"
        ),
        (
            Is(Other),
            "overview",
            "msg: \"{-event.kind.text}\", scan-id: \"{=oscap.scan.id}\", content: \"{=oscap.content}\", {*}score: \"{=event.risk_score}\"."
        ),
        (Minds(Other), "error", "ERROR: {=error.message}"),
    ]
);
