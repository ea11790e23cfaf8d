//! The settings that text forms are written and read with, whatever the session's are.
//!
//! A text form must mean the same to every session and every other engine. So input and output
//! functions run with `DateStyle` ISO, `IntervalStyle` iso_8601, `TimeZone` UTC,
//! `extra_float_digits` 1 and `bytea_output` hex; those of extensions also with `array_nulls` on,
//! `quote_all_identifiers` off and a `search_path` of `pg_catalog, pg_temp`, which PostgreSQL's own do
//! not look at.

use crate::types::TextFormFunctions;
use pgrx::pg_sys;
use std::ffi::{CStr, c_int};

// utils/bytea.h, which pgrx has no bindings for.
unsafe extern "C" {
    static mut bytea_output: c_int;
}

/// `BYTEA_OUTPUT_HEX` of `ByteaOutputType`.
const BYTEA_OUTPUT_HEX: c_int = 1;
/// What [`PinnedSettings`] sets `extra_float_digits` to: anything above zero is the shortest text
/// that is read back as the same number.
const EXTRA_FLOAT_DIGITS: c_int = 1;

/// Has the settings pinned while it lives, and gives the session's back on drop.
pub(crate) enum PinnedSettings {
    /// The variables behind the settings, as they were.
    Variables(Variables),
    /// Nest level of the settings (`NewGUCNestLevel`).
    Nested(c_int),
}

impl PinnedSettings {
    /// Pins the settings for text forms whose functions are `functions`.
    pub(crate) fn pin(functions: TextFormFunctions) -> Self {
        match functions {
            TextFormFunctions::Builtin => Self::Variables(Variables::pin()),
            TextFormFunctions::Extension => Self::nest(),
        }
    }

    /// By PostgreSQL's own means: functions of extensions may look objects up, and set settings
    /// themselves.
    fn nest() -> Self {
        // SAFETY: raises through the guard; the level is undone on drop.
        let pinned = Self::Nested(unsafe { pg_sys::NewGUCNestLevel() });
        // SAFETY: reads the variables behind the settings, which only this thread writes.
        unsafe {
            pg_sys::RestrictSearchPath();
            if !utc_is(pg_sys::session_timezone) {
                set(c"timezone", c"UTC");
            }
            if pg_sys::DateStyle != pg_sys::USE_ISO_DATES as c_int {
                set(c"datestyle", c"ISO");
            }
            if pg_sys::IntervalStyle != pg_sys::INTSTYLE_ISO_8601 as c_int {
                set(c"intervalstyle", c"iso_8601");
            }
            if pg_sys::extra_float_digits != EXTRA_FLOAT_DIGITS {
                set(c"extra_float_digits", c"1");
            }
            if bytea_output != BYTEA_OUTPUT_HEX {
                set(c"bytea_output", c"hex");
            }
            if !pg_sys::Array_nulls {
                set(c"array_nulls", c"on");
            }
            if pg_sys::quote_all_identifiers {
                set(c"quote_all_identifiers", c"off");
            }
        }
        pinned
    }
}

impl Drop for PinnedSettings {
    fn drop(&mut self) {
        match self {
            Self::Variables(variables) => variables.restore(),
            // SAFETY: the level was begun by `nest`. If an error was raised meanwhile, the level is
            // still there: it goes when the error is caught, further out.
            Self::Nested(level) => unsafe { pg_sys::AtEOXact_GUC(true, *level) },
        }
    }
}

/// `set_config_option` as `RestrictSearchPath` calls it.
///
/// # Safety
///
/// A nest level of settings of the caller's own is open.
unsafe fn set(name: &CStr, value: &CStr) {
    // SAFETY: the strings end in zero bytes; an error is raised through the guard.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
}

/// The variables that PostgreSQL's own input and output functions look at.
///
/// Set directly, which costs next to nothing for each row: those functions run no code of users',
/// so that nothing sees or sets the settings before the variables are what they were.
pub(crate) struct Variables {
    session_timezone: *mut pg_sys::pg_tz,
    date_style: c_int,
    interval_style: c_int,
    extra_float_digits: c_int,
    bytea_output: c_int,
}

impl Variables {
    fn pin() -> Self {
        let utc = utc();
        // SAFETY: only this thread reads and writes the variables.
        unsafe {
            let session = Self {
                session_timezone: pg_sys::session_timezone,
                date_style: pg_sys::DateStyle,
                interval_style: pg_sys::IntervalStyle,
                extra_float_digits: pg_sys::extra_float_digits,
                bytea_output,
            };
            pg_sys::session_timezone = utc;
            pg_sys::DateStyle = pg_sys::USE_ISO_DATES as c_int;
            pg_sys::IntervalStyle = pg_sys::INTSTYLE_ISO_8601 as c_int;
            pg_sys::extra_float_digits = EXTRA_FLOAT_DIGITS;
            bytea_output = BYTEA_OUTPUT_HEX;
            session
        }
    }

    fn restore(&self) {
        // SAFETY: as in `pin`.
        unsafe {
            pg_sys::session_timezone = self.session_timezone;
            pg_sys::DateStyle = self.date_style;
            pg_sys::IntervalStyle = self.interval_style;
            pg_sys::extra_float_digits = self.extra_float_digits;
            bytea_output = self.bytea_output;
        }
    }
}

/// The time zone that `pg_tzset` knows without reading files.
fn utc() -> *mut pg_sys::pg_tz {
    // SAFETY: looks the name up in a hash table that lives as long as the process. It is there since
    // the server started (`pg_timezone_initialize`), so that the result is not NULL.
    unsafe { pg_sys::pg_tzset(c"GMT".as_ptr()) }
}

/// # Safety
///
/// `zone` is a time zone of PostgreSQL's.
unsafe fn utc_is(zone: *mut pg_sys::pg_tz) -> bool {
    // SAFETY: the name is a C string that lives as long as the process.
    let name = unsafe { CStr::from_ptr(pg_sys::pg_get_timezone_name(zone)) };
    name == c"UTC" || name == c"GMT"
}
