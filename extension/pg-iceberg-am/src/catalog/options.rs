//! Options of Iceberg tables, which `pg_class.reloptions` has beside those that PostgreSQL knows.
//!
//! PostgreSQL passes over names that it does not know when it opens a table, and refuses them when options are
//! set; `ddl/table_options.rs` keeps them from it then.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

use iceberg_lite::spec::FormatVersion;
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{Relation, RelationKind};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::is_iceberg;

/// Version of the Iceberg table format.
const FORMAT_VERSION: &str = "format_version";
/// The versions that tables are made in, the default first.
const FORMAT_VERSIONS: [FormatVersion; 2] = [FormatVersion::V2, FormatVersion::V3];

/// Size in bytes at which a data file is closed.
const TARGET_FILE_SIZE: &str = "write.target-file-size-bytes";
/// Level of zstd.
const COMPRESSION_LEVEL: &str = "write.parquet.compression-level";

/// Whether files are written again without rows that are changed, or delete files say which rows they are.
const DELETE_MODE: &str = "write.delete.mode";
const UPDATE_MODE: &str = "write.update.mode";
const MERGE_MODE: &str = "write.merge.mode";
const COPY_ON_WRITE: &str = "copy-on-write";
const MERGE_ON_READ: &str = "merge-on-read";

/// How much of the past is kept: what does not say so would be taken for Iceberg's default.
const MAX_AGES: [&str; 2] = [
    "history.expire.max-snapshot-age-ms",
    "history.expire.max-ref-age-ms",
];
const COUNTS: [&str; 2] = [
    "history.expire.min-snapshots-to-keep",
    "write.metadata.previous-versions-max",
];

/// Properties that would say something else than what is done, and what is done.
const FIXED: [(&str, &str); 9] = [
    (
        "pg-lakebase.",
        "Properties of pg-lakebase's own are not options.",
    ),
    (
        "schema.name-mapping.default",
        "Columns are found by their field ids.",
    ),
    ("write.data.path", LOCATION),
    ("write.folder-storage.path", LOCATION),
    ("write.location-provider.impl", LOCATION),
    (
        "write.metadata.compression-codec",
        "Metadata files are not compressed.",
    ),
    (
        "write.metadata.delete-after-commit.enabled",
        "Metadata files are removed once nobody needs them.",
    ),
    ("write.metadata.path", LOCATION),
    ("write.object-storage.", LOCATION),
];
const LOCATION: &str = "Where files lie is not an option.";

/// The options of a table that are Iceberg's: the version of the format, and dotted names, which are properties of the
/// table's metadata as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions(BTreeMap<String, String>);

/// Whether an option is Iceberg's rather than PostgreSQL's, whose names have no dots.
pub fn is_iceberg_option(name: &str) -> bool {
    name == FORMAT_VERSION || name.contains('.')
}

/// PostgreSQL's own error for an option that a relation cannot have.
pub fn unrecognized(name: &str) -> PgError {
    invalid(format!("unrecognized parameter \"{name}\""))
}

fn invalid(message: String) -> PgError {
    PgError::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
}

impl TableOptions {
    /// Those of a relation, as far as committed transactions tell and this one; none if it is gone.
    pub fn of(relid: pg_sys::Oid) -> Self {
        let being_made = CREATING.with_borrow(|creating| {
            let made = creating.iter().find(|made| made.created == Some(relid));
            made.map(|made| made.options.clone())
        });
        if let Some(options) = being_made {
            return options;
        }
        Self(
            stored(relid)
                .into_iter()
                .filter(|(name, _)| is_iceberg_option(name))
                .collect(),
        )
    }

    /// Sets an option after checking it.
    pub fn set(&mut self, name: &str, value: &str) -> PgResult<()> {
        check(name, value)?;
        let before = self.format_version();
        self.0.insert(name.to_owned(), value.to_owned());
        self.check_not_lowered(before)
    }

    /// Back to the default.
    pub fn reset(&mut self, name: &str) -> PgResult<()> {
        let before = self.format_version();
        self.0.remove(name);
        self.check_not_lowered(before)
    }

    fn check_not_lowered(&self, before: FormatVersion) -> PgResult<()> {
        if self.format_version() >= before {
            return Ok(());
        }
        let (before, after) = (before.number(), self.format_version().number());
        Err(PgError::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("cannot lower option \"{FORMAT_VERSION}\" from {before} to {after}"),
        )
        .with_detail("Files of a later version of the Iceberg table format cannot be read as those of an earlier one.")
        .with_hint("Make another table, and copy the rows with INSERT INTO ... SELECT."))
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first name.
    pub fn first(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }

    /// Names and values.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Names and values, as the metadata's properties have them.
    pub fn properties(&self) -> BTreeMap<String, String> {
        let mut properties = self.0.clone();
        properties.remove(FORMAT_VERSION);
        properties
    }

    /// The version of the format in which the table's metadata are written from now on.
    pub fn format_version(&self) -> FormatVersion {
        let number = self.0.get(FORMAT_VERSION);
        number
            .and_then(|number| FormatVersion::from_number(number.parse().ok()?))
            .unwrap_or(FORMAT_VERSIONS[0])
    }

    /// Size at which a data file is closed, if it is set.
    pub fn target_file_size(&self) -> Option<u64> {
        self.0.get(TARGET_FILE_SIZE)?.parse().ok()
    }

    /// Whether data files are to be written again without rows that are deleted or, if `is_update`, updated. What MERGE
    /// does to a row is the one or the other.
    pub fn copies_on_write(&self, is_update: bool) -> bool {
        let own = if is_update { UPDATE_MODE } else { DELETE_MODE };
        [own, MERGE_MODE]
            .iter()
            .any(|name| self.0.get(*name).is_some_and(|mode| mode == COPY_ON_WRITE))
    }

    /// Level of compression, if it is set.
    pub fn compression_level(&self) -> Option<i32> {
        self.0.get(COMPRESSION_LEVEL)?.parse().ok()
    }
}

fn check(name: &str, value: &str) -> PgResult<()> {
    let is_fixed = |fixed: &str| name == fixed || (fixed.ends_with('.') && name.starts_with(fixed));
    if let Some((_, detail)) = FIXED.iter().find(|(fixed, _)| is_fixed(fixed)) {
        return Err(invalid(format!("cannot set option \"{name}\"")).with_detail(*detail));
    }
    if !name
        .bytes()
        .chain(value.bytes())
        .all(|byte| (b' '..=b'~').contains(&byte))
    {
        return Err(invalid(format!("invalid value for option \"{name}\""))
            .with_detail("Names and values of Iceberg's options are printable ASCII."));
    }
    if name.contains('=') {
        return Err(invalid(format!(
            "invalid option name \"{name}\": must not contain \"=\""
        )));
    }
    match name {
        FORMAT_VERSION => {
            let [least, greatest] = FORMAT_VERSIONS.map(|version| version.number().into());
            check_integer(name, value, least, greatest)
        }
        TARGET_FILE_SIZE => check_integer(name, value, 1 << 20, 16 << 30),
        COMPRESSION_LEVEL => check_integer(name, value, 1, 22),
        count if COUNTS.contains(&count) => check_integer(name, value, 1, i32::MAX.into()),
        age if MAX_AGES.contains(&age) => check_integer(name, value, 0, i64::MAX),
        DELETE_MODE | UPDATE_MODE | MERGE_MODE => {
            check_is_one(name, value, &[COPY_ON_WRITE, MERGE_ON_READ])
        }
        "write.parquet.compression-codec" => check_is_one(name, value, &["zstd"]),
        "write.format.default" => check_is_one(name, value, &["parquet"]),
        _ => Ok(()),
    }
}

/// As PostgreSQL says it (`parse_one_reloption`).
fn check_integer(name: &str, value: &str, least: i64, greatest: i64) -> PgResult<()> {
    let number: i64 = value.parse().map_err(|_| {
        invalid(format!(
            "invalid value for integer option \"{name}\": {value}"
        ))
    })?;
    if (least..=greatest).contains(&number) {
        return Ok(());
    }
    Err(
        invalid(format!("value {value} out of bounds for option \"{name}\"")).with_detail(format!(
            "Valid values are between \"{least}\" and \"{greatest}\"."
        )),
    )
}

fn check_is_one(name: &str, value: &str, valid: &[&str]) -> PgResult<()> {
    if valid.contains(&value) {
        return Ok(());
    }
    let valid: Vec<_> = valid.iter().map(|value| format!("\"{value}\"")).collect();
    Err(
        invalid(format!("invalid value for enum option \"{name}\": {value}"))
            .with_detail(format!("Valid values are {}.", valid.join(" and "))),
    )
}

/// All options of a relation, PostgreSQL's too.
pub fn stored(relid: pg_sys::Oid) -> Vec<(String, String)> {
    // SAFETY: look-ups in the system cache; the value is copied before the tuple is released, and the list is made
    // of DefElem with String values (`untransformRelOptions`).
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, relid.into());
        if tuple.is_null() {
            return Vec::new();
        }
        let mut is_null = false;
        let number = pg_sys::Anum_pg_class_reloptions as pg_sys::AttrNumber;
        let datum = pg_sys::SysCacheGetAttr(cache, tuple, number, &mut is_null);
        let mut options = Vec::new();
        if !is_null {
            let list = pg_sys::untransformRelOptions(datum);
            let count = if list.is_null() { 0 } else { (*list).length };
            for index in 0..count {
                let element = pg_sys::list_nth(list, index).cast::<pg_sys::DefElem>();
                options.push(text_of(element));
            }
        }
        pg_sys::ReleaseSysCache(tuple);
        options
    }
}

/// Name and value of an option; a value that is left out means true.
///
/// # Safety
///
/// The element is PostgreSQL's own.
pub unsafe fn text_of(element: *mut pg_sys::DefElem) -> (String, String) {
    // SAFETY: the caller's promise; both are terminated.
    unsafe {
        let text =
            |text: *const std::ffi::c_char| CStr::from_ptr(text).to_string_lossy().into_owned();
        let value = if (*element).arg.is_null() {
            "true".to_owned()
        } else {
            text(pg_sys::defGetString(element))
        };
        (text((*element).defname), value)
    }
}

/// Puts these options in place of all that a relation has.
///
/// As `ATExecSetRelOptions` does it; the caller holds a lock on the relation that keeps others from doing the same.
pub fn store<'a>(
    relid: pg_sys::Oid,
    options: impl Iterator<Item = (&'a String, &'a String)>,
) -> PgResult<()> {
    let options = options
        .map(|(name, value)| Ok((CString::new(name.as_str())?, CString::new(value.as_str())?)))
        .collect::<Result<Vec<_>, std::ffi::NulError>>()
        .map_err(|error| PgError::internal(error.to_string()))?;
    // SAFETY: an update of the relation's row of pg_class, whose tuple is locked until the update is done, as in-place
    // updates ask for. Names and values are copied by PostgreSQL. All is released here, or after an error by the
    // resource owner.
    unsafe {
        let lock = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
        let catalog = pg_sys::table_open(pg_sys::RelationRelationId, lock);
        let tuple =
            pg_sys::SearchSysCacheLocked1(pg_sys::SysCacheIdentifier::RELOID as i32, relid.into());
        if tuple.is_null() {
            return Err(PgError::internal(format!(
                "cache lookup failed for relation {}",
                relid.to_u32()
            )));
        }
        let mut list = std::ptr::null_mut();
        for (name, value) in &options {
            let value = pg_sys::makeString(pg_sys::pstrdup(value.as_ptr()));
            let name = pg_sys::pstrdup(name.as_ptr());
            list = pg_sys::lappend(list, pg_sys::makeDefElem(name, value.cast(), -1).cast());
        }
        let datum = pg_sys::transformRelOptions(
            pg_sys::Datum::from(0),
            list,
            std::ptr::null(),
            std::ptr::null_mut(),
            false,
            false,
        );
        const COLUMN: usize = pg_sys::Anum_pg_class_reloptions as usize - 1;
        let mut values = [pg_sys::Datum::from(0); pg_sys::Natts_pg_class as usize];
        let mut nulls = [false; pg_sys::Natts_pg_class as usize];
        let mut replaced = [false; pg_sys::Natts_pg_class as usize];
        values[COLUMN] = datum;
        nulls[COLUMN] = list.is_null();
        replaced[COLUMN] = true;
        let new = pg_sys::heap_modify_tuple(
            tuple,
            (*catalog).rd_att,
            values.as_ptr(),
            nulls.as_ptr(),
            replaced.as_ptr(),
        );
        pg_sys::CatalogTupleUpdate(catalog, &mut (*new).t_self, new);
        pg_sys::UnlockTuple(
            catalog,
            &mut (*tuple).t_self,
            pg_sys::InplaceUpdateTupleLock as pg_sys::LOCKMODE,
        );
        pg_sys::ReleaseSysCache(tuple);
        pg_sys::table_close(catalog, lock);
        pg_sys::CommandCounterIncrement();
    }
    Ok(())
}

/// A statement that makes a relation.
struct Creating {
    name: CString,
    options: TableOptions,
    created: Option<pg_sys::Oid>,
}

thread_local! {
    /// The statements that are making relations, the innermost last.
    static CREATING: RefCell<Vec<Creating>> = const { RefCell::new(Vec::new()) };
}

/// While this lives, a statement makes a relation that shall have options.
pub struct Creation(());

impl Creation {
    /// The statement begins; `name` is the relation's, without its schema.
    pub fn begin(name: &CStr, options: TableOptions) -> Self {
        CREATING.with_borrow_mut(|creating| {
            creating.push(Creating {
                name: name.to_owned(),
                options,
                created: None,
            });
        });
        Self(())
    }

    /// The relation that the statement has made, if it has, and the options that it shall have.
    pub fn made(&self) -> Option<(pg_sys::Oid, TableOptions)> {
        CREATING.with_borrow(|creating| {
            let last = creating.last()?;
            Some((last.created?, last.options.clone()))
        })
    }
}

impl Drop for Creation {
    fn drop(&mut self) {
        CREATING.with_borrow_mut(Vec::pop);
    }
}

/// A relation has been made: refuses options that its statement gives it and it cannot have.
pub fn note_created(rel: Relation<'_>) -> PgResult<()> {
    let name = rel.raw_name();
    let options = CREATING.with_borrow_mut(|creating| {
        let last = creating.last_mut()?;
        if last.created.is_some() || last.name.as_c_str() != name {
            return None;
        }
        last.created = Some(rel.oid());
        Some(last.options.clone())
    });
    let Some(options) = options else {
        return Ok(());
    };
    match options.first() {
        Some(_) if rel.kind() == RelationKind::PartitionedTable => Err(PgError::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            "cannot specify storage parameters for a partitioned table",
        )
        .with_hint("Specify storage parameters for its leaf partitions instead.")),
        Some(name) if !is_iceberg(rel) => Err(unrecognized(name)),
        _ => Ok(()),
    }
}
