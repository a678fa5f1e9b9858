//! Web applications that people run themselves, and how each tells of a failed login.
//!
//! Sources: the programs themselves (the pages below), whose sentences stand here as they are. A failed login is medium, a login low. Where an
//! application logs requests only, a refused one (401) to the address that takes passwords is the failed login.

use crate::parse::dialect::Mark::{App, Holds, Line};
use crate::parse::prose::Means::{Announced, Denied, Failed, Is, Login, Minds};
use crate::parse::prose::dialect;
use crate::record::EventType;

dialect!(
    HOME_ASSISTANT,
    "home-assistant",
    "",
    "Home Assistant",
    "https://www.home-assistant.io/integrations/http/#ip-filtering-and-banning",
    [Holds("[homeassistant.components.http.ban]"), Line("[homeassistant.components.http.ban]")],
    [
        "2026-11-20 06:25:01.123 WARNING (MainThread) [homeassistant.components.http.ban] Login attempt or request with invalid authentication from pc.example (203.0.113.77). Requested URL: '/auth/login_flow/1'. (Mozilla/5.0)"
    ],
    [
        (
            Failed,
            "login",
            "{time} {_} ({*}) [homeassistant.components.http.ban] Login attempt or request with invalid authentication from {=source.domain} ({ip}). Requested URL: '{=url.original}'. ({=user_agent.original})"
        ),
        (
            Failed,
            "login",
            "{time} {_} ({*}) [homeassistant.components.http.ban] Login attempt or request with invalid authentication from {=source.domain} ({ip}){*}"
        ),
        (
            Failed,
            "login",
            "{time} {_} ({*}) [homeassistant.components.http.ban] Login attempt or request with invalid authentication from {ip}{*}"
        ),
        (
            Failed,
            "login",
            "{_} ({*}) [homeassistant.components.http.ban] Login attempt or request with invalid authentication from {=source.domain} ({ip}){*}"
        ),
        (
            Failed,
            "login",
            "{_} ({*}) [homeassistant.components.http.ban] Login attempt or request with invalid authentication from {ip}{*}"
        ),
        (
            Minds(EventType::ConnectionBlocked),
            "banned",
            "{time} {_} ({*}) [homeassistant.components.http.ban] Banned IP {ip} for too many login attempts"
        ),
        (
            Minds(EventType::ConnectionBlocked),
            "banned",
            "{_} ({*}) [homeassistant.components.http.ban] Banned IP {ip} for too many login attempts"
        ),
    ]
);

dialect!(
    MEALIE,
    "mealie",
    "",
    "Mealie",
    "https://docs.mealie.io/documentation/getting-started/installation/logs/",
    [
        Line(" - Incorrect username or password from "),
        Holds(" - Incorrect username or password from "),
        Line("Z - ["),
        Line(" - [")
    ],
    ["ERROR    2026-11-20T06:25:01 - Incorrect username or password from 203.0.113.77"],
    [
        (Failed, "login", "{_}    {time} - Incorrect username or password from {ip}"),
        (Failed, "login", "{_}  {time} - Incorrect username or password from {ip}"),
        (Failed, "login", "{_} {time} - Incorrect username or password from {ip}"),
        (
            Is(EventType::HttpRequest),
            "",
            "{_}     {time} - [{peer}] {#} {*} \"{-http.request.method} {-url.original} HTTP/{-http.version}\""
        ),
    ]
);

dialect!(
    GUACAMOLE,
    "guacamole",
    "",
    "Apache Guacamole",
    "https://guacamole.apache.org/doc/gug/guacamole-architecture.html",
    [Holds("auth.AuthenticationService - "), Line("auth.AuthenticationService - "), Holds("Authentication attempt from "),],
    [
        "2026-11-20T06:25:01,991Z [http-nio-8080-exec-9] WARN  o.a.g.r.auth.AuthenticationService - Authentication attempt from [203.0.113.77, 192.0.2.2] for user \"mia\" failed."
    ],
    [
        (
            Failed,
            "login",
            "{time} [{_}] {*}auth.AuthenticationService - Authentication attempt from [{ip}, {*}] for user \"{user}\" failed."
        ),
        (
            Failed,
            "login",
            "{time} [{_}] {*}auth.AuthenticationService - Authentication attempt from {ip} for user \"{user}\" failed."
        ),
        (
            Login,
            "login",
            "{time} [{_}] {*}auth.AuthenticationService - User \"{user}\" successfully authenticated from [{ip}, {*}]."
        ),
        (Login, "login", "{time} [{_}] {*}auth.AuthenticationService - User \"{user}\" successfully authenticated from {ip}."),
        (Failed, "login", "{*}Authentication attempt from [{ip}, {*}] for user \"{user}\" failed."),
        (Failed, "login", "{*}Authentication attempt from {ip} for user \"{user}\" failed."),
        (Login, "login", "{*}auth.AuthenticationService - User \"{user}\" successfully authenticated from [{ip}, {*}]."),
        (Login, "login", "{*}auth.AuthenticationService - User \"{user}\" successfully authenticated from {ip}."),
    ]
);

dialect!(
    BASEROW,
    "uvicorn",
    "",
    "Uvicorn access log (Baserow and others)",
    "https://www.uvicorn.org/settings/#logging",
    [Line("] 4"), Line(" HTTP/1.1\" "), Line("[BACKEND]["), Holds("[BACKEND]["), Holds("INFO:     ")],
    [" [BACKEND][2026-11-20 06:25:01] 203.0.113.77:0 - \"POST /api/user/token-auth/ HTTP/1.1\" 401"],
    [
        (Failed, "login", " [BACKEND][{time}] {peer} - \"POST /api/user/token-auth/ HTTP/{-http.version}\" 401{*}"),
        (Failed, "login", "[BACKEND][{time}] {peer} - \"POST /api/user/token-auth/ HTTP/{-http.version}\" 401{*}"),
        (
            Is(EventType::HttpRequest),
            "",
            " [BACKEND][{time}] {peer} - \"{-http.request.method} {-url.original} HTTP/{-http.version}\" {-http.response.status_code}"
        ),
        (
            Is(EventType::HttpRequest),
            "",
            "[BACKEND][{time}] {peer} - \"{-http.request.method} {-url.original} HTTP/{-http.version}\" {-http.response.status_code}"
        ),
        (
            Is(EventType::HttpRequest),
            "",
            "INFO:     {peer} - \"{-http.request.method} {-url.original} HTTP/{-http.version}\" {*}"
        ),
    ]
);

dialect!(
    NAVIDROME,
    "navidrome",
    "navidrome",
    "Navidrome",
    "https://www.navidrome.org/docs/usage/security/#reverse-proxy-authentication",
    [Line("msg=\"HTTP: "), Holds("msg=\"HTTP: "), Holds("msg=\"Unsuccessful login\""), Line("msg=\"Unsuccessful login\"")],
    [
        "time=\"2026-11-20T06:25:01Z\" level=warning msg=\"HTTP: POST http://music.example/auth/login\" elapsedTime=8.5ms httpStatus=401 remoteAddr=\"2001:db8::7\" requestId=a/1 responseSize=40 userAgent=\"Mozilla/5.0\"",
        "time=\"2026-11-20T06:25:01Z\" level=warning msg=\"HTTP: POST http://music.example/auth/login\" elapsedTime=\"792.538µs\" httpStatus=401 remoteAddr=203.0.113.77 requestId=a/1 responseSize=40 userAgent=\"Mozilla/5.0\""
    ],
    [
        (
            Failed,
            "login",
            "time=\"{time}\" level={-log.level} msg=\"HTTP: POST {-url.full}/auth/login\" {*} httpStatus=401 remoteAddr=\"{peer}\" {*}"
        ),
        (
            Failed,
            "login",
            "time=\"{time}\" level={-log.level} msg=\"HTTP: POST {-url.full}/auth/login\" {*} httpStatus=401 remoteAddr={peer} {*}"
        ),
        (Failed, "login", "time=\"{time}\" level={-log.level} msg=\"Unsuccessful login\" remoteAddr=\"{peer}\"{*}"),
        (
            Is(EventType::HttpRequest),
            "",
            "time=\"{time}\" level={-log.level} msg=\"HTTP: {-http.request.method} {-url.full}\" {*} httpStatus={-http.response.status_code} remoteAddr=\"{peer}\" {*} userAgent=\"{=user_agent.original}\""
        ),
        (
            Is(EventType::HttpRequest),
            "",
            "time=\"{time}\" level={-log.level} msg=\"HTTP: {-http.request.method} {-url.full}\" {*} httpStatus={-http.response.status_code} remoteAddr={peer} {*} userAgent=\"{=user_agent.original}\""
        ),
    ]
);

dialect!(
    TEAMSPEAK,
    "teamspeak",
    "",
    "TeamSpeak 3 server",
    "https://support.teamspeak.com/hc/en-us/articles/360002712257",
    [Line("|Query "), Holds("|Query "), Line("|VirtualServer"), Holds("|VirtualServer")],
    [
        "2026-11-20 06:25:01.009756|INFO    |Query         |   |query from 11 203.0.113.77:48426 attempted to login with account \"mia\" and failed!",
        "2026-11-20 06:25:01.009756|INFO    |VirtualServerBase|1  |client connected 'mia'(id:2) from 203.0.113.77:50101"
    ],
    [
        (
            Failed,
            "query_login",
            "{time}|{-log.level} {*}|Query {*}|{*}|query from {#} {peer} attempted to login with account \"{user}\" and failed!"
        ),
        (
            Failed,
            "query_login",
            "|{-log.level} {*}|Query {*}|{*}|query from {#} {peer} attempted to login with account \"{user}\" and failed!"
        ),
        (Login, "query_login", "{time}|{-log.level} {*}|Query {*}|{*}|query from {#} {peer} logged in with account \"{user}\""),
        (
            Is(EventType::ConnectionAllowed),
            "client_connected",
            "{time}|{-log.level} {*}|VirtualServer{*}|{*}|client connected '{user}'({*}) from {peer}"
        ),
        (
            Is(EventType::ConnectionAllowed),
            "client_connected",
            "|{-log.level} {*}|VirtualServer{*}|{*}|client connected '{user}'({*}) from {peer}"
        ),
        (
            Is(EventType::Logout),
            "client_disconnected",
            "{time}|{-log.level} {*}|VirtualServer{*}|{*}|client disconnected '{user}'(id:{#}) reason '{=event.reason}'"
        ),
        (Is(EventType::Other), "", "{time}|{-log.level} {*}|Query {*}|{*}|query from {#} {peer} {*}"),
    ]
);

dialect!(
    MESHCENTRAL,
    "meshcentral",
    "",
    "MeshCentral",
    "https://ylianst.github.io/MeshCentral/meshcentral/debugging/#logging-it-all",
    [App("https"), App("meshcentral")],
    ["<38>Nov 20 06:25:01 mesh https[268]: Failed password for mia from 203.0.113.77 port 57951"],
    [
        (Failed, "web_login", "Failed password for {user} from {ip} port {port}"),
        (Announced, "web_login", "Invalid user {user} from {ip} port {port}"),
        (Login, "web_login", "Accepted password for {user} from {ip} port {port}"),
    ]
);

dialect!(
    WINGS,
    "pterodactyl-wings",
    "",
    "Pterodactyl Wings: SFTP",
    "https://pterodactyl.io/wings/1.0/configuration.html",
    [
        Line("failed to validate user credentials"),
        Holds("failed to validate user credentials"),
        Line("subsystem=sftp"),
        Holds("subsystem=sftp")
    ],
    [
        "WARN: [Nov 20 06:25:01.074] failed to validate user credentials (invalid username or password) ip=203.0.113.77:52205 method=password subsystem=sftp username=mia.1f6a0e72"
    ],
    [
        (
            Failed,
            "sftp_login",
            "{_}: [{time}] failed to validate user credentials ({=event.reason}) ip={peer} method={-ssh.method} subsystem=sftp username={user}"
        ),
        (Failed, "sftp_login", "{_}: [{time}] failed to validate user credentials{*} ip={peer} {*} username={user}"),
        (Is(EventType::Other), "", "{_}: [{time}] {*} ip={peer} {*}subsystem=sftp username={user}"),
    ]
);

dialect!(
    MURMUR,
    "murmur",
    "",
    "Mumble server (Murmur)",
    "https://wiki.mumble.info/wiki/Murmur.ini",
    [Holds(" Rejected connection from "), Holds("> New connection: "), Holds("> Authenticated")],
    ["<W>2026-11-20 06:25:01.123 1 => <2:mia(-1)> Rejected connection from 203.0.113.77:47876: Invalid server password"],
    [
        (Failed, "login", "<{_}>{time} {#} => <{#}:{user}({*})> Rejected connection from {peer}: {=event.reason}"),
        (Failed, "login", "{#} => <{#}:{user}({*})> Rejected connection from {peer}: {=event.reason}"),
        (Is(EventType::ConnectionAllowed), "connection", "<{_}>{time} {#} => <{#}:{*}({*})> New connection: {peer}"),
        (Is(EventType::ConnectionAllowed), "connection", "{#} => <{#}:{*}({*})> New connection: {peer}"),
        (Login, "login", "<{_}>{time} {#} => <{#}:{user}({*})> Authenticated"),
        (Login, "login", "{#} => <{#}:{user}({*})> Authenticated"),
    ]
);

dialect!(
    ZNC,
    "znc",
    "",
    "ZNC: adminlog",
    "https://wiki.znc.in/Adminlog",
    [Line("] failed to login from "), Line("] connected to ZNC from "), App("znc")],
    ["[2026-11-20 06:25:01] [mia] failed to login from 203.0.113.77"],
    [
        (Failed, "login", "[{time}] [{user}] failed to login from {from}"),
        (Login, "login", "[{time}] [{user}] connected to ZNC from {from}"),
        (Failed, "login", "[{user}] failed to login from {from}"),
        (Login, "login", "[{user}] connected to ZNC from {from}"),
    ]
);

dialect!(
    COUNTER_STRIKE,
    "source-rcon",
    "",
    "Counter-Strike and other Source game servers",
    "https://developer.valvesoftware.com/wiki/HL_Log_Standard",
    [Line(": Bad Rcon: "), Holds(": Bad Rcon: "), Line(": Rcon: "), Line("rcon from \"")],
    ["L 11/20/2026 - 06:25:01: Bad Rcon: \"rcon 1146003691 \"secret\"  status\" from \"203.0.113.77:57370\""],
    [
        (Failed, "rcon", "L {mdy}: Bad Rcon: \"{*}\" from \"{peer}\""),
        (Login, "rcon", "L {mdy}: Rcon: \"{*}\" from \"{peer}\""),
        (Failed, "rcon", "L {mdy}: rcon from \"{peer}\": Bad Password"),
        (Is(EventType::PrivilegeUse), "rcon", "L {mdy}: rcon from \"{peer}\": command \"{=process.command_line}\""),
    ]
);

dialect!(
    MONIT,
    "monit",
    "",
    "Monit",
    "https://mmonit.com/monit/documentation/monit.html#MONIT-HTTPD",
    [App("monit"), Line("HttpRequest: access denied"), Holds("access denied -- client ")],
    ["<28>Nov 20 06:25:01 web1 monit[573]: HttpRequest: access denied -- client 203.0.113.77: wrong password for user 'mia'"],
    [
        (Failed, "login", "HttpRequest: access denied -- client {ip}: wrong password for user '{user}'"),
        (Failed, "login", "HttpRequest: access denied -- client {ip}: unknown user '{user}'"),
        (Failed, "login", "HttpRequest: access denied -- client {ip}: {=event.reason}"),
        (Denied, "access", "Denied connection from non-authorized client [{ip}]{*}"),
        (Failed, "login", "[{time}] {*} HttpRequest: access denied -- client {ip}: wrong password for user '{user}'"),
        (Failed, "login", "[{time}] {*} HttpRequest: access denied -- client {ip}: unknown user '{user}'"),
        (Failed, "login", "[{time}] {*} HttpRequest: access denied -- client {ip}: {=event.reason}"),
        (Failed, "login", "monit: HttpRequest: access denied -- client {ip}: {=event.reason}"),
    ]
);

dialect!(
    MONITORIX,
    "monitorix",
    "",
    "Monitorix",
    "https://www.monitorix.org/documentation.html",
    [
        Line(" - NOTEXIST - ["),
        Line(" - AUTHERR - ["),
        Line(" - NOTALLOWED - ["),
        Holds("- AUTHERR - ["),
        Holds("- NOTALLOWED - ["),
        Holds("- NOTEXIST - [")
    ],
    ["Wed Nov 20 06:25:01 2026 - AUTHERR - [203.0.113.77] Authentication error."],
    [
        (Is(EventType::HttpRequest), "notexist", "{time} - NOTEXIST - [{ip}] File does not exist: {=url.original}"),
        (Failed, "autherr", "{time} - AUTHERR - [{ip}] Authentication error.{*}"),
        (Denied, "notallowed", "{time} - NOTALLOWED - [{ip}] Access not allowed: {=url.original}"),
    ]
);
