//! Sizes, statistics and VACUUM.

pub mod size;
pub mod vacuum;
