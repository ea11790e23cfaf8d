//! The types that are kept as the text that their output function prints.

use super::resolve::storage_of;
use super::{MAX_NESTING, ReadBack, TextForm, TextFormFunctions, refused};
use pgrx::pg_sys::{self, Oid};

/// `typlen` of a type whose values are C strings.
const CSTRING_LENGTH: i16 = -2;
/// `INTERNALlanguageId` of `catalog/pg_language.h`, which pgrx has no bindings for.
const INTERNAL_LANGUAGE: Oid = Oid::from_u32(12);
/// `ClanguageId`.
const C_LANGUAGE: Oid = Oid::from_u32(13);

impl TextForm {
    /// The text form of a type that is no domain.
    ///
    /// # Errors
    ///
    /// A hint, for a type whose text is not the value, or that has one inside of its values.
    pub(super) fn of(type_oid: Oid, typmod: i32) -> Result<Self, &'static str> {
        let functions = functions_of(type_oid, Place::Column)?;
        let storage = storage_of(type_oid);
        if storage.length == CSTRING_LENGTH {
            return Err("Use text.");
        }
        let (mut output, mut input, mut io_param) = (Oid::INVALID, Oid::INVALID, Oid::INVALID);
        let mut is_varlena = false;
        // SAFETY: catalog lookups through the guard; the outputs are live locals.
        unsafe {
            pg_sys::getTypeOutputInfo(type_oid, &mut output, &mut is_varlena);
            pg_sys::getTypeInputInfo(type_oid, &mut input, &mut io_param);
        }
        Ok(Self {
            type_oid,
            functions,
            read_back: read_back(type_oid, functions),
            output,
            input,
            io_param,
            typmod,
            storage,
        })
    }

    /// Looks again at whose functions a value would run: an owner may have replaced them by others.
    ///
    /// # Errors
    ///
    /// A hint, for a type that is no longer kept as text.
    pub(crate) fn check_functions(&self) -> Result<(), &'static str> {
        match self.functions {
            TextFormFunctions::Builtin => Ok(()),
            TextFormFunctions::Extension => functions_of(self.type_oid, Place::Column).map(drop),
        }
    }
}

/// `MAXSTRPOS` of `tsearch/ts_type.h`: a `tsvector` with more bytes of lexemes is not read.
const MAX_TSVECTOR: usize = (1 << 20) - 1;

/// Of extensions and users it is not known, and ranges over `timetz` are among theirs.
fn read_back(type_oid: Oid, functions: TextFormFunctions) -> ReadBack {
    match type_oid {
        _ if functions == TextFormFunctions::Extension => ReadBack::Always,
        // A radius below zero, which `circle(point, float8)` takes.
        pg_sys::CIRCLEOID
        // Zones of 16 hours and more, which AT TIME ZONE and the setting TimeZone take.
        | pg_sys::TIMETZOID
        // What is deeply nested: text has parentheses that were not written.
        | pg_sys::JSONPATHOID
        // So here, and empty lexemes from binary input.
        | pg_sys::TSQUERYOID => ReadBack::Always,
        pg_sys::TSVECTOROID => ReadBack::From(MAX_TSVECTOR),
        _ => ReadBack::Never,
    }
}

/// Where a type is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// As a column's, an array's element's or a composite's attribute's, which has a form by itself.
    Column,
    /// Inside of a text form, that many types deep.
    Inside(usize),
}

/// Whose functions print values of a type, read them, and compare and canonicalise the values inside of
/// them.
///
/// These functions run with the rights of whoever reads the table, who has not asked for it: heap runs
/// none. So all of them are C functions, which only superusers make, and no domain is among the types,
/// whose input function would check constraints.
fn functions_of(type_oid: Oid, place: Place) -> Result<TextFormFunctions, &'static str> {
    // SAFETY: catalog lookup through the guard.
    let typtype = unsafe { pg_sys::get_typtype(type_oid) } as u8;
    if let Some(hint) = refused::hint(type_oid, typtype) {
        return Err(hint);
    }
    let depth = match place {
        Place::Column => 0,
        Place::Inside(depth) => depth,
    };
    if depth > MAX_NESTING {
        return Err("Nest ranges less deeply.");
    }
    if depth > 0
        && let Some(hint) = refused::hint_inside(type_oid, typtype)
    {
        return Err(hint);
    }
    if called_functions(type_oid, typtype, place).any(|function| !is_compiled(function)) {
        return Err(refused::HINT_NOT_COMPILED);
    }
    let inside = Place::Inside(depth + 1);
    // SAFETY: as above.
    let inner = unsafe {
        match typtype {
            pg_sys::TYPTYPE_RANGE => functions_of(pg_sys::get_range_subtype(type_oid), inside)?,
            pg_sys::TYPTYPE_MULTIRANGE => {
                functions_of(pg_sys::get_multirange_range(type_oid), inside)?
            }
            _ => match pg_sys::get_element_type(type_oid) {
                Oid::INVALID => TextFormFunctions::Builtin,
                element => functions_of(element, inside)?,
            },
        }
    };
    let own = if typtype == pg_sys::TYPTYPE_ENUM || is_builtin(type_oid) {
        TextFormFunctions::Builtin
    } else {
        TextFormFunctions::Extension
    };
    Ok(own.max(inner))
}

/// The functions that printing and reading a value calls by its type, but for those of the types inside.
fn called_functions(type_oid: Oid, typtype: u8, place: Place) -> impl Iterator<Item = Oid> {
    let (mut output, mut input, mut io_param) = (Oid::INVALID, Oid::INVALID, Oid::INVALID);
    let mut is_varlena = false;
    let mut flags = 0;
    if typtype == pg_sys::TYPTYPE_RANGE {
        flags |= pg_sys::TYPECACHE_RANGE_INFO;
    }
    if place != Place::Column {
        flags |= pg_sys::TYPECACHE_CMP_PROC;
    }
    // SAFETY: catalog lookups through the guard; the outputs are live locals. An entry of the type
    // cache is never freed, and has zeros where the type has no such function.
    let entry = unsafe {
        pg_sys::getTypeOutputInfo(type_oid, &mut output, &mut is_varlena);
        pg_sys::getTypeInputInfo(type_oid, &mut input, &mut io_param);
        &*pg_sys::lookup_type_cache(type_oid, flags as i32)
    };
    let functions = [
        output,
        input,
        entry.rng_canonical_finfo.fn_oid,
        entry.rng_cmp_proc_finfo.fn_oid,
        entry.cmp_proc,
    ];
    functions
        .into_iter()
        .filter(|function| *function != Oid::INVALID)
}

/// Whether only superusers can have made the function: it is PostgreSQL's, or its language is `C` or
/// `internal`.
fn is_compiled(function: Oid) -> bool {
    if is_builtin(function) {
        return true;
    }
    // SAFETY: a look-up in the system cache; the tuple is read before it is released.
    unsafe {
        let tuple =
            pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::PROCOID as i32, function.into());
        if tuple.is_null() {
            return false;
        }
        let language = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_proc>()).prolang;
        pg_sys::ReleaseSysCache(tuple);
        language == INTERNAL_LANGUAGE || language == C_LANGUAGE
    }
}

fn is_builtin(object: Oid) -> bool {
    object.to_u32() < pg_sys::FirstNormalObjectId
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
