//! Messages: what happened. One file per product or family.
