//! Table scans: the file list is planned, data files are read as Arrow batches.

pub(crate) mod parquet_value;
