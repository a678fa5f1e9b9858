//! Mail servers whose lines about logins are single sentences: Courier, Cyrus, UW IMAP, solid-pop3d, qmail and vpopmail, Perdition, Kerio Connect,
//! ASSP, Domino, Oracle Messaging Server, Sendmail.
//!
//! Sources: the pages below and the programs' own format strings. A failed login and a refusal are medium, the rest low. A login's
//! name is the client's word, so what follows it is looked for from the right.

use crate::parse::dialect::Mark::{App, Begins, Holds, Line};
use crate::parse::prose::Means::{Announced, Denied, Failed, Is, Login, Logout, Minds};
use crate::parse::prose::dialect;
use crate::record::EventType::{ConnectionBlocked, Other};

dialect!(
    COURIER,
    "courier",
    "",
    "Courier mail server",
    "https://www.courier-mta.org/imap/",
    [
        App("imapd-ssl"),
        App("pop3d"),
        App("pop3d-ssl"),
        App("pop3login"),
        App("imaplogin"),
        App("imapd"),
        App("courierpop3login"),
        App("courierd"),
        App("courieresmtpd"),
        App("authdaemond"),
        App("courierpop3d"),
        App("courierimapd")
    ],
    [
        "<22>Nov 20 06:25:01 mx1 imapd-ssl: LOGIN FAILED, user=mia, ip=[::ffff:203.0.113.77]",
        "<22>Nov 20 06:25:01 mx1 courieresmtpd: error,relay=::ffff:203.0.113.77,from=<a@example.net>,to=<b@example.org>: 550 User unknown."
    ],
    [
        (Failed, "login", "LOGIN FAILED, user={user}, ip=[{ip}]{*}"),
        (Failed, "login", "LOGIN FAILED, method={-network.auth_method}, ip=[{ip}]{*}"),
        (Failed, "login", "LOGIN FAILED, ip=[{ip}]{*}"),
        (Login, "login", "LOGIN, user={user}, ip=[{ip}], port=[{port}]{*}"),
        (Login, "login", "LOGIN, user={user}, ip=[{ip}]{*}"),
        (Logout, "logout", "LOGOUT, user={user}, ip=[{ip}]{*}"),
        (Logout, "logout", "LOGOUT, ip=[{ip}]{*}"),
        (Logout, "disconnected", "DISCONNECTED, user={user}, ip=[{ip}]{*}"),
        (Logout, "timeout", "TIMEOUT, user={user}, ip=[{ip}]{*}"),
        (Is(Other), "connection", "Connection, ip=[{ip}]{*}"),
        (Is(Other), "disconnected", "Disconnected, ip=[{ip}]{*}"),
        (Failed, "smtp_login", "error,relay={ip},port={port},msg=\"535 {=event.reason}\",cmd: AUTH {*}"),
        (Failed, "smtp_login", "error,relay={ip},msg=\"535 {=event.reason}\",cmd: AUTH {*}"),
        (Failed, "smtp_login", "error,relay={ip},msg=\"535 {=event.reason}\",cmd: {*}"),
        (
            Denied,
            "rejected",
            "error,relay={ip},port={port},from=<{=email.from.address}>,to=<{=email.to.address}>: {=event.reason}"
        ),
        (Denied, "rejected", "error,relay={ip},from=<{=email.from.address}>,to=<{=email.to.address}>: {=event.reason}"),
        (Denied, "rejected", "error,relay={ip},{*}"),
    ]
);

dialect!(
    CYRUS,
    "cyrus",
    "",
    "Cyrus IMAP and sieve",
    "https://www.cyrusimap.org/imap/reference/admin/monitoring.html",
    [
        App("cyrus"),
        App("imaps"),
        App("imap"),
        App("pop3"),
        App("pop3s"),
        App("lmtpunix"),
        App("sieve"),
        App("timsieved"),
        App("nntp"),
        App("nntps"),
        Begins("badlogin: ")
    ],
    [
        "<21>Nov 20 06:25:01 mx1 cyrus/imaps[535]: badlogin: pc1.example [203.0.113.77] plaintext mia@example.org SASL(-13): authentication failure: checkpass failed",
        "<22>Nov 20 06:25:01 mx1 cyrus/imap[535]: login: pc1.example [203.0.113.77] mia plaintext+TLS User logged in SESSIONID=<x>"
    ],
    [
        (Failed, "login", "badlogin: {_} [{ip}] {-network.auth_method} [SASL({=error.code}): {=event.reason}]"),
        (Failed, "login", "badlogin: {_} [{ip}] {-network.auth_method} {user} SASL({=error.code}): {=event.reason}"),
        (Failed, "login", "badlogin: {_} [{ip}] {-network.auth_method} ({user}) [SASL({=error.code}): {=event.reason}]"),
        (Failed, "login", "badlogin: [{ip}] {-network.auth_method} {user} SASL({=error.code}): {=event.reason}"),
        (Failed, "login", "badlogin: [{ip}] {-network.auth_method} [SASL({=error.code}): {=event.reason}]"),
        (Failed, "login", "badlogin: {_} [{ip}] {-network.auth_method} {user} {=event.reason}"),
        (Failed, "login", "badlogin: {_} [{ip}] {=event.reason}"),
        (Failed, "login", "badlogin: {_}[{ip}] {-network.auth_method} {=event.reason}"),
        (Failed, "login", "badlogin: [{ip}] {=event.reason}"),
        (Failed, "login", "badlogin: {_}[{ip}] {=event.reason}"),
        (Login, "login", "login: {_} [{ip}] {user} {-network.auth_method} User logged in{*}"),
        (Login, "login", "login: [{ip}] {user} {-network.auth_method} User logged in{*}"),
    ]
);

dialect!(
    UW_IMAP,
    "uw-imap",
    "",
    "UW IMAP toolkit",
    "https://github.com/uw-imap/imap/blob/master/docs/FAQ.txt",
    [App("imapd"), App("ipop3d"), App("ipop2d"), App("imapsd")],
    ["<22>Nov 20 06:25:01 mx1 imapd[666]: Login failed user=mia auth=mia host=pc1.example [203.0.113.77]"],
    [
        (Failed, "login", "Login failed user={user} auth={*} host={_} [{ip}]"),
        (Failed, "login", "Login failed user={user} auth={*} host=[{ip}]"),
        (Announced, "login", "Login disabled user={user} auth={*} host={*}[{ip}]"),
        (Failed, "login", "Login excessive login failures user={user} auth={*} host={*}[{ip}]"),
        (Failed, "login", "AUTHENTICATE {-network.auth_method} failure host={*}[{ip}]"),
        (Login, "login", "Login user={user} host={*}[{ip}]{*}"),
        (Login, "login", "Authenticated user={user} host={*}[{ip}]{*}"),
        (Login, "login", "Auth user={user} host={*}[{ip}]{*}"),
        (Logout, "logout", "Logout user={user} host={*}[{ip}]{*}"),
        (Logout, "killed", "Killed {*} user={user} host={*}[{ip}]{*}"),
    ]
);

dialect!(
    SOLID_POP3D,
    "solid-pop3d",
    "",
    "Solid POP3",
    "https://packages.debian.org/source/wheezy/solid-pop3d",
    [App("solid-pop3d")],
    ["<22>Nov 20 06:25:01 mx1 solid-pop3d[382]: authentication failed: no such user: mia - 203.0.113.77"],
    [
        (Failed, "login", "authentication failed: no such user: {user} - {from}"),
        (Failed, "login", "authentication failed: can't map user name: {user} - {from}"),
        (Failed, "login", "authentication failed for mapped user {user} - {from}"),
        (Failed, "login", "APOP authentication failed for mapped user {user} - {from}"),
        (Failed, "login", "APOP authentication failed for user {user} - {from}"),
        (Failed, "login", "authentication failed for user {user} - {from}"),
        (Login, "login", "user {user} authenticated - {from}"),
        (Login, "login", "user {user} is authenticated - {from}"),
        (Is(Other), "connect", "connect from {from}"),
    ]
);

dialect!(
    QMAIL,
    "qmail",
    "",
    "qmail, rblsmtpd and vpopmail",
    "https://cr.yp.to/ucspi-tcp/rblsmtpd.html",
    [
        App("qmail"),
        App("rblsmtpd"),
        App("vpopmail"),
        App("vchkpw-smtp"),
        App("vchkpw-pop3"),
        App("vchkpw-submission"),
        App("vchkpw-imap"),
        App("vchkpw-pop3s"),
        App("vchkpw-smtps"),
        App("vchkpw")
    ],
    [
        "<22>Nov 20 06:25:01 mx1 rblsmtpd: 203.0.113.77 pid 1596 sbl.example 451 listed",
        "<22>Nov 20 06:25:01 mx1 vchkpw-pop3[811]: vchkpw-pop3: password fail (pass: 'x') mia@example.org:203.0.113.77"
    ],
    [
        (Denied, "blocked", "{#}.{#} qmail-smtpd: {#} badiprbl: ip {ip} rbl: {=rule.name}"),
        (Denied, "blocked", "qmail-smtpd: {#} badiprbl: ip {ip} rbl: {=rule.name}"),
        (Denied, "blocked", "{ip} pid {#} {-rule.name} {=event.reason}"),
        (Denied, "blocked", "{ip} pid {#} {=event.reason}"),
        (Denied, "blocked", "{-rule.name} blocked {ip} {=event.reason}"),
        (Denied, "blocked", "{#}.{#} rblsmtpd: {ip} pid {#} {=event.reason}"),
        (Denied, "blocked", "rblsmtpd: {ip} pid {#} {=event.reason}"),
        (Failed, "login", "vchkpw-{_}: password fail (pass: '{*}') {user}:{ip}"),
        (Failed, "login", "vchkpw-{_}: password fail {user}:{ip}"),
        (Failed, "login", "vchkpw-{_}: vpopmail user not found {user}:{ip}"),
        (Failed, "login", "vchkpw-{_}: null password given {user}:{ip}"),
        (Login, "login", "vchkpw-{_}: ({-network.auth_method}) login success {user}:{ip}"),
    ]
);

dialect!(
    PERDITION,
    "perdition",
    "",
    "Perdition mail proxy",
    "https://horms.net/projects/perdition/",
    [App("perdition"), App("perdition.imap4"), App("perdition.pop3"), App("perdition.imaps"), App("perdition.pop3s")],
    [
        "<22>Nov 20 06:25:01 mx1 perdition.imap4[811]: Auth: 203.0.113.77:2274->192.0.2.10:143 client-secure=plaintext authorisation_id=NONE authentication_id=\"mia\" server=\"mail.example:143\" protocol=IMAP4 server-secure=plaintext status=\"failed: Re-Authentication Failure\""
    ],
    [
        (
            Failed,
            "login",
            "Auth: {peer}->{dstpeer} {*}authentication_id=\"{user}\" server=\"{=server.address}\" protocol={-network.protocol} {*}status=\"failed: {=event.reason}\""
        ),
        (
            Login,
            "login",
            "Auth: {peer}->{dstpeer} {*}authentication_id=\"{user}\" server=\"{=server.address}\" protocol={-network.protocol} {*}status=\"ok\""
        ),
        (Failed, "login", "Auth: {peer}->{dstpeer} {*}user=\"{user}\" {*}status=\"failed{*}\""),
        (Login, "login", "Auth: {peer}->{dstpeer} {*}user=\"{user}\" {*}status=\"ok\""),
        (Failed, "login", "Fatal Error reading authentication information from client {peer}->{dstpeer}: {=event.reason}"),
        (Is(Other), "connect", "Connect: {peer}->{dstpeer}{*}"),
        (Is(Other), "close", "Close: {peer}->{dstpeer}{*}"),
    ]
);

dialect!(
    KERIO,
    "kerio",
    "",
    "Kerio Connect",
    "https://manuals.gfi.com/en/kerio/connect/content/server-configuration/logs/",
    [
        Line("] Attempt to deliver to unknown recipient"),
        Line("] Administration login into "),
        Line("] Failed SMTP login from "),
        Line("] Failed IMAP login from "),
        Line("] Failed POP3 login from "),
        Line("] SMTP: User "),
        Line("] SMTP server connection from "),
        Line("] Client with IP address "),
        Line("] Message from IP address "),
        Line("] IP address "),
        Line("] Relay attempt from IP address "),
        Line("] SMTP Spam attack detected from "),
        Line("] HTTP/WebMail: "),
        Line("] IMAP: "),
        Line("] POP3: ")
    ],
    [
        "[20/Nov/2026 06:25:01] Failed SMTP login from 203.0.113.77 with SASL method CRAM-MD5.",
        "[20/Nov/2026 06:25:01] SMTP: User mia@example.org doesn't exist. Attempt from IP address 203.0.113.77."
    ],
    [
        (Failed, "login", "[{dmy}] Failed {-network.protocol} login from {ip} with SASL method {=network.auth_method}."),
        (Failed, "login", "[{dmy}] Failed {-network.protocol} login from {ip}, user {user}."),
        (Failed, "login", "[{dmy}] Failed {-network.protocol} login from {ip}{*}"),
        (Failed, "login", "[{dmy}] {=network.protocol}: User {user} doesn't exist. Attempt from IP address {ip}{*}"),
        (Failed, "login", "[{dmy}] {=network.protocol}: Invalid password for user {user}. Attempt from IP address {ip}{*}"),
        (
            Failed,
            "login",
            "[{dmy}] {=network.protocol}: User {user} cannot login: {=event.reason}. Attempt from IP address {ip}{*}"
        ),
        (Failed, "login", "[{dmy}] Administration login into {=kerio.console} from {ip} failed: {=event.reason}"),
        (
            Denied,
            "deliver",
            "[{dmy}] Attempt to deliver to unknown recipient <{user}>, from <{=email.from.address}>, IP address {ip}"
        ),
        (
            Denied,
            "deliver",
            "[{dmy}] Attempt to deliver to unknown recipient {user}, from {=email.from.address}, IP address {ip}"
        ),
        (Denied, "connection", "[{dmy}] Client with IP address {ip} {=event.reason}"),
        (Denied, "message", "[{dmy}] Message from IP address {ip}, sender <{=email.from.address}> rejected: {=event.reason}"),
        (Denied, "blacklist", "[{dmy}] IP address {ip} found in {=rule.name}"),
        (Denied, "spam", "[{dmy}] SMTP Spam attack detected from {ip}, {=event.reason}"),
        (Denied, "relay", "[{dmy}] Relay attempt from IP address {ip}{*}"),
        (Denied, "connection", "[{dmy}] SMTP server connection from {ip} {=event.reason}"),
    ]
);

dialect!(
    ASSP,
    "assp",
    "",
    "Anti-Spam SMTP Proxy",
    "https://sourceforge.net/projects/assp/",
    [
        Line("[SSL-out] "),
        Line("[TLS-out] "),
        Line(" Blocking "),
        Line("[SMTP Error] 5"),
        Line(" max sender authentication errors ")
    ],
    [
        "Nov-20-26 06:25:01 [Worker_1] [TLS-out] 203.0.113.77 [SMTP Error] 535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6",
        "Nov-20-26 06:25:01 Blocking 203.0.113.77 - too much AUTH errors (8);"
    ],
    [
        (Failed, "blocking", "{mdy} Blocking {ip} - too much AUTH errors ({#});"),
        (
            Failed,
            "login",
            "{mdy} [Worker_{#}] [{_}] {ip} max sender authentication errors ({#}) exceeded -- dropping connection - {=event.reason}"
        ),
        (Failed, "login", "{mdy} {ip} max sender authentication errors ({#}) exceeded -- dropping connection - {=event.reason}"),
        (
            Failed,
            "login",
            "{mdy} [{_}] {ip} max sender authentication errors ({#}) exceeded -- dropping connection - {=event.reason}"
        ),
        (Failed, "login", "{mdy} [Worker_{#}] [{_}] {ip} [SMTP Error] 535 {=event.reason}"),
        (Failed, "login", "{mdy} [{_}] {ip} [SMTP Error] 535 {=event.reason}"),
        (Failed, "login", "{mdy} {ip} [SMTP Error] 535 {=event.reason}"),
        (Denied, "tls", "{mdy} [{_}] {ip} SSL negotiation with client failed: {=event.reason}"),
        (Denied, "tls", "{mdy} [Worker_{#}] [{_}] {ip} SSL negotiation with client failed: {=event.reason}"),
        (Minds(Other), "smtp_error", "{mdy} [{_}] {ip} [SMTP Error] {=event.reason}"),
    ]
);

dialect!(
    DOMINO,
    "domino",
    "",
    "HCL Domino: SMTP, IMAP, POP3, HTTP and LDAP tasks",
    "https://help.hcl-software.com/domino/14.0.0/admin/conf_miscellaneouslogs_c.html",
    [
        Line(" authentication failure using internet password"),
        Line("Server: Authentication failed for user "),
        Holds(" authentication failure using internet password")
    ],
    [
        "2026-11-20 06:25:01   smtp: mia [203.0.113.77] authentication failure using internet password",
        "[28325:00010-3735542592] 20-11-2026 06:25:01   SMTP Server: Authentication failed for user mia ; connecting host 203.0.113.77"
    ],
    [
        (Failed, "login", "{time}   {-network.protocol}: {user} [{ip}] authentication failure using internet password"),
        (Failed, "login", "{time}   {-network.protocol}: {user} {ip} authentication failure using internet password"),
        (Failed, "login", "{time}   {-network.protocol} Server: Authentication failed for user {user} ; connecting host {from}"),
        (Failed, "login", "{dmy}   {-network.protocol}: {user} [{ip}] authentication failure using internet password"),
        (Failed, "login", "{dmy}   {-network.protocol}: {user} {ip} authentication failure using internet password"),
        (Failed, "login", "{dmy}   {-network.protocol} Server: Authentication failed for user {user} ; connecting host {from}"),
        (Failed, "login", "[{_}] {time}   {-network.protocol}: {user} [{ip}] authentication failure using internet password"),
        (Failed, "login", "[{_}] {dmy}   {-network.protocol}: {user} [{ip}] authentication failure using internet password"),
        (Failed, "login", "[{_}] {dmy}   {-network.protocol}: {user} {ip} authentication failure using internet password"),
        (
            Failed,
            "login",
            "[{_}] {dmy}   {-network.protocol} Server: Authentication failed for user {user} ; connecting host {from}"
        ),
    ]
);

dialect!(
    ORACLE_IMS,
    "oracle-ims",
    "",
    "Oracle Communications Messaging Server",
    "https://docs.oracle.com/communications/E72263_01/doc.80/e72265/toc.htm",
    [Line("<co ts=\""), Holds("<co ts=\"")],
    [
        "<co ts=\"2026-11-20T06:25:01.99\" pi=\"72a9.5b4.4774\" sc=\"tcp_submit\" dr=\"+\" ap=\"TCP|192.0.2.10|465|203.0.113.77|60766\" mi=\"Bad password\" us=\"mia@example.org\" di=\"535 5.7.8 Bad username or password (Authentication failed).\"/>"
    ],
    [
        (
            Failed,
            "login",
            "<co ts=\"{time}\" {*} ap=\"TCP|{dst}|{dport}|{ip}|{port}\" {*}us=\"{user}\" di=\"535 {=event.reason}\"/>"
        ),
        (Is(Other), "connection", "<co ts=\"{time}\" {*} ap=\"TCP|{dst}|{dport}|{ip}|{port}\" {*}"),
    ]
);

dialect!(
    SENDMAIL,
    "sendmail",
    "",
    "Sendmail",
    "https://www.sendmail.org/~ca/email/doc8.12/op.html",
    [App("sendmail"), App("sm-mta"), App("sm-msp"), App("sm-acceptingconnections"), App("sm-msp-queue")],
    [
        "<22>Nov 20 06:25:01 mx1 sm-mta[211]: s1O7XtZJ021134: ruleset=check_rcpt, arg1=<mia@example.org>, relay=pc1.example [203.0.113.77] (may be forged), reject=550 5.7.1 <mia@example.org>... Relaying denied",
        "<22>Nov 20 06:25:01 mx1 sendmail[211]: s1O7XtZJ021134: AUTH failure (LOGIN): authentication failure (-13) SASL(-13): authentication failure: checkpass failed, user=mia, relay=pc1.example [203.0.113.77]"
    ],
    [
        (Denied, "reject", "{_}: ruleset={-rule.name}, arg1={_}, relay={_} [{ip}]{*}reject={=event.reason}"),
        (Denied, "reject", "{_}: ruleset={-rule.name}, arg1={_}, relay=[{ip}]{*}reject={=event.reason}"),
        (Denied, "reject", "{_}: ruleset={-rule.name}, arg1={_}, arg2={_}, relay={_} [{ip}]{*}reject={=event.reason}"),
        (Denied, "reject", "{_}: ruleset={-rule.name}, arg1={_}, arg2={_}, relay=[{ip}]{*}reject={=event.reason}"),
        (Denied, "reject", "ruleset={-rule.name}, arg1={_}, arg2={_}, relay={_} [{ip}]{*}reject={=event.reason}"),
        (Denied, "reject", "ruleset={-rule.name}, arg1={_}, arg2={_}, relay=[{ip}]{*}reject={=event.reason}"),
        (Denied, "reject", "ruleset={-rule.name}, arg1={_}, relay={_} [{ip}]{*}reject={=event.reason}"),
        (Failed, "login", "{_}: AUTH failure ({-network.auth_method}): {*}, user={user}, relay={_} [{ip}]{*}"),
        (Failed, "login", "{_}: AUTH failure ({-network.auth_method}): {*}, user={user}, relay=[{ip}]{*}"),
        (Failed, "login", "{_}: AUTH failure ({-network.auth_method}): {*}, relay={_} [{ip}]{*}"),
        (Failed, "login", "{_}: AUTH failure ({-network.auth_method}): {*}, relay=[{ip}]{*}"),
        (Failed, "login", "AUTH failure ({-network.auth_method}): {*}, relay={_} [{ip}]{*}"),
        (Login, "login", "{_}: AUTH=server, relay={_} [{ip}]{*}, authid={user}, mech={-network.auth_method}, {*}"),
        (Login, "login", "{_}: AUTH=server, relay=[{ip}]{*}, authid={user}, mech={-network.auth_method}, {*}"),
        (Login, "login", "AUTH=server, relay={_} [{ip}]{*}, authid={user}, mech={-network.auth_method}, {*}"),
        (Failed, "attack", "{_}: {_} [{ip}]: possible SMTP attack: command=AUTH, count={#}"),
        (Failed, "attack", "{_}: [{ip}]: possible SMTP attack: command=AUTH, count={#}"),
        (Failed, "attack", "{_}: {_} [{ip}] (may be forged): possible SMTP attack: command=AUTH, count={#}"),
        (Denied, "attack", "{_}: {*}[{ip}]{*}: possible SMTP attack: command={=smtp.command}, count={#}"),
        (Denied, "rejected", "{_}: [{ip}]: {=smtp.command} [rejected]"),
        (Denied, "rejected", "{_}: {_} [{ip}]: {=smtp.command} [rejected]"),
        (Denied, "rejected", "{_}: {_} [{ip}] (may be forged): {=smtp.command} [rejected]"),
        (Is(Other), "no_mail", "{_}: {_} [{ip}]{*}did not issue MAIL/EXPN/VRFY/ETRN during connection to {*}"),
        (Is(Other), "no_mail", "{_}: [{ip}]{*}did not issue MAIL/EXPN/VRFY/ETRN during connection to {*}"),
        (Minds(ConnectionBlocked), "rejecting", "{_}: rejecting commands from {_} [{ip}]{=event.reason}"),
        (Minds(ConnectionBlocked), "rejecting", "{_}: rejecting commands from [{ip}]{=event.reason}"),
        (Is(Other), "lost", "{_}: lost input channel from {_} [{ip}]{*}"),
        (Is(Other), "lost", "{_}: lost input channel from [{ip}]{*}"),
        (Is(Other), "received", "{_}: from={-email.from.address}, size={*}, relay={_} [{ip}]{*}"),
        (Is(Other), "received", "{_}: from={-email.from.address}, size={*}, relay=[{ip}]{*}"),
    ]
);
