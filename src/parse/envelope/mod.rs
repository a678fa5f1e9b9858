//! Envelopes: who sent a line, when, and the message inside.
