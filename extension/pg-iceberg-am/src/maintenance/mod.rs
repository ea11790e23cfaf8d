//! Sizes, statistics, VACUUM, and what keeps files in order.

pub mod compaction;
pub mod orphans;
mod publish;
mod upkeep;
pub mod vacuum;
