//! Sizes, statistics and VACUUM.

mod orphans;
pub mod size;
pub mod vacuum;
