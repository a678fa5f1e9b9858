//! What the number of a message says: kind, severity, and which way round its ends are named.
//!
//! Severity is ours, not the device's. A refused packet is routine on a firewall, whatever level it is logged at (106001 has 2): low; where
//! the refusal says that somebody forges or attacks: medium. A refused login is medium, an alert of the device's own detectors medium.
//! What the device says of itself is as bad as its level: 0 and 1 high, 2 and 3 medium, the rest low.

use crate::parse::scan;
use crate::record::EventType::{
    self, AccessDenied, AccountChange, ConfigChange, ConnectionAllowed, ConnectionBlocked, DataTransfer, IdsAlert, LoginFailed,
    LoginSuccess, Logout, MalwareDetected, Other, PrivilegeUse, ServiceChange, System,
};
use crate::record::Severity::{self, High, Low, Medium};

/// How a message is read.
pub(super) enum Reading {
    /// Words in their roles.
    Roles,
    /// `Name: value, Name: value`.
    Event,
}

/// What a message's number says.
pub(super) struct Meaning {
    pub(super) event_type: EventType,
    pub(super) severity: Severity,
    pub(super) reading: Reading,
}

/// The meaning of message `id`, logged at `level`.
pub(super) fn of(id: u32, level: u8) -> Meaning {
    let (event_type, severity) = kind(id).unwrap_or((
        System,
        match level {
            0 | 1 => High,
            2 | 3 => Medium,
            _ => Low,
        },
    ));
    let reading = if (430_001..=430_005).contains(&id) { Reading::Event } else { Reading::Roles };
    Meaning { event_type, severity, reading }
}

#[rustfmt::skip]
fn kind(id: u32) -> Option<(EventType, Severity)> {
    Some(match id {
        // Failover and the machine itself.
        101_000..=105_999 => (ServiceChange, failover(id)),
        // Packets refused by access lists and by the rules of the stateful engine.
        106_016 | 106_017 | 106_020 | 106_021 | 106_022 | 107_001 | 107_002 => (ConnectionBlocked, Medium),
        106_100 | 106_102 | 106_103 => (ConnectionBlocked, Low),   // or permitted: the text says it
        106_001..=106_099 => (ConnectionBlocked, Low),
        // Users who authenticate through the device.
        109_005 => (LoginSuccess, Low),
        109_006 | 109_031 | 109_033 | 109_034 => (LoginFailed, Medium),
        109_007 => (ConnectionAllowed, Low),
        109_008 | 109_015 | 109_023 | 109_024 | 109_025 => (AccessDenied, Low),
        109_012 => (Logout, Low),
        109_201..=109_213 => (Other, Low),
        109_001..=109_099 => (Other, Low),
        110_002 | 110_003 => (ConnectionBlocked, Low),
        111_001..=111_010 => (ConfigChange, Low),
        111_111 => (System, Medium),
        // AAA. 113008 repeats 113004 and 113012, 113016 and 113017 repeat 113005 and 113015: one attempt, one login.
        113_004 => (Other, Low),                                   // authentication: the text says it
        113_005 | 113_015 | 113_021 => (LoginFailed, Medium),
        113_012 => (LoginSuccess, Low),
        113_006 | 113_007 => (AccountChange, Medium),
        113_016 | 113_017 | 113_018 | 113_033 | 113_035 | 113_036 | 113_038 => (AccessDenied, Low),
        113_019 => (Logout, Low),
        113_039 => (ConnectionAllowed, Low),
        113_001 | 113_014 | 113_020 | 113_022 | 113_023 => (ServiceChange, Low),
        113_003..=113_099 => (Other, Low),
        199_001..=199_999 => return None,
        201_002..=201_013 | 202_001..=202_016 => (ConnectionBlocked, Low),
        209_003..=209_006 => (ConnectionBlocked, Low),
        // Connections of the stateful engine.
        302_013 | 302_015 | 302_017 | 302_020 | 302_022 | 302_024 | 302_026 | 302_303 | 302_305 => (ConnectionAllowed, Low),
        302_014 | 302_016 | 302_018 | 302_021 | 302_023 | 302_025 | 302_027 | 302_304 | 302_306 => (DataTransfer, Low),
        302_001..=302_999 => (Other, Low),
        303_002..=303_003 => (DataTransfer, Low),
        303_004 | 303_005 => (ConnectionBlocked, Low),
        304_001 => (ConnectionAllowed, Low),
        304_002 => (ConnectionBlocked, Low),
        304_003..=304_009 => (ServiceChange, Low),
        305_009..=305_012 | 305_017 | 305_018 | 305_021..=305_022 => (Other, Low),
        305_005..=305_008 | 305_013 | 305_014 | 305_016 | 305_019 | 305_020 => (ConnectionBlocked, Low),
        307_001 | 307_002 => (AccessDenied, Low),
        308_001 => (LoginFailed, Medium),
        313_001..=313_009 => (ConnectionBlocked, Low),
        314_001..=314_006 => (Other, Low),
        315_001..=315_004 => (AccessDenied, Low),
        315_011 => (Logout, Low),
        315_012 | 315_013 => (Other, Low),
        322_001..=322_003 => (ConnectionBlocked, Medium),
        324_000..=324_301 | 325_004..=325_006 => (ConnectionBlocked, Low),
        // Botnet traffic filter.
        338_001 | 338_002 | 338_003 | 338_004 | 338_201 | 338_202 => (ConnectionAllowed, Medium),   // or dropped: the text says it
        338_005..=338_008 | 338_203 | 338_204 => (ConnectionBlocked, Medium),
        338_101..=338_104 => (ConnectionAllowed, Low),
        // IDS signatures of the ASA.
        400_000..=400_051 => (IdsAlert, Medium),
        401_001..=401_003 | 401_005 => (ConfigChange, Low),
        401_004 => (ConnectionBlocked, Low),
        402_114..=402_119 | 402_120 | 402_125 | 402_126 => (ConnectionBlocked, Low),
        405_001..=405_003 => (IdsAlert, Medium),
        405_101..=405_302 | 406_001 | 406_002 | 407_001 | 407_002 | 408_001..=408_003 => (ConnectionBlocked, Low),
        410_001..=410_004 | 412_001 | 412_002 | 415_001..=415_020 | 416_001 | 417_001..=417_009 => (ConnectionBlocked, Low),
        418_001 | 418_018 | 418_019 | 418_040 => (ConnectionBlocked, Low),
        419_001 | 419_002 | 419_003 | 419_004 | 421_001 | 421_002 | 421_007 | 422_004 | 423_001..=423_005 => (ConnectionBlocked, Low),
        429_001..=429_003 | 434_002 | 434_004 => (ConnectionBlocked, Low),
        // Threat Defense events: the text says more.
        430_001 => (IdsAlert, Low),
        430_002 | 430_003 => (ConnectionAllowed, Low),
        430_004 => (DataTransfer, Low),
        430_005 => (MalwareDetected, Low),
        431_001 | 431_002 | 433_001..=433_003 | 446_001 => (ConnectionBlocked, Low),
        500_001..=500_004 => (ConnectionBlocked, Low),
        500_005 => (ConnectionBlocked, Low),
        502_101 | 502_102 => (AccountChange, Low),
        502_103 => (PrivilegeUse, Low),
        502_111 | 502_112 => (ConfigChange, Low),
        505_001..=505_016 => (ServiceChange, Low),
        507_001 => (Other, Low),
        507_002 | 507_003 => (ConnectionBlocked, Low),
        508_001 | 508_002 | 509_001 => (ConnectionBlocked, Low),
        602_303 => (ConnectionAllowed, Low),
        602_101..=602_499 => (Other, Low),
        603_101..=603_110 => (Other, Low),
        605_004 => (LoginFailed, Medium),
        605_005 => (LoginSuccess, Low),
        606_001 | 606_003 => (ConnectionAllowed, Low),
        606_002 | 606_004 => (Logout, Low),
        607_001..=607_004 | 608_001..=608_005 | 609_001 | 609_002 | 616_001 | 617_001..=617_100 => (Other, Low),
        611_101 => (LoginSuccess, Low),
        611_102 => (LoginFailed, Medium),
        611_103 => (Logout, Low),
        620_001..=622_102 => (Other, Low),
        // Traffic to the device itself.
        710_001 => (Other, Low),
        710_002 => (ConnectionAllowed, Low),
        710_003..=710_007 => (ConnectionBlocked, Low),
        // VPN.
        713_060 | 713_061 | 713_194 | 713_206 | 713_255 => (AccessDenied, Low),
        713_167 | 713_198 => (LoginFailed, Medium),
        713_001..=713_999 | 714_001..=715_999 => (Other, Low),
        716_001 => (ConnectionAllowed, Low),
        716_002 => (Logout, Low),
        716_004 | 716_007 | 716_022 | 716_023 => (AccessDenied, Low),
        716_038 => (LoginSuccess, Low),
        716_039 => (LoginFailed, Medium),
        716_003..=716_099 => (Other, Low),
        717_001..=717_064 | 720_001..=721_019 => (System, Low),
        722_022 | 722_033 | 722_034 | 722_051 => (ConnectionAllowed, Low),
        722_023 | 722_037 => (Logout, Low),
        722_001..=722_056 => (Other, Low),
        725_001..=725_003 => (ConnectionAllowed, Low),
        725_004..=725_022 => (Other, Low),
        // Threat detection.
        733_100..=733_105 => (IdsAlert, Medium),
        733_201 | 733_202 => (IdsAlert, Medium),
        734_001 => (LoginSuccess, Low),
        734_002..=734_004 => (Other, Low),
        735_001..=735_029 => (System, if id >= 735_011 { Low } else { Medium }),
        737_001..=737_402 => (Other, Low),
        746_001..=746_019 => (Other, Low),
        750_006 | 750_001 | 750_002 => (ConnectionAllowed, Low),
        750_007 => (Logout, Low),
        750_003 | 750_008..=750_017 | 751_001..=752_017 => (Other, Low),
        768_001..=768_004 => (Other, Low),
        771_001 | 771_002 | 772_002..=772_006 => (System, Low),
        805_001 | 805_002 => (ConnectionAllowed, Low),
        805_003 => (DataTransfer, Low),
        815_002..=815_004 => (ConnectionBlocked, Low),
        _ => return None,
    })
}

/// A pair that lost its mate or a unit that took over: somebody should look. The rest of failover's chatter is low.
fn failover(id: u32) -> Severity {
    match id {
        101_001 | 103_001 | 104_001 | 104_002 | 105_005 | 105_043 | 105_044 => High,
        _ => Low,
    }
}

/// Whether the first end that a message names ("for A") is the one that answers. `Built outbound … for A to B` names the outside first,
/// whichever side opened it; the teardown does not say who did, and neither does an ICMP teardown.
pub(super) fn responder_first(id: u32, text: &str) -> bool {
    match id {
        302_013 | 302_015 | 302_017 | 302_303 | 302_305 => scan::has(text, "outbound"),
        302_020 => scan::has(text, "inbound"),
        _ => false,
    }
}
