//! Services whose lines about logins are single sentences: Gitea, GitLab, Jellyfin, Froxlor, Tine, OpenLDAP's slapd, WU-FTPD, macOS Screen Sharing, Duo, doas,
//! Synology DSM, scanlogd, portsentry, ejabberd, stunnel, NRPE, phpMyAdmin, Drupal, Wazuh's API and active response, CrowdSec, Cowrie, openHAB.
//!
//! Sources: the pages below and the programs' own format strings. Failed logins and refusals are medium, the rest low.

use crate::parse::dialect::Mark::{App, Holds, Line};
use crate::parse::prose::Means::{Denied, Failed, Is, Login, Logout, Minds};
use crate::parse::prose::dialect;
use crate::record::EventType::{ConnectionAllowed, ConnectionBlocked, HttpRequest, IdsAlert, Other, PrivilegeUse};

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
    SCREEN_SHARING,
    "screensharingd",
    "",
    "macOS: Screen Sharing",
    "https://support.apple.com/guide/mac-help/mh11848/mac",
    [App("screensharingd")],
    [
        "<38>Nov 20 06:25:01 mac1 screensharingd[117]: Authentication: FAILED :: User Name: mia :: Viewer Address: 203.0.113.77 :: Type: DH"
    ],
    [
        (
            Failed,
            "login",
            "Authentication: FAILED :: User Name: {user} :: {*}:: Viewer Address: {ip} :: Type: {=network.auth_method}"
        ),
        (Failed, "login", "Authentication: FAILED :: User Name: {user} :: Viewer Address: {ip} :: Type: {=network.auth_method}"),
        (
            Login,
            "login",
            "Authentication: SUCCEEDED :: User Name: {user} :: {*}:: Viewer Address: {ip} :: Type: {=network.auth_method}"
        ),
        (
            Login,
            "login",
            "Authentication: SUCCEEDED :: User Name: {user} :: Viewer Address: {ip} :: Type: {=network.auth_method}"
        ),
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
    DUO,
    "duo-unix",
    "",
    "Duo Unix",
    "https://duo.com/docs/duounix",
    [App("pam_duo"), App("login_duo"), Holds(" Duo login for '")],
    ["<37>Nov 20 06:25:01 web1 login_duo[811]: Successful Duo login for 'mia' from 203.0.113.77"],
    [
        (Login, "duo_login", "{*}Successful Duo login for '{user}' from {from}"),
        (Login, "duo_login", "{*}Skipped Duo login for '{user}' from {from}: {=event.reason}"),
        (Login, "duo_login", "{*}Failsafe Duo login for '{user}' from {from}: {=event.reason}"),
        (Failed, "duo_login", "{*}Failed Duo login for '{user}' from {from}: {=event.reason}"),
        (Failed, "duo_login", "{*}Failed Duo login for '{user}' from {from}"),
        (Failed, "duo_login", "{*}Aborted Duo login for '{user}' from {from}: {=event.reason}"),
        (Failed, "duo_login", "{*}Aborted Duo login for '{user}' from {from}"),
        (Failed, "duo_login", "{*}Denied Duo login for '{user}' from {from}{*}"),
        (Failed, "duo_login", "{*}Error in Duo login for '{user}' from {from}: {=event.reason}"),
        (Failed, "duo_login", "{*}Error in Duo login for '{user}': {=event.reason}"),
    ]
);

dialect!(
    DOAS,
    "doas",
    "",
    "OpenBSD doas",
    "https://man.openbsd.org/doas",
    [App("doas")],
    ["<38>Nov 20 06:25:01 bsd1 doas: mia ran command /bin/ksh as root from /home/mia"],
    [
        (
            Is(PrivilegeUse),
            "run",
            "{user'} ran command {=process.command_line} as {-user.effective.name} from {=process.working_directory}"
        ),
        (Is(PrivilegeUse), "run", "{user'} ran command as {-user.effective.name}: {=process.command_line}"),
        (Denied, "command_not_permitted", "command not permitted for {user'}: {=process.command_line}"),
        (Denied, "command_not_permitted", "failed command for {user'}: {=process.command_line}"),
        (Failed, "auth", "failed auth for {user}"),
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
    SCANLOGD,
    "scanlogd",
    "",
    "scanlogd and portsentry",
    "https://www.openwall.com/scanlogd/",
    [App("scanlogd"), App("portsentry"), Line(" Port: ")],
    [
        "<177>Nov 20 06:25:01 web1 scanlogd: 203.0.113.77 to 192.0.2.10 ports 80, 81, 83, 88, ..., f????uxy, TOS 00, TTL 49 @06:25:01",
        "1795155901 - 11/20/2026 06:25:01 Host: 203.0.113.77/203.0.113.77 Port: 1 TCP Blocked"
    ],
    [
        (Minds(IdsAlert), "port_scan", "{ip}:{port} to {dst} ports {=scanlogd.ports}, TOS {*}"),
        (Minds(IdsAlert), "port_scan", "{ip} to {dst} ports {=scanlogd.ports}, TOS {*}"),
        (Minds(IdsAlert), "port_scan", "{ip} to {dst} ports {=scanlogd.ports}"),
        (Minds(ConnectionBlocked), "blocked", "{#} - {mdy} Host: {from}/{ip} Port: {dport} {-network.transport} Blocked"),
        (Minds(IdsAlert), "port_scan", "attackalert: Connect from host: {from}/{ip} to {-network.transport} port: {dport}"),
        (
            Minds(IdsAlert),
            "port_scan",
            "attackalert: {=event.reason} from host: {from}/{ip} to {-network.transport} port: {dport}{*}"
        ),
        (Minds(ConnectionBlocked), "blocked", "attackalert: Host {ip} has been blocked{*}"),
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
    WAZUH_API,
    "wazuh-api",
    "",
    "Wazuh API",
    "https://documentation.wazuh.com/current/user-manual/api/configuration.html",
    [Line("with parameters {"), Holds("with parameters {")],
    [
        "2026/11/20 06:25:01 INFO: mia 203.0.113.77 \"POST /security/user/authenticate\" with parameters {} and body {} done in 0.354s: 400"
    ],
    [
        (
            Login,
            "authenticate",
            "{time} {-log.level}: {user'} {ip} \"POST /security/user/authenticate{*}\" with parameters {*} done in {_}s: 200"
        ),
        (
            Failed,
            "authenticate",
            "{time} {-log.level}: {user'} {ip} \"POST /security/user/authenticate{*}\" with parameters {*} done in {_}s: {-http.response.status_code}"
        ),
        (
            Denied,
            "request",
            "{time} {-log.level}: {user'} {ip} \"{-http.request.method} {-url.original}\" with parameters {*} done in {_}s: 401"
        ),
        (
            Denied,
            "request",
            "{time} {-log.level}: {user'} {ip} \"{-http.request.method} {-url.original}\" with parameters {*} done in {_}s: 403"
        ),
        (
            Is(HttpRequest),
            "request",
            "{time} {-log.level}: {user'} {ip} \"{-http.request.method} {-url.original}\" with parameters {*} done in {_}s: {-http.response.status_code}"
        ),
        (
            Is(HttpRequest),
            "request",
            "INFO: {user'} {ip} \"{-http.request.method} {-url.original}\" with parameters {*} done in {_}s: {-http.response.status_code}"
        ),
    ]
);

dialect!(
    ACTIVE_RESPONSE,
    "ossec-active-response",
    "",
    "OSSEC and Wazuh: active response",
    "https://documentation.wazuh.com/current/user-manual/capabilities/active-response/",
    [Line("/active-response/bin/"), Holds("/active-response/bin/")],
    ["Fri Nov 20 06:25:01 CET 2026 /var/ossec/active-response/bin/firewall-drop.sh add - 203.0.113.77 1795155901.60385 31151"],
    [
        (Minds(ConnectionBlocked), "add", "{time} {-process.executable} add {user} {ip} {=event.id} {-rule.id}"),
        (Is(Other), "delete", "{time} {-process.executable} delete {user} {ip} {=event.id} {-rule.id}"),
        (Minds(ConnectionBlocked), "add", "{-process.executable} add {user} {ip} {=event.id} {-rule.id}"),
        (Is(Other), "delete", "{-process.executable} delete {user} {ip} {=event.id} {-rule.id}"),
    ]
);

dialect!(
    CROWDSEC,
    "crowdsec",
    "",
    "CrowdSec: its own log",
    "https://docs.crowdsec.net/docs/getting_started/concepts/",
    [Line("performed '"), Line(" ban on Ip "), Holds("performed '"), Holds(" ban on Ip ")],
    [
        "time=\"2026-11-20T06:25:01Z\" level=info msg=\"Ip 203.0.113.77 performed 'crowdsecurity/ssh-bf' (6 events over 3.4s) at 2026-11-20 06:25:01 +0000 UTC\"",
        "time=\"2026-11-20T06:25:01Z\" level=info msg=\"(localhost/crowdsec) crowdsecurity/ssh-bf by ip 203.0.113.77 (DE/64496) : 4h ban on Ip 203.0.113.77\""
    ],
    [
        (
            Minds(IdsAlert),
            "alert",
            "time=\"{time}\" level={-log.level} msg=\"Ip {ip} performed '{=rule.name}' ({=event.reason}) at {*}\"{*}"
        ),
        (
            Minds(ConnectionBlocked),
            "ban",
            "time=\"{time}\" level={-log.level} msg=\"({=observer.name}) {=rule.name} by ip {ip} ({=source.as}) : {-event.duration.text} ban on Ip {*}\"{*}"
        ),
        (
            Minds(ConnectionBlocked),
            "ban",
            "time=\"{time}\" level={-log.level} msg=\"({=observer.name}) {=rule.name} : {-event.duration.text} ban on Ip {ip}\"{*}"
        ),
        (Minds(IdsAlert), "alert", "{*}Ip {ip} performed '{=rule.name}' ({=event.reason}) at {*}"),
    ]
);

dialect!(
    COWRIE,
    "cowrie",
    "",
    "Cowrie honeypot: text log",
    "https://docs.cowrie.org/en/latest/OUTPUT.html",
    [
        App("cowrie"),
        Line("[cowrie."),
        Line("[HoneyPotSSHTransport,"),
        Line("[CowrieTelnetTransport,"),
        Holds("[cowrie."),
        Holds("[HoneyPotSSHTransport,")
    ],
    [
        "2026-11-20T06:25:01+0000 [cowrie.ssh.factory.CowrieSSHFactory] New connection: 203.0.113.77:47630 (192.0.2.10:2222) [session: 3e5a9212b91f]",
        "2026-11-20T06:25:01.123456Z [HoneyPotSSHTransport,3,203.0.113.77] login attempt [b'root'/b'secret'] failed"
    ],
    [
        (Is(ConnectionAllowed), "session.connect", "{time} [{*}] New connection: {peer} ({dstpeer}) [session: {-session.id}]"),
        (Failed, "login.failed", "{time} [{_},{#},{ip}] login attempt [b'{user'}'/b'{*}'] failed"),
        (Login, "login.success", "{time} [{_},{#},{ip}] login attempt [b'{user'}'/b'{*}'] succeeded"),
        (Is(Other), "", "{time} [{_},{#},{ip}] {*}"),
        (Is(Other), "", "{time} [{*},{_},{#},{ip}] {*}"),
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
