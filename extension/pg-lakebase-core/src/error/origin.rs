//! What PostgreSQL knows of an error besides SQLSTATE, message, detail and hint.

use std::ffi::{CStr, CString, c_char, c_int};

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReportWithLevel;

use super::PgError;

/// The rest of an `ErrorData`, copied.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// Whether this is all of it, so that the error can be thrown again as it was. If not, the
    /// error is reported anew, from where it came from.
    pub(super) complete: bool,
    /// The SQLSTATE as PostgreSQL encodes it: users make up their own, which pgrx has no name for.
    pub(super) sqlerrcode: c_int,
    pub(super) output_to_server: bool,
    pub(super) output_to_client: bool,
    pub(super) hide_stmt: bool,
    pub(super) hide_ctx: bool,
    pub(super) file: Option<CString>,
    pub(super) line: c_int,
    pub(super) function: Option<CString>,
    /// Message, detail and hint in the server's encoding, which may not be UTF-8.
    pub(super) shown: [Option<CString>; 3],
    pub(super) texts: [Option<CString>; TEXTS],
    pub(super) cursor_position: c_int,
    pub(super) internal_position: c_int,
    pub(super) saved_errno: c_int,
}

/// How many optional texts of an `ErrorData` have no field in [`PgError`].
const TEXTS: usize = 9;
const CONSTRAINT_NAME: usize = 7;

/// Those texts' fields, in one order for reading and writing.
pub(super) fn text_fields(data: &mut pg_sys::ErrorData) -> [&mut *mut c_char; TEXTS] {
    [
        &mut data.detail_log,
        &mut data.context,
        &mut data.backtrace,
        &mut data.schema_name,
        &mut data.table_name,
        &mut data.column_name,
        &mut data.datatype_name,
        &mut data.constraint_name,
        &mut data.internalquery,
    ]
}

impl Origin {
    pub(super) fn constraint_name(&self) -> Option<&str> {
        self.texts[CONSTRAINT_NAME]
            .as_ref()
            .and_then(|name| name.to_str().ok())
    }

    /// The code to raise an error of `sqlstate` with: the original one, unless it was replaced
    /// meanwhile.
    pub(super) fn sqlerrcode(&self, sqlstate: PgSqlErrorCode) -> c_int {
        if PgSqlErrorCode::from(self.sqlerrcode) == sqlstate {
            self.sqlerrcode
        } else {
            sqlstate as c_int
        }
    }

    /// Where an error came from that pgrx has taken apart already.
    fn of_report(report: &ErrorReportWithLevel) -> Self {
        Self {
            sqlerrcode: report.sql_error_code() as c_int,
            file: CString::new(report.file()).ok(),
            line: c_int::try_from(report.line_number()).unwrap_or(0),
            function: report
                .function_name()
                .and_then(|name| CString::new(name).ok()),
            ..Self::default()
        }
    }
}

/// The original bytes of a text, unless it was replaced meanwhile.
pub(super) fn original<'a>(raw: Option<&'a CString>, text: Option<&'a str>) -> Option<&'a [u8]> {
    match (raw, text) {
        (Some(raw), Some(text)) if raw.to_string_lossy() == text => Some(raw.to_bytes()),
        _ => text.map(str::as_bytes),
    }
}

impl PgError {
    /// From a report of pgrx's.
    pub(super) fn from_report(report: &ErrorReportWithLevel) -> Self {
        Self {
            sqlstate: report.sql_error_code(),
            message: report.message().to_owned(),
            detail: report.detail().map(str::to_owned),
            hint: report.hint().map(str::to_owned),
            origin: Some(Box::new(Origin::of_report(report))),
        }
    }

    /// Copies all of PostgreSQL's data about an error.
    ///
    /// # Safety
    ///
    /// `data` is a valid `ErrorData`: its texts are null or terminated.
    pub(crate) unsafe fn from_error_data(data: &mut pg_sys::ErrorData) -> Self {
        let copy = |text: *const c_char| {
            // SAFETY: the caller's promise.
            (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_owned())
        };
        let text = |text: *const c_char| copy(text).map(|text| text.to_string_lossy().into_owned());
        Self {
            sqlstate: data.sqlerrcode.into(),
            message: text(data.message).unwrap_or_else(|| "missing error text".to_owned()),
            detail: text(data.detail),
            hint: text(data.hint),
            origin: Some(Box::new(Origin {
                complete: true,
                sqlerrcode: data.sqlerrcode,
                output_to_server: data.output_to_server,
                output_to_client: data.output_to_client,
                hide_stmt: data.hide_stmt,
                hide_ctx: data.hide_ctx,
                file: copy(data.filename),
                line: data.lineno,
                function: copy(data.funcname),
                cursor_position: data.cursorpos,
                internal_position: data.internalpos,
                saved_errno: data.saved_errno,
                shown: [data.message, data.detail, data.hint].map(|text| copy(text)),
                texts: text_fields(data).map(|field| copy(*field)),
            })),
        }
    }
}
