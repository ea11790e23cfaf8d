//! The settings `pg_iceberg_am.*`.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use pg_arrow_conv::UnconstrainedNumeric;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};

/// Size, in kilobytes, at which a data file is closed and the next one begun.
static TARGET_FILE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(256 * 1024);
/// Threads that encode a large data file.
static ENCODER_THREADS: GucSetting<i32> = GucSetting::<i32>::new(1);
static DECODER_THREADS: GucSetting<i32> = GucSetting::<i32>::new(2);
/// Kilobytes of rows that a transaction keeps in memory.
static WRITE_WORK_MEM: GucSetting<i32> = GucSetting::<i32>::new(256 * 1024);
/// Rows of a table that a command changes one by one before it claims others.
static CLAIM_ROWS_AFTER: GucSetting<i32> = GucSetting::<i32>::new(256);
/// Level of zstd compression.
static COMPRESSION_LEVEL: GucSetting<i32> = GucSetting::<i32>::new(3);
/// Whether the planner may use the Iceberg scan node.
static ENABLE_CUSTOM_SCAN: GucSetting<bool> = GucSetting::<bool>::new(true);
/// What `numeric` without a precision is kept as in new tables.
static UNCONSTRAINED_NUMERIC: GucSetting<NumericForm> =
    GucSetting::<NumericForm>::new(NumericForm::Decimal);

/// Milliseconds from one metadata file of a table to the next.
static PUBLISH_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(100);

/// Milliseconds from one metadata file of a table in an object store to the next.
static OBJECT_PUBLISH_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(5000);
/// Seconds for which objects are kept that no table needs any more.
static OBJECT_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(7 * 24 * 3600);

/// Workers that serve all databases.
static MAX_WORKERS: GucSetting<i32> = GucSetting::<i32>::new(2);

/// Snapshots of a table that are not thinned.
static RECENT_SNAPSHOTS: GucSetting<i32> = GucSetting::<i32>::new(100);
/// Minutes after which snapshots expire.
static MAX_SNAPSHOT_AGE: GucSetting<i32> = GucSetting::<i32>::new(5 * 24 * 60);
/// Seconds for which files are kept that the metadata do not lead to any more.
static FILE_KEEP_TIME: GucSetting<i32> = GucSetting::<i32>::new(60);

/// The values of `pg_iceberg_am.unconstrained_numeric`.
#[derive(Clone, Copy, PostgresGucEnum)]
enum NumericForm {
    #[name = c"decimal"]
    Decimal,
    #[name = c"text"]
    Text,
}

/// For pg_upgrade: the old cluster's data directory, and what becomes of its files.
static UPGRADE_FROM: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static UPGRADE_TRANSFER: GucSetting<UpgradeTransfer> =
    GucSetting::<UpgradeTransfer>::new(UpgradeTransfer::Copy);

/// How pg_upgrade takes over the files of Iceberg tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
pub enum UpgradeTransfer {
    /// As files of the new cluster's own.
    #[name = c"copy"]
    Copy,
    /// As hard links.
    #[name = c"link"]
    Link,
}

/// Registers the settings; called once, from `_PG_init`.
pub fn register() {
    int(
        GucContext::Userset,
        c"pg_iceberg_am.target_file_size",
        c"Size at which a data file is closed and the next one begun.",
        &TARGET_FILE_SIZE,
        1024,
        16 * 1024 * 1024,
        GucFlags::UNIT_KB,
    );
    int(
        GucContext::Userset,
        c"pg_iceberg_am.encoder_threads",
        c"Worker threads of a session that encode large data files; 0 encodes in the backend itself.",
        &ENCODER_THREADS,
        0,
        16,
        GucFlags::default(),
    );
    int(
        GucContext::Userset,
        c"pg_iceberg_am.decoder_threads",
        c"Worker threads of a session that read and decode long data files ahead; 0 leaves it to the backend itself.",
        &DECODER_THREADS,
        0,
        16,
        GucFlags::default(),
    );
    int(
        GucContext::Userset,
        c"pg_iceberg_am.write_work_mem",
        c"Memory that inserted rows of all Iceberg tables take before those of the tables with most are written to files.",
        &WRITE_WORK_MEM,
        1024,
        i32::MAX,
        GucFlags::UNIT_KB,
    );
    int(
        GucContext::Userset,
        c"pg_iceberg_am.compression_level",
        c"Level of zstd compression of data files.",
        &COMPRESSION_LEVEL,
        1,
        22,
        GucFlags::default(),
    );
    int(
        GucContext::Userset,
        c"pg_iceberg_am.publish_interval",
        c"How long inserts into a table wait, after it was given a metadata file, to share the next one; \
          0 gives every transaction its own.",
        &PUBLISH_INTERVAL,
        0,
        60_000,
        GucFlags::UNIT_MS,
    );
    int(
        GucContext::Suset,
        c"pg_lakebase.object_publish_interval",
        c"How long inserts into a table in an object store wait, after it was given a metadata file, to share the next one.",
        &OBJECT_PUBLISH_INTERVAL,
        0,
        3_600_000,
        GucFlags::UNIT_MS,
    );
    int(
        GucContext::Sighup,
        c"pg_lakebase.object_retention",
        c"How long objects are kept that no table needs any more, for standbys and servers that are set back in time.",
        &OBJECT_RETENTION,
        0,
        i32::MAX,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"pg_iceberg_am.max_workers",
        c"Background workers that write metadata of Iceberg tables, for all databases.",
        c"They come from max_worker_processes.",
        &MAX_WORKERS,
        1,
        64,
        GucContext::Sighup,
        GucFlags::default(),
    );
    int(
        GucContext::Suset,
        c"pg_iceberg_am.recent_snapshots",
        c"How many of a table's last snapshots are all kept; of older ones, one a minute, then one an hour, then one a day.",
        &RECENT_SNAPSHOTS,
        1,
        100_000,
        GucFlags::default(),
    );
    int(
        GucContext::Suset,
        c"pg_iceberg_am.max_snapshot_age",
        c"Age at which snapshots of Iceberg tables expire, but for the current one.",
        &MAX_SNAPSHOT_AGE,
        0,
        i32::MAX,
        GucFlags::UNIT_MIN,
    );
    int(
        GucContext::Suset,
        c"pg_iceberg_am.file_keep_time",
        c"How long files of expired snapshots are kept for other engines that may be reading them.",
        &FILE_KEEP_TIME,
        0,
        i32::MAX,
        GucFlags::UNIT_S,
    );
    int(
        GucContext::Userset,
        c"pg_iceberg_am.claim_rows_after",
        c"Rows that a statement deletes or updates one by one before it notes others many at a time.",
        &CLAIM_ROWS_AFTER,
        0,
        i32::MAX,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_iceberg_am.enable_custom_scan",
        c"Enables the planner's use of Iceberg scan nodes, which read only the columns needed.",
        c"",
        &ENABLE_CUSTOM_SCAN,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"pg_iceberg_am.unconstrained_numeric",
        c"What columns of type numeric without a precision are kept as in new tables: \
          a decimal(38,18), or text.",
        c"A table is new when it is made, truncated or rewritten.",
        &UNCONSTRAINED_NUMERIC,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"pg_iceberg_am.upgrade_from",
        c"Data directory of the cluster that pg_upgrade takes Iceberg tables from.",
        c"It counts only in a server that pg_upgrade runs.",
        &UPGRADE_FROM,
        GucContext::Postmaster,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_enum_guc(
        c"pg_iceberg_am.upgrade_transfer",
        c"Whether pg_upgrade copies the files of Iceberg tables or makes hard links to them.",
        c"It counts only in a server that pg_upgrade runs.",
        &UPGRADE_TRANSFER,
        GucContext::Postmaster,
        GucFlags::default(),
    );
    pg_lakebase_core::guc::reserve_prefix(c"pg_iceberg_am");
}

/// A setting of sessions (`Userset`), or of the background workers, which superusers change for a server or a database
/// (`Suset`).
fn int(
    context: GucContext,
    name: &'static CStr,
    description: &'static CStr,
    setting: &'static GucSetting<i32>,
    min: i32,
    max: i32,
    flags: GucFlags,
) {
    GucRegistry::define_int_guc(name, description, c"", setting, min, max, context, flags);
}

/// Size in bytes at which a data file is closed.
pub fn target_file_size() -> u64 {
    u64::from(TARGET_FILE_SIZE.get().unsigned_abs()) * 1024
}

/// How long it takes from one metadata file of a table to the next; zero if every transaction makes one.
pub fn publish_interval() -> Duration {
    Duration::from_millis(PUBLISH_INTERVAL.get().unsigned_abs().into())
}

/// The same of a table in an object store, if it is longer.
pub fn object_publish_interval() -> Duration {
    Duration::from_millis(OBJECT_PUBLISH_INTERVAL.get().unsigned_abs().into())
}

/// How long objects are kept that no table needs any more.
pub fn object_retention() -> Duration {
    Duration::from_secs(u64::from(OBJECT_RETENTION.get().unsigned_abs()))
}

/// How many background workers serve all databases.
pub fn max_workers() -> usize {
    MAX_WORKERS.get().unsigned_abs() as usize
}

/// So many rows of a table a command changes one by one before it claims others.
pub fn claim_rows_after() -> i32 {
    CLAIM_ROWS_AFTER.get()
}

/// Bytes of rows that a transaction keeps in memory.
pub fn write_work_mem() -> usize {
    WRITE_WORK_MEM.get().unsigned_abs() as usize * 1024
}

/// Snapshots of a table that are not thinned.
pub fn recent_snapshots() -> usize {
    RECENT_SNAPSHOTS.get().unsigned_abs() as usize
}

/// Age at which snapshots expire.
pub fn max_snapshot_age() -> Duration {
    Duration::from_secs(60 * u64::from(MAX_SNAPSHOT_AGE.get().unsigned_abs()))
}

/// How long files are kept that the metadata do not lead to any more.
pub fn file_keep_time() -> Duration {
    Duration::from_secs(FILE_KEEP_TIME.get().unsigned_abs().into())
}

/// Number of threads that encode large data files.
pub fn encoder_threads() -> usize {
    ENCODER_THREADS.get().unsigned_abs() as usize
}

/// Number of threads that decode long data files ahead.
pub fn decoder_threads() -> usize {
    DECODER_THREADS.get().unsigned_abs() as usize
}

/// Level of zstd compression.
pub fn compression_level() -> i32 {
    COMPRESSION_LEVEL.get()
}

/// Whether the planner may use the Iceberg scan node.
pub fn enable_custom_scan() -> bool {
    ENABLE_CUSTOM_SCAN.get()
}

/// What `numeric` without a precision is kept as in new tables.
pub fn unconstrained_numeric() -> UnconstrainedNumeric {
    match UNCONSTRAINED_NUMERIC.get() {
        NumericForm::Decimal => UnconstrainedNumeric::Decimal,
        NumericForm::Text => UnconstrainedNumeric::Text,
    }
}

/// The data directory of the cluster that pg_upgrade upgrades, if it was told.
pub fn upgrade_from() -> Option<PathBuf> {
    let path = UPGRADE_FROM.get()?;
    let path = OsStr::from_bytes(path.to_bytes());
    (!path.is_empty()).then(|| path.into())
}

/// How pg_upgrade takes over the files of Iceberg tables.
pub fn upgrade_transfer() -> UpgradeTransfer {
    UPGRADE_TRANSFER.get()
}
