//! Envelopes: who sent a line, when, and the message inside.

pub(crate) mod json;
