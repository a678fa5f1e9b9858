//! The room as its callers see it: real files in temporary directories, and a plain model of the pipeline that commits batches.

mod harness;
mod lines;
mod matrix;
pub mod meanwhile;
mod model;
mod rotation;
