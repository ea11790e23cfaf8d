//! What a path tells its plan, and a plan its execution.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;

use crate::error::{PgError, PgResult};

/// A value that PostgreSQL can copy, print and read as part of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivateValue {
    /// Any integer: an Integer node where it fits, a Float node (which is decimal digits) elsewhere.
    Integer(i64),
    /// Text without zero bytes.
    Text(String),
    /// Values in order.
    List(Vec<PrivateValue>),
}

impl PrivateValue {
    /// As a node in the current memory context. An empty list is NIL, the null pointer.
    pub fn to_node(&self) -> PgResult<*mut pg_sys::Node> {
        // SAFETY: the functions copy what they are given, except makeFloat and makeString, which
        // keep the palloc'd copy that is made for them.
        unsafe {
            Ok(match self {
                Self::Integer(value) => match i32::try_from(*value) {
                    Ok(value) => pg_sys::makeInteger(value).cast(),
                    Err(_) => pg_sys::makeFloat(palloc_str(&value.to_string())?).cast(),
                },
                Self::Text(value) => pg_sys::makeString(palloc_str(value)?).cast(),
                Self::List(values) => Self::to_list(values)?.cast(),
            })
        }
    }

    /// As a list of nodes in the current memory context.
    pub fn to_list(values: &[Self]) -> PgResult<*mut pg_sys::List> {
        let mut list = std::ptr::null_mut();
        for value in values {
            let node = value.to_node()?;
            // SAFETY: appending a node to a list of nodes.
            list = unsafe { pg_sys::lappend(list, node.cast()) };
        }
        Ok(list)
    }

    /// From a list that [`PrivateValue::to_list`] made, or a copy of it.
    ///
    /// # Safety
    ///
    /// `list` is NIL or a valid list of nodes.
    pub unsafe fn from_list(list: *const pg_sys::List) -> PgResult<Vec<Self>> {
        // SAFETY: the caller's promise.
        let Some(list) = (unsafe { list.as_ref() }) else {
            return Ok(Vec::new());
        };
        let length = usize::try_from(list.length).unwrap_or(0);
        (0..length)
            // SAFETY: elements of a list of nodes are pointers to nodes.
            .map(|index| unsafe { Self::from_node((*list.elements.add(index)).ptr_value.cast()) })
            .collect()
    }

    /// # Safety
    ///
    /// `node` is null or a valid node.
    unsafe fn from_node(node: *const pg_sys::Node) -> PgResult<Self> {
        // SAFETY: the caller's promise; the node is cast to the type that its tag names.
        unsafe {
            let Some(tag) = node.as_ref().map(|node| node.type_) else {
                return Ok(Self::List(Vec::new()));
            };
            match tag {
                pg_sys::NodeTag::T_Integer => Ok(Self::Integer(i64::from(
                    (*node.cast::<pg_sys::Integer>()).ival,
                ))),
                pg_sys::NodeTag::T_Float => {
                    let digits = CStr::from_ptr((*node.cast::<pg_sys::Float>()).fval);
                    digits
                        .to_str()
                        .ok()
                        .and_then(|digits| digits.parse().ok())
                        .map(Self::Integer)
                        .ok_or_else(|| PgError::internal("a plan's private integer is malformed"))
                }
                pg_sys::NodeTag::T_String => {
                    let text = CStr::from_ptr((*node.cast::<pg_sys::String>()).sval);
                    text.to_str()
                        .map(|text| Self::Text(text.to_owned()))
                        .map_err(|_| PgError::internal("a plan's private text is malformed"))
                }
                pg_sys::NodeTag::T_List => Self::from_list(node.cast()).map(Self::List),
                other => Err(PgError::internal(format!(
                    "a plan's private data has a node of unexpected type {other:?}"
                ))),
            }
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }
}

/// A palloc'd copy for C.
fn palloc_str(value: &str) -> PgResult<*mut std::ffi::c_char> {
    let value = CString::new(value)
        .map_err(|_| PgError::internal("a plan's private text contains a zero byte"))?;
    // SAFETY: copies a terminated string.
    Ok(unsafe { pg_sys::pstrdup(value.as_ptr()) })
}
