//! The types that are kept as the text that their output function prints.

use super::resolve::storage_of;
use super::{TextForm, TextFormFunctions, refused};
use pgrx::pg_sys::{self, Oid};

impl TextForm {
    /// The text form of a type that is no domain.
    ///
    /// # Errors
    ///
    /// A hint, for a type whose text is not the value, or that has one inside of its values.
    pub(super) fn of(type_oid: Oid, typmod: i32) -> Result<Self, &'static str> {
        let functions = functions_of(type_oid, Place::Column)?;
        let (mut output, mut input, mut io_param) = (Oid::INVALID, Oid::INVALID, Oid::INVALID);
        let mut is_varlena = false;
        // SAFETY: catalog lookups through the guard; the outputs are live locals.
        unsafe {
            pg_sys::getTypeOutputInfo(type_oid, &mut output, &mut is_varlena);
            pg_sys::getTypeInputInfo(type_oid, &mut input, &mut io_param);
        }
        Ok(Self {
            functions,
            output,
            input,
            io_param,
            typmod,
            storage: storage_of(type_oid),
        })
    }
}

/// Where a type is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// As a column's, an array's element's or a composite's attribute's, which has a form by itself.
    Column,
    /// Inside of a text form.
    Inside,
}

/// Whose functions print values of a type and the values inside of them.
fn functions_of(type_oid: Oid, place: Place) -> Result<TextFormFunctions, &'static str> {
    // SAFETY: catalog lookups through the guard.
    let (type_oid, typtype) = unsafe {
        let base = pg_sys::getBaseType(type_oid);
        (base, pg_sys::get_typtype(base) as u8)
    };
    if let Some(hint) = refused::hint(type_oid, typtype) {
        return Err(hint);
    }
    if place == Place::Inside
        && let Some(hint) = refused::hint_inside(type_oid, typtype)
    {
        return Err(hint);
    }
    // SAFETY: as above.
    let inner = unsafe {
        match typtype {
            pg_sys::TYPTYPE_RANGE => {
                functions_of(pg_sys::get_range_subtype(type_oid), Place::Inside)?
            }
            pg_sys::TYPTYPE_MULTIRANGE => {
                functions_of(pg_sys::get_multirange_range(type_oid), Place::Inside)?
            }
            _ => match pg_sys::get_element_type(type_oid) {
                Oid::INVALID => TextFormFunctions::Builtin,
                element => functions_of(element, Place::Inside)?,
            },
        }
    };
    let own = if typtype == pg_sys::TYPTYPE_ENUM || type_oid.to_u32() < pg_sys::FirstNormalObjectId
    {
        TextFormFunctions::Builtin
    } else {
        TextFormFunctions::Extension
    };
    Ok(own.max(inner))
}

/// The enum that a text form shows labels of: the type itself, or what a range is over.
pub(super) fn enum_inside(type_oid: Oid) -> Option<Oid> {
    // SAFETY: catalog lookups through the guard.
    unsafe {
        let type_oid = pg_sys::getBaseType(type_oid);
        match pg_sys::get_typtype(type_oid) as u8 {
            pg_sys::TYPTYPE_ENUM => Some(type_oid),
            pg_sys::TYPTYPE_RANGE => enum_inside(pg_sys::get_range_subtype(type_oid)),
            pg_sys::TYPTYPE_MULTIRANGE => enum_inside(pg_sys::get_multirange_range(type_oid)),
            _ => match pg_sys::get_element_type(type_oid) {
                Oid::INVALID => None,
                element => enum_inside(element),
            },
        }
    }
}
