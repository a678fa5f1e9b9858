//! What guards other services, in sentences: Duo, doas, Wazuh's API and active response, CrowdSec, Cowrie, fail2ban, Suhosin, xinetd,
//! Dante, Webmin, DirectAdmin.
//!
//! Sources: the pages below and the programs' own format strings. Failed logins, refusals, bans and scans are medium, the rest low.

use crate::parse::dialect::Mark::{App, Begins, Holds, Line};
use crate::parse::prose::Means::{Closing, Denied, Failed, Is, Login, Logout, Minds};
use crate::parse::prose::dialect;
use crate::record::EventType::{ConnectionAllowed, ConnectionBlocked, HttpRequest, IdsAlert, Other, PrivilegeUse, ServiceChange};

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
    FAIL2BAN,
    "fail2ban",
    "",
    "fail2ban: its own log",
    "https://github.com/fail2ban/fail2ban/blob/master/README.md",
    [
        App("fail2ban"),
        App("fail2ban.actions"),
        App("fail2ban.filter"),
        App("fail2ban-server"),
        Line(" fail2ban.actions"),
        Line(" fail2ban.filter"),
        Line(" fail2ban.observer")
    ],
    [
        "2026-11-20 06:25:01,388 fail2ban.actions        [811]: NOTICE  [sshd] Ban 203.0.113.77",
        "2026-11-20 06:25:01,388 fail2ban.filter         [811]: INFO    [sshd] Found 203.0.113.77 - 2026-11-20 06:25:01"
    ],
    [
        (Minds(ConnectionBlocked), "ban", "{time} fail2ban.actions {*}[{=rule.name}] Ban {ip}"),
        (Minds(ConnectionBlocked), "ban", "{time} fail2ban.actions: {*}[{=rule.name}] Ban {ip}"),
        (Minds(ConnectionBlocked), "ban", "{time} fail2ban.actions {*}[{=rule.name}] Restore Ban {ip}"),
        (Is(Other), "unban", "{time} fail2ban.actions {*}[{=rule.name}] Unban {ip}"),
        (Is(Other), "unban", "{time} fail2ban.actions: {*}[{=rule.name}] Unban {ip}"),
        (Is(Other), "already_banned", "{time} fail2ban.actions {*}[{=rule.name}] {ip} already banned"),
        (Is(Other), "found", "{time} fail2ban.filter {*}[{=rule.name}] Found {ip} - {*}"),
        (Is(Other), "found", "{time} fail2ban.filter {*}[{=rule.name}] Found {ip}"),
        (Is(Other), "ignore", "{time} fail2ban.filter {*}[{=rule.name}] Ignore {ip} {*}"),
        (Minds(ConnectionBlocked), "ban", "{*}[{=rule.name}] Ban {ip}"),
        (Minds(ConnectionBlocked), "ban", "{*}[{=rule.name}] Restore Ban {ip}"),
        (Is(Other), "unban", "{*}[{=rule.name}] Unban {ip}"),
        (Is(Other), "found", "{*}[{=rule.name}] Found {ip} - {*}"),
        (Is(ServiceChange), "jail", "{time} fail2ban.{*} Jail '{=rule.name}' {*}"),
    ]
);

dialect!(
    SUHOSIN,
    "suhosin",
    "",
    "Suhosin",
    "https://suhosin.org/stories/configuration.html",
    [App("suhosin"), Begins("ALERT - "), Line("suhosin[")],
    [
        "<33>Nov 20 06:25:01 web1 suhosin[811]: ALERT - configured request variable name length limit exceeded - dropped variable 'x' (attacker '203.0.113.77', file '/srv/index.php')"
    ],
    [
        (Denied, "alert", "ALERT{*} - {=event.reason} (attacker '{ip}', file '{=file.path}', line {#})"),
        (Denied, "alert", "ALERT{*} - {=event.reason} (attacker '{ip}', file '{=file.path}')"),
    ]
);

dialect!(
    XINETD,
    "xinetd",
    "",
    "xinetd",
    "https://github.com/openSUSE/xinetd",
    [App("xinetd")],
    ["<38>Nov 20 06:25:01 web1 xinetd[811]: FAIL: telnet libwrap from=203.0.113.77"],
    [
        (Denied, "fail", "FAIL: {-service.name} {=event.reason} from={ip}"),
        (Denied, "fail", "libwrap refused connection to {-service.name} (libwrap={_}) from {ip}"),
        (Denied, "fail", "libwrap refused connection to {-service.name} from {ip}"),
        (Is(ConnectionAllowed), "start", "START: {-service.name} pid={#} from={ip}"),
        (Is(Other), "exit", "EXIT: {-service.name} {*}"),
    ]
);

dialect!(
    DANTE,
    "dante",
    "",
    "Dante SOCKS server",
    "https://www.inet.no/dante/doc/latest/logging.html",
    [App("danted"), App("sockd")],
    [
        "<30>Nov 20 06:25:01 web1 danted[811]: info: block(1): tcp/accept ]: 203.0.113.77.50550 192.0.2.10.1080: error after reading 35 bytes in 0 seconds: system password authentication failed for user \"mia\""
    ],
    [
        (
            Failed,
            "login",
            "info: block({#}): tcp/accept ]: {ip}.{port} {dst}.{dport}: error after reading {#} bytes in {#} seconds: could not access user \"{user}\"'s records in the system password file{*}"
        ),
        (
            Failed,
            "login",
            "info: block({#}): tcp/accept ]: {ip}.{port} {dst}.{dport}: error after reading {#} bytes in {#} seconds: system password authentication failed for user \"{user}\""
        ),
        (Minds(ConnectionBlocked), "block", "info: block({#}): {-network.transport}/{_} {_} {ip}.{port} {dst}.{dport}{*}"),
        (Is(ConnectionAllowed), "pass", "info: pass({#}): {-network.transport}/{_} {_} {ip}.{port} {dst}.{dport}{*}"),
    ]
);

dialect!(
    WEBMIN,
    "webmin",
    "",
    "Webmin and Usermin",
    "https://webmin.com/docs/modules/webmin-configuration/",
    [App("webmin"), App("usermin")],
    ["<86>Nov 20 06:25:01 web1 webmin[811]: Invalid login as root from 203.0.113.77"],
    [
        (Failed, "login", "Non-existent login as {user} from {ip}"),
        (Failed, "login", "Invalid login as {user} from {ip}"),
        (Failed, "login", "Failed login as {user} from {ip}"),
        (Closing, "login", "Security alert: Host {ip} blocked after {#} failed logins for user {user}"),
        (Login, "login", "Successful login as {user} from {ip}"),
        (Login, "login", "Successful login as {user} without password from {ip}"),
        (Logout, "logout", "Logout by {user} from {ip}"),
    ]
);

dialect!(
    DIRECT_ADMIN,
    "directadmin",
    "",
    "DirectAdmin",
    "https://docs.directadmin.com/webservices/security/blocking-ips-with-bfm.html",
    [Line(" failed login attempt"), Line("successful login to '")],
    ["2026:11:20-06:25:01: '203.0.113.77' 2 failed login attempts. Account 'mia'"],
    [
        (Failed, "login", "{ymd}: '{ip}' {#} failed login attempts. Account '{user}'"),
        (Failed, "login", "{ymd}: '{ip}' {#} failed login attempt. Account '{user}'"),
        (Failed, "login", "{ymd}: '{ip}' {#} failed login attempt{*}"),
        (Login, "login", "{ymd}: '{ip}' successful login to '{user}'{*}"),
    ]
);
