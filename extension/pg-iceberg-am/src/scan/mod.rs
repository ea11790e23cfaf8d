//! Reading Iceberg tables.
//!
//! [`TableView`] is what one snapshot sees of a table: committed data files and this transaction's
//! own pending rows, as a list of segments. [`RowReader`] moves over the rows of a view in either
//! direction and decodes them a batch at a time; everything that reads goes through it: the table
//! access method's scans ([`TableScan`]), fetches by TID ([`fetch`]) and the planner's Iceberg scan
//! node.

pub mod fetch;
mod file_reader;
mod reader;
mod row_lookup;
mod segment;
mod segment_reader;
pub mod size;
mod table_scan;
mod view;

pub use reader::{Projection, RowReader};
pub use segment::SegmentSource;
pub use table_scan::TableScan;
pub use view::{TableView, UNSEQUENCED};

/// Registers what follows the turns of transactions; called once, from `_PG_init`.
pub fn register() {
    fetch::register();
}
