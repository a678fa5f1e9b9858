//! Services beside the web and mail whose lines about logins are single sentences: CouchDB, Endlessh, Vaultwarden, Bitwarden, Gin programs, Samba,
//! Sympa, cPanel, FreeSWITCH, xrdp and others.
//!
//! Sources: the pages below and the programs' own format strings. A failed login or a refusal is medium; requests, connections and logins are low.
//! CouchDB writes `undefined` for a request that nobody signed; it stands in the place of the user as it is.

use crate::parse::dialect::Mark::{App, Begins, Holds, Line};
use crate::parse::prose::Means::{Announced, Denied, Failed, Is, Login, Logout, Minds};
use crate::parse::prose::dialect;
use crate::record::EventType::{ConnectionAllowed, ConnectionBlocked, HttpRequest, Other, PrivilegeUse};

dialect!(
    COUCHDB,
    "couchdb",
    "",
    "Apache CouchDB",
    "https://docs.couchdb.org/en/stable/config/logging.html",
    [Line("@nohost <"), Line(" undefined "), Line("] 20"), Holds("@nohost <"), Begins("[notice] 20")],
    [
        "[notice] 2026-11-20T06:25:01.579985Z couchdb@127.0.0.1 <0.17607.12> e1fed412f8 db.example:5984 203.0.113.77 undefined GET /shop 401 ok 1",
        "[notice] 2026-11-20T06:25:01.579985Z nonode@nohost <0.17607.12> e1fed412f8 db.example:5984 203.0.113.77 mia POST /_session 401 ok 1"
    ],
    [
        (
            Failed,
            "request",
            "[{-log.level}] {time} {-service.node.name} <{_}> {-trace.id} {-url.domain} {ip} {user} {-http.request.method} {-url.original} 401 {_} {#}"
        ),
        (
            Is(HttpRequest),
            "",
            "[{-log.level}] {time} {-service.node.name} <{_}> {-trace.id} {-url.domain} {ip} {user} {-http.request.method} {-url.original} {-http.response.status_code} {_} {#}"
        ),
    ]
);

dialect!(
    ENDLESSH,
    "endlessh",
    "",
    "Endlessh",
    "https://github.com/skeeto/endlessh",
    [
        App("endlessh"),
        Line(" ACCEPT host="),
        Line(" CLOSE host="),
        Begins("ACCEPT host="),
        Begins("CLOSE host="),
        Holds("] ACCEPT host="),
        Holds("] CLOSE host="),
    ],
    [
        "2026-11-20T06:25:01.813Z ACCEPT host=::ffff:203.0.113.77 port=39590 fd=4 n=1/4096",
        "I1120 06:25:01.684962       1 client.go:99] CLOSE host=203.0.113.77 port=39590 time=20.017 bytes=20"
    ],
    [
        (Is(ConnectionAllowed), "accept", "{time} ACCEPT host={ip} port={port} {*}n={*}"),
        (Is(Other), "close", "{time} CLOSE host={ip} port={port} {*}time={-event.duration.seconds} bytes={-source.bytes}"),
        (Is(ConnectionAllowed), "accept", "ACCEPT host={ip} port={port} {*}n={*}"),
        (Is(Other), "close", "CLOSE host={ip} port={port} {*}time={-event.duration.seconds} bytes={-source.bytes}"),
        (Is(ConnectionAllowed), "accept", "I{#} {*} client.go:{#}] ACCEPT host={ip} port={port} {*}n={*}"),
        (
            Is(Other),
            "close",
            "I{#} {*} client.go:{#}] CLOSE host={ip} port={port} {*}time={-event.duration.seconds} bytes={-source.bytes}"
        ),
    ]
);

dialect!(
    VAULTWARDEN,
    "vaultwarden",
    "vaultwarden",
    "Vaultwarden",
    "https://github.com/dani-garcia/vaultwarden/wiki/Fail2Ban-Setup",
    [Line("][vaultwarden::"), Line("][bitwarden_rs::"), Holds("][vaultwarden::"), Holds("][bitwarden_rs::"), App("vaultwarden"),],
    [
        "[2026-11-20 06:25:01.219][vaultwarden::api::identity][ERROR] Username or password is incorrect. Try again. IP: 2001:db8::7. Username: mia@example.org.",
        "[2026-11-20 06:25:01.219+0100][vaultwarden::api::admin][ERROR] Invalid admin token. IP: 203.0.113.77"
    ],
    [
        (
            Failed,
            "login",
            "[{time}][{_}::api::identity][{_}] Username or password is incorrect. Try again. IP: {ip}. Username: {user}."
        ),
        (
            Failed,
            "login",
            "[{time}][{_}::api::identity][{_}] Username or password is incorrect. Try again. IP: {ip}. Username: {user}"
        ),
        (Failed, "login", "[{time}][{_}::api::identity][{_}] This user has been disabled {*}IP: {ip}. Username: {user}."),
        (Failed, "admin_login", "[{time}][{_}::api::admin][{_}] Invalid admin token. IP: {ip}"),
        (Failed, "two_factor", "[{time}][{_}::api::core::two_factor::{_}][ERROR] {=event.reason} IP: {ip}"),
        (Login, "login", "[{time}][{_}::api::identity][INFO] User {user} logged in successfully. IP: {ip}"),
        (Failed, "login", "[{time}][{_}::api::identity][ERROR] {=event.reason} IP: {ip}. Username: {user}."),
        (Failed, "login", "[{time}][{_}::api::identity][ERROR] {=event.reason} IP: {ip}"),
    ]
);

dialect!(
    BITWARDEN,
    "bitwarden",
    "",
    "Bitwarden server",
    "https://bitwarden.com/help/self-host-an-organization/",
    [Line("] Failed login attempt"), Holds("] Failed login attempt"), App("Bitwarden-Identity"), Line("Failed login attempt"),],
    ["2026-11-20 06:25:01.311 +01:00 [WRN] Failed login attempt, 2FA invalid. 203.0.113.77"],
    [
        (Failed, "two_factor", "{time} [{-log.level}] Failed login attempt, 2FA invalid. {ip}"),
        (Failed, "login", "{time} [{-log.level}] Failed login attempt. {ip}"),
        (Failed, "two_factor", "[{_}] Failed login attempt, 2FA invalid. {ip}"),
        (Failed, "login", "[{_}] Failed login attempt. {ip}"),
    ]
);

dialect!(
    GIN,
    "gin",
    "",
    "Programs with Gin (Gotify and others)",
    "https://github.com/gin-gonic/gin/blob/master/logger.go",
    [Line("[GIN] "), Begins("[GIN] "), Line("Z | "), Begins("| ")],
    ["[GIN] 2026/11/20 - 06:25:01 | 401 |     505.317µs |       203.0.113.77 | POST     \"/client\""],
    [
        (Failed, "login", "[GIN] {ymd} | 401 | {*} | {*} {ip} | POST {*}\"/client{*}\""),
        (Failed, "login", "[GIN] {ymd} | 401 | {*} | {ip} | POST {*}\"/client{*}\""),
        (
            Is(HttpRequest),
            "",
            "[GIN] {ymd} | {-http.response.status_code} | {*} | {*} {ip} | {-http.request.method} {*}\"{=url.original}\"{*}"
        ),
        (
            Is(HttpRequest),
            "",
            "[GIN] {ymd} | {-http.response.status_code} | {*} | {ip} | {-http.request.method} {*}\"{=url.original}\"{*}"
        ),
        (Failed, "login", "{time} | 401 | {*} | {*} {ip} | POST {*}\"/client{*}\""),
        (
            Is(HttpRequest),
            "",
            "{time} | {-http.response.status_code} | {*} | {*} {ip} | {-http.request.method} {*}\"{=url.original}\"{*}"
        ),
        (
            Is(HttpRequest),
            "",
            "{time} | {-http.response.status_code} | {*} | {ip} | {-http.request.method} {*}\"{=url.original}\"{*}"
        ),
    ]
);

dialect!(
    SAMBA,
    "samba",
    "smb",
    "Samba",
    "https://wiki.samba.org/index.php/Setting_up_Audit_Logging",
    [Line("Auth: ["), Holds("Auth: ["), App("smbd"), App("smbd_audit")],
    [
        "Auth: [SMB2,(null)] user [CORP]\\[mia] at [Fri, 20 Nov 2026 06:25:01.023984 UTC] with [NTLMv2] status [NT_STATUS_WRONG_PASSWORD] workstation [PC1] remote host [ipv4:203.0.113.77:44890] mapped to [CORP]\\[mia]. local host [ipv4:192.0.2.10:445]"
    ],
    [
        (
            Login,
            "auth",
            "Auth: [{=samba.service}] user [{=user.domain}]\\[{user'}] at [{_} {dmy}] with [{=samba.password_type}] status [NT_STATUS_OK] workstation [{=source.domain}] remote host [{_}:{peer}] {*} local host [{_}:{dstpeer}]{*}"
        ),
        (
            Failed,
            "auth",
            "Auth: [{=samba.service}] user [{=user.domain}]\\[{user'}] at [{_} {dmy}] with [{=samba.password_type}] status [{-error.code}] workstation [{=source.domain}] remote host [{_}:{peer}] {*} local host [{_}:{dstpeer}]{*}"
        ),
        (
            Login,
            "auth",
            "{*}Auth: [{=samba.service}] user [{=user.domain}]\\[{user'}] at [{_} {dmy}] with [{=samba.password_type}] status [NT_STATUS_OK] workstation [{=source.domain}] remote host [{_}:{peer}] {*} local host [{_}:{dstpeer}]{*}"
        ),
        (
            Failed,
            "auth",
            "{*}Auth: [{=samba.service}] user [{=user.domain}]\\[{user'}] at [{_} {dmy}] with [{=samba.password_type}] status [{-error.code}] workstation [{=source.domain}] remote host [{_}:{peer}] {*} local host [{_}:{dstpeer}]{*}"
        ),
    ]
);

dialect!(
    SYMPA,
    "sympa",
    "",
    "Sympa web interface",
    "https://www.sympa.community/manual/customize/logs.html",
    [App("wwsympa")],
    [
        "<134>Nov 20 06:25:01 lists wwsympa[1278]: info main::do_serveradmin() [robot lists.example] [session 08203929330290] [client 203.0.113.77] [user mia@example.org]"
    ],
    [
        (
            Failed,
            "login",
            "{_} {*}do_login({*}) [robot {=url.domain}] [session {-session.id}] [client {ip}]{*}uthentication failed{*}"
        ),
        (Failed, "login", "{_} {*} [robot {=url.domain}] [session {-session.id}] [client {ip}]{*}ncorrect password{*}"),
        (
            Denied,
            "access",
            "{_} {*} [robot {=url.domain}] [session {-session.id}] [client {ip}] [user {user'}]{*}Access denied {*}"
        ),
        (Denied, "access", "{_} {*} [robot {=url.domain}] [session {-session.id}] [client {ip}]{*}Access denied {*}"),
        (
            Is(Other),
            "",
            "{_} {*} [robot {=url.domain}] [session {-session.id}] [client {ip}] [user {user'}] [list {=sympa.list}]{*}"
        ),
        (Is(Other), "", "{_} {*} [robot {=url.domain}] [session {-session.id}] [client {ip}] [user {user'}]{*}"),
        (Is(Other), "", "{_} {*} [robot {=url.domain}] [session {-session.id}] [client {ip}] [list {=sympa.list}]{*}"),
        (Is(Other), "", "{_} {*} [robot {=url.domain}] [session {-session.id}] [client {ip}]{*}"),
        (Is(Other), "", "{_} {*} [robot {=url.domain}] [client {ip}]{*}"),
    ]
);

dialect!(
    CPANEL,
    "cpanel",
    "cpanel",
    "cPanel and WHM: login log",
    "https://docs.cpanel.net/knowledge-base/cpanel-product/the-cpanel-log-files/",
    [
        Line("] info [cpaneld] "),
        Line("] info [whostmgrd] "),
        Line("] info [webmaild] "),
        Line("] info [cpsrvd] "),
        Line("] info [cpdavd] "),
        Begins("info ["),
        Holds("] info [")
    ],
    [
        "[2026-11-20 06:25:01 +0100] info [cpaneld] 203.0.113.77 - mia \"POST /login/?login_only=1 HTTP/1.1\" FAILED LOGIN cpaneld: user password incorrect",
        "[2026-11-20 06:25:01 -0500] info [cpsrvd] 203.0.113.77 - mia (possessor: root) - SUCCESS LOGIN cpaneld"
    ],
    [
        (
            Failed,
            "login",
            "[{time}] info [{-cpanel.service}] {ip} - {user'} \"{=http.request.line}\" FAILED LOGIN {-cpanel.module}: {=event.reason}"
        ),
        (
            Failed,
            "login",
            "[{time}] info [{-cpanel.service}] {ip} - {user'} \"{=http.request.line}\" DEFERRED LOGIN {-cpanel.module}: {=event.reason}"
        ),
        (Failed, "login", "[{time}] info [{-cpanel.service}] {ip} - {user'} - FAILED LOGIN {-cpanel.module}: {=event.reason}"),
        (
            Login,
            "login",
            "[{time}] info [{-cpanel.service}] {ip} - {user'} (possessor: {=user.effective.name}) {*} SUCCESS LOGIN {-cpanel.module}"
        ),
        (Login, "login", "[{time}] info [{-cpanel.service}] {ip} - {user'} {*} SUCCESS LOGIN {-cpanel.module}"),
        (Login, "session", "[{time}] info [{-cpanel.service}] {ip} NEW {user'}:{*}"),
        (Logout, "session", "[{time}] info [{-cpanel.service}] {ip} PURGE {user'}:{*} logout"),
    ]
);

dialect!(
    FREESWITCH,
    "freeswitch",
    "",
    "FreeSWITCH",
    "https://developer.signalwire.com/freeswitch/FreeSWITCH-Explained/Security/Fail2Ban_3965687/",
    [Line("] sofia_reg.c:"), Holds("] sofia_reg.c:"), App("freeswitch")],
    [
        "2026-11-20 06:25:01.685002 96.83% [WARNING] sofia_reg.c:3223 SIP auth failure (REGISTER) on sofia profile 'internal' for [1001@pbx.example] from ip 203.0.113.77",
        "2026-11-20 06:25:01.685002 [WARNING] sofia_reg.c:3223 IP 203.0.113.77 Rejected by register acl \"domains\""
    ],
    [
        (
            Failed,
            "sip_auth",
            "{time} {_}% [{-log.level}] sofia_reg.c:{#} SIP auth failure ({-sip.method}) on sofia profile '{=sip.profile}' for [{user}] from ip {ip}"
        ),
        (
            Failed,
            "sip_auth",
            "{time} {_}% [{-log.level}] sofia_reg.c:{#} SIP auth challenge ({-sip.method}) on sofia profile '{=sip.profile}' for [{user}] from ip {ip}"
        ),
        (Announced, "sip_auth", "{time} {_}% [{-log.level}] sofia_reg.c:{#} Can't find user [{user}] from {ip}"),
        (Denied, "sip_register", "{time} {_}% [{-log.level}] sofia_reg.c:{#} IP {ip} Rejected by {=rule.name}"),
        (
            Failed,
            "sip_auth",
            "{time} [{-log.level}] sofia_reg.c:{#} SIP auth failure ({-sip.method}) on sofia profile '{=sip.profile}' for [{user}] from ip {ip}"
        ),
        (
            Failed,
            "sip_auth",
            "{time} [{-log.level}] sofia_reg.c:{#} SIP auth challenge ({-sip.method}) on sofia profile '{=sip.profile}' for [{user}] from ip {ip}"
        ),
        (Announced, "sip_auth", "{time} [{-log.level}] sofia_reg.c:{#} Can't find user [{user}] from {ip}"),
        (Denied, "sip_register", "{time} [{-log.level}] sofia_reg.c:{#} IP {ip} Rejected by {=rule.name}"),
        (
            Failed,
            "sip_auth",
            "[{-log.level}] sofia_reg.c:{#} SIP auth failure ({-sip.method}) on sofia profile '{=sip.profile}' for [{user}] from ip {ip}"
        ),
        (
            Failed,
            "sip_auth",
            "[{-log.level}] sofia_reg.c:{#} SIP auth challenge ({-sip.method}) on sofia profile '{=sip.profile}' for [{user}] from ip {ip}"
        ),
        (Announced, "sip_auth", "[{-log.level}] sofia_reg.c:{#} Can't find user [{user}] from {ip}"),
        (Denied, "sip_register", "[{-log.level}] sofia_reg.c:{#} IP {ip} Rejected by {=rule.name}"),
    ]
);

dialect!(
    XRDP,
    "xrdp",
    "",
    "xrdp: session manager",
    "https://github.com/neutrinolabs/xrdp/wiki/Protect-against-brute-force-attacks",
    [App("xrdp-sesman"), Line("] AUTHFAIL: user="), Holds("] AUTHFAIL: user="), Line("] [INFO ] "), Line("] [ERROR] ")],
    [
        "[20261120-06:25:01] [INFO ] AUTHFAIL: user=mia ip=::ffff:203.0.113.77 time=1795155901",
        "<30>Nov 20 06:25:01 desk1 xrdp-sesman[414]: [INFO ] AUTHFAIL: user=mia ip=203.0.113.77 time=1795155901"
    ],
    [
        (Failed, "login", "[{ymd}] [{_} ] AUTHFAIL: user={user} ip={ip} time={#}"),
        (Failed, "login", "[{ymd}] [{_}] AUTHFAIL: user={user} ip={ip} time={#}"),
        (Failed, "login", "[{_} ] AUTHFAIL: user={user} ip={ip} time={#}"),
        (Failed, "login", "[{_}] AUTHFAIL: user={user} ip={ip} time={#}"),
        (Login, "login", "[{ymd}] [{_} ] ++ created session (access granted): username {user}, ip {peer} - socket{*}"),
        (Login, "login", "[{_} ] ++ created session (access granted): username {user}, ip {peer} - socket{*}"),
    ]
);

dialect!(
    PROXMOX,
    "proxmox",
    "",
    "Proxmox VE and Backup Server",
    "https://pve.proxmox.com/wiki/Fail2ban",
    [App("pvedaemon"), App("pveproxy"), App("proxmox-backup-api"), App("proxmox-backup-proxy")],
    [
        "<27>Nov 20 06:25:01 pve1 pvedaemon[896]: authentication failure; rhost=203.0.113.77 user=mia@pve msg=invalid credentials",
        "<30>Nov 20 06:25:01 pve1 pvedaemon[896]: <root@pam> successful auth for user 'mia@pve'"
    ],
    [
        (Failed, "login", "authentication failure; rhost={ip} user={user} msg={=event.reason}"),
        (Failed, "login", "authentication failure; rhost={peer} user={user} msg={=event.reason}"),
        (Login, "login", "<{*}> successful auth for user '{user}'"),
        (Is(PrivilegeUse), "start_task", "<{user'}> starting task {=proxmox.task}"),
        (Is(Other), "end_task", "<{user'}> end task {=proxmox.task}"),
    ]
);

dialect!(
    SOFTETHER,
    "softether",
    "",
    "SoftEther VPN server",
    "https://www.softether.org/4-docs/1-manual/3/3.10",
    [
        Line("User authentication failed. The user name"),
        Holds("User authentication failed. The user name"),
        Line("Connection \"CID-")
    ],
    [
        "2026-11-20 06:25:01.781 Connection \"CID-2\": User authentication failed. The user name that has been provided was \"mia\", from 203.0.113.77."
    ],
    [
        (
            Failed,
            "login",
            "{time} {*}Connection \"{=softether.connection}\": User authentication failed. The user name that has been provided was \"{user}\", from {ip}."
        ),
        (
            Failed,
            "login",
            "{*}Connection \"{=softether.connection}\": User authentication failed. The user name that has been provided was \"{user}\", from {ip}."
        ),
    ]
);

dialect!(
    THREE_PROXY,
    "3proxy",
    "",
    "3proxy",
    "https://3proxy.org/doc/man3/3proxy.cfg.3.html",
    [Line(" PROXY."), Line(" SOCK5."), Line(" SOCK4."), Line(" POP3P."), Line(" FTPPR.")],
    ["20-11-2026 06:25:01 +0100 PROXY.3128 00005 mia 203.0.113.77:28788 0.0.0.0:0 0 0 0 GET http://www.example/ HTTP/1.1"],
    [
        (Failed, "login", "{dmy} {_}.{#} 00005 {user} {peer} {dstpeer} {*}"),
        (Failed, "login", "{dmy} {_}.{#} 00006 {user} {peer} {dstpeer} {*}"),
        (Failed, "login", "{dmy} {_}.{#} 00007 {user} {peer} {dstpeer} {*}"),
        (Failed, "login", "{dmy} {_}.{#} 00008 {user} {peer} {dstpeer} {*}"),
        (Failed, "login", "{dmy} {_}.{#} 00009 {user} {peer} {dstpeer} {*}"),
        (Minds(ConnectionBlocked), "", "{dmy} {_}.{#} 00001 {user} {peer} {dstpeer} {*}"),
        (Is(ConnectionAllowed), "", "{dmy} {_}.{#} {#} {user} {peer} {dstpeer} {*}"),
    ]
);
