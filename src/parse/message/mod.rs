//! Messages: what happened. One file per product or family.

mod cisco_asa;
mod filterlog;
mod netfilter;
mod pfsense;
pub(crate) mod suricata;

use super::{access, envelope};
use crate::record::LogRecord;

/// Reads what firewalls, web servers and intrusion detection systems say; false, and the record untouched, for other messages.
pub(crate) fn device<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    cisco_asa::parse(message, record)
        || netfilter::parse(message, record)
        || filterlog::parse(message, record)
        || pfsense::parse(message, record)
        || envelope::json::message(message, record)
        || access::message(message, record)
}
