//! Sizes, statistics, VACUUM, and what keeps files in order.

mod orphans;
mod publish;
pub mod vacuum;
