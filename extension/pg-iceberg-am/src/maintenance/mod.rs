//! Sizes, statistics, VACUUM, and what keeps files in order.

pub mod compaction;
mod orphan_objects;
pub mod orphans;
mod publish;
mod take_over;
mod upkeep;
pub mod vacuum;
