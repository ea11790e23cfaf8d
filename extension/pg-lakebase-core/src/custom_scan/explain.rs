//! Lines for EXPLAIN.

use std::ffi::CString;
use std::marker::PhantomData;

use pgrx::pg_sys;

/// EXPLAIN's output, in whatever format was asked for.
pub struct Explainer<'a> {
    raw: *mut pg_sys::ExplainState,
    _output: PhantomData<&'a mut pg_sys::ExplainState>,
}

impl Explainer<'_> {
    /// # Safety
    ///
    /// `raw` is valid for all of the handle's lifetime.
    pub(super) unsafe fn from_raw(raw: *mut pg_sys::ExplainState) -> Self {
        Self {
            raw,
            _output: PhantomData,
        }
    }

    /// Whether the query was executed (EXPLAIN ANALYZE).
    pub fn is_analyze(&self) -> bool {
        // SAFETY: the output is valid.
        unsafe { (*self.raw).analyze }
    }

    /// Whether VERBOSE was asked for.
    pub fn is_verbose(&self) -> bool {
        // SAFETY: the output is valid.
        unsafe { (*self.raw).verbose }
    }

    /// Adds a line of text.
    pub fn text(&mut self, label: &str, value: &str) {
        let (label, value) = (c_text(label), c_text(value));
        // SAFETY: terminated strings, which are copied.
        unsafe { pg_sys::ExplainPropertyText(label.as_ptr(), value.as_ptr(), self.raw) }
    }

    /// Adds a line with a whole number, in a unit if there is one.
    pub fn integer(&mut self, label: &str, unit: Option<&str>, value: i64) {
        let (label, unit) = (c_text(label), unit.map(c_text));
        let unit = unit.as_ref().map_or(std::ptr::null(), |unit| unit.as_ptr());
        // SAFETY: terminated strings, which are copied; the unit may be null.
        unsafe { pg_sys::ExplainPropertyInteger(label.as_ptr(), unit, value, self.raw) }
    }

    /// Adds a line with a truth value.
    pub fn boolean(&mut self, label: &str, value: bool) {
        let label = c_text(label);
        // SAFETY: a terminated string, which is copied.
        unsafe { pg_sys::ExplainPropertyBool(label.as_ptr(), value, self.raw) }
    }
}

fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}
