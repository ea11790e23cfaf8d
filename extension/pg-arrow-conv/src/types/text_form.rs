//! The types that are kept as the text that their output function prints.

use super::resolve::{RowType, storage_of};
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
        && let Some(hint) = refused::hint_inside(type_oid)
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
            pg_sys::TYPTYPE_COMPOSITE => {
                let row_type = RowType::copy_of(type_oid);
                let attributes = row_type.attributes().iter().filter(|a| !a.attisdropped);
                for attribute in attributes {
                    functions_of(attribute.atttypid, Place::Inside)?;
                }
                TextFormFunctions::Extension
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
