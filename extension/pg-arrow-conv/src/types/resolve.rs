//! From `pg_attribute`'s type OID and typmod to a [`ColumnType`].

use super::{
    ArrayKind, Attribute, ColumnType, CompositeKind, MAX_NESTING, Storage, TextForm, TypeKind,
    UnconstrainedNumeric, refused, text_form,
};
use crate::codec::numeric::MAX_PRECISION;
use crate::error::ConvError;
use pgrx::pg_sys::{self, Oid};
use std::ffi::{CStr, c_char};

/// `VARHDRSZ` as typmods count it.
const VARHDRSZ: i32 = pg_sys::VARHDRSZ as i32;

impl ColumnType {
    /// Resolves the type of a column, looking into domains, arrays and composite types.
    ///
    /// Reads the catalogs, so it needs a transaction. `column_name` is for error messages;
    /// `unconstrained` decides what numerics without a precision are where the column is new.
    ///
    /// # Errors
    ///
    /// [`ConvError::UnsupportedType`] for a type without an exact Arrow form,
    /// [`ConvError::NestedTooDeep`] for one that is nested deeper than [`MAX_NESTING`], and
    /// [`ConvError::UnsupportedEncoding`] for a string type in a database that is not UTF-8.
    pub fn resolve(
        type_oid: Oid,
        typmod: i32,
        column_name: &str,
        unconstrained: UnconstrainedNumeric,
    ) -> Result<Self, ConvError> {
        let place = Place {
            column: column_name,
            path: column_name,
            depth: 0,
        };
        resolve_at(type_oid, typmod, column_name, place, unconstrained)
    }

    /// The enums whose labels are kept in values of this type.
    ///
    /// Reads the catalogs.
    pub fn enums(&self) -> Vec<Oid> {
        let own = self
            .without_counterpart
            .and_then(|(type_oid, _)| text_form::enum_inside(type_oid));
        let nested = self.children().into_iter().flat_map(Self::enums);
        own.into_iter().chain(nested).collect()
    }

    /// Name of the type, with its schema and without domains, of a column whose Arrow type does not
    /// tell it: `numeric` without a precision, and all types that Arrow has no counterpart of.
    ///
    /// Reads the catalogs.
    pub fn type_without_counterpart(&self) -> Option<String> {
        let (type_oid, typmod) = self.without_counterpart?;
        let flags = pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY;
        // SAFETY: returns a palloc'd C string; raises through the guard.
        Some(unsafe {
            take_string(pg_sys::format_type_extended(
                type_oid,
                typmod,
                flags as pg_sys::bits16,
            ))
        })
    }
}

/// Where in a column a type is.
#[derive(Clone, Copy)]
struct Place<'a> {
    column: &'a str,
    /// The column with the fields above the type, for error messages.
    path: &'a str,
    /// How many arrays and composite types are around it.
    depth: usize,
}

impl<'a> Place<'a> {
    /// One array or composite type further in.
    fn inside(self, path: &'a str) -> Result<Self, ConvError> {
        if self.depth == MAX_NESTING {
            return Err(ConvError::NestedTooDeep {
                column: self.column.to_owned(),
            });
        }
        Ok(Self {
            path,
            depth: self.depth + 1,
            ..self
        })
    }
}

fn resolve_at(
    type_oid: Oid,
    typmod: i32,
    name: &str,
    place: Place<'_>,
    unconstrained: UnconstrainedNumeric,
) -> Result<ColumnType, ConvError> {
    let mut base_typmod = typmod;
    // SAFETY: reads the catalogs through the guard; the typmod is a live local.
    let base_oid = unsafe { pg_sys::getBaseTypeAndTypmod(type_oid, &mut base_typmod) };
    let unsupported = |hint: &str| ConvError::UnsupportedType {
        column: place.path.to_owned(),
        type_name: type_name(type_oid, typmod),
        hint: hint.to_owned(),
    };
    let text_form = || TextForm::of(base_oid, base_typmod).map_err(unsupported);

    let kind = match base_oid {
        pg_sys::BOOLOID => TypeKind::Bool,
        pg_sys::INT2OID => TypeKind::Int2,
        pg_sys::INT4OID => TypeKind::Int4,
        pg_sys::INT8OID => TypeKind::Int8,
        pg_sys::FLOAT4OID => TypeKind::Float4,
        pg_sys::FLOAT8OID => TypeKind::Float8,
        pg_sys::NUMERICOID if base_typmod < VARHDRSZ => TypeKind::UnconstrainedNumeric {
            form: unconstrained,
            text: text_form()?,
        },
        pg_sys::NUMERICOID => match numeric_kind(base_typmod) {
            Some(kind) => kind,
            None => TypeKind::TextForm(text_form()?),
        },
        pg_sys::TEXTOID | pg_sys::JSONOID | pg_sys::XMLOID => TypeKind::Text,
        pg_sys::VARCHAROID => TypeKind::Varchar(character_limit(base_typmod)),
        pg_sys::BPCHAROID => TypeKind::Bpchar(character_limit(base_typmod)),
        pg_sys::NAMEOID => TypeKind::Name,
        pg_sys::JSONBOID => TypeKind::Jsonb,
        pg_sys::BYTEAOID => TypeKind::Bytea,
        pg_sys::DATEOID => TypeKind::Date,
        pg_sys::TIMEOID => TypeKind::Time,
        pg_sys::TIMESTAMPOID => TypeKind::Timestamp,
        pg_sys::TIMESTAMPTZOID => TypeKind::Timestamptz,
        pg_sys::UUIDOID => TypeKind::Uuid,
        pg_sys::TSQUERYOID => TypeKind::Tsquery(text_form()?),
        pg_sys::XID8OID => TypeKind::Xid8,
        _ if refused::is_oid_like(base_oid) => TypeKind::Oid,
        // Arrays to the catalogs, but their subscripts begin at 0.
        pg_sys::INT2VECTOROID | pg_sys::OIDVECTOROID => TypeKind::TextForm(text_form()?),
        _ => {
            // SAFETY: catalog lookups through the guard.
            let (element_oid, typtype) = unsafe {
                (
                    pg_sys::get_element_type(base_oid),
                    pg_sys::get_typtype(base_oid) as u8,
                )
            };
            if element_oid != Oid::INVALID {
                let inside = place.inside(place.path)?;
                let element = resolve_at(element_oid, base_typmod, name, inside, unconstrained)?;
                let storage = storage_of(element_oid);
                TypeKind::Array(Box::new(ArrayKind {
                    element_oid,
                    storage,
                    element,
                }))
            } else if typtype == pg_sys::TYPTYPE_COMPOSITE {
                let composite = composite_kind(base_oid, place, unconstrained)?;
                if composite.live().next().is_none() {
                    return Err(unsupported("Add an attribute to the composite type."));
                }
                TypeKind::Composite(Box::new(composite))
            } else {
                TypeKind::TextForm(text_form()?)
            }
        }
    };

    if is_string(&kind) && !database_is_utf8() {
        return Err(ConvError::UnsupportedEncoding {
            column: place.path.to_owned(),
            type_name: type_name(type_oid, typmod),
            encoding: database_encoding_name(),
        });
    }
    let has_counterpart = !matches!(
        kind,
        TypeKind::UnconstrainedNumeric { .. }
            | TypeKind::Oid
            | TypeKind::Xid8
            | TypeKind::Tsquery(_)
            | TypeKind::TextForm(_)
    ) && base_oid != pg_sys::XMLOID;
    Ok(ColumnType {
        name: name.to_owned(),
        kind,
        without_counterpart: (!has_counterpart).then_some((base_oid, base_typmod)),
    })
}

/// `numeric_typmod_precision` and `numeric_typmod_scale` of a typmod that is given; `None` when
/// Decimal128 cannot hold it.
fn numeric_kind(typmod: i32) -> Option<TypeKind> {
    let precision = ((typmod - VARHDRSZ) >> 16) & 0xFFFF;
    // The scale is an 11-bit signed number.
    let scale = (((typmod - VARHDRSZ) & 0x7FF) ^ 1024) - 1024;
    let precision = u8::try_from(precision)
        .ok()
        .filter(|p| (1..=MAX_PRECISION).contains(p))?;
    let scale = u8::try_from(scale).ok().filter(|s| *s <= precision)?;
    Some(TypeKind::Numeric { precision, scale })
}

fn character_limit(typmod: i32) -> Option<usize> {
    usize::try_from(typmod - VARHDRSZ).ok()
}

fn is_string(kind: &TypeKind) -> bool {
    matches!(
        kind,
        TypeKind::Text
            | TypeKind::Varchar(_)
            | TypeKind::Bpchar(_)
            | TypeKind::Name
            | TypeKind::Jsonb
            | TypeKind::UnconstrainedNumeric {
                form: UnconstrainedNumeric::Text,
                ..
            }
            | TypeKind::Tsquery(_)
            | TypeKind::TextForm(_)
    )
}

fn composite_kind(
    type_oid: Oid,
    place: Place<'_>,
    unconstrained: UnconstrainedNumeric,
) -> Result<CompositeKind, ConvError> {
    let row_type = RowType::copy_of(type_oid);
    let attributes = row_type
        .attributes()
        .iter()
        .map(|attribute| {
            let storage = Storage {
                length: attribute.attlen,
                by_value: attribute.attbyval,
                alignment: alignment(attribute.attalign),
            };
            if attribute.attisdropped {
                return Ok(Attribute {
                    storage,
                    column: None,
                });
            }
            // SAFETY: a NameData is always terminated within its 64 bytes.
            let name = unsafe { CStr::from_ptr(attribute.attname.data.as_ptr()) }.to_string_lossy();
            let path = format!("{}.{name}", place.path);
            let column = resolve_at(
                attribute.atttypid,
                attribute.atttypmod,
                &name,
                place.inside(&path)?,
                unconstrained,
            )?;
            Ok(Attribute {
                storage,
                column: Some(column),
            })
        })
        .collect::<Result<_, ConvError>>()?;
    Ok(CompositeKind {
        type_oid,
        attributes,
    })
}

/// A private copy of a composite type's row descriptor, freed on drop.
pub(crate) struct RowType(pg_sys::TupleDesc);

impl RowType {
    /// Copies it in the current memory context. `type_oid` is a composite type.
    ///
    /// No lock is taken, unlike in `lookup_rowtype_tupdesc`: whoever renames an attribute, or has locked the table whose
    /// row type it is, is not waited for. What is committed counts. A type in use by a table can become another in no
    /// other way than by renaming and dropping attributes, whose numbers stay.
    pub(crate) fn copy_of(type_oid: Oid) -> Self {
        // SAFETY: catalog lookups through the guard. The relation's descriptor is copied while the relation is referred
        // to. What has no relation is for PostgreSQL to report.
        unsafe {
            let relation = pg_sys::RelationIdGetRelation(pg_sys::get_typ_typrelid(type_oid));
            if relation.is_null() {
                return Self(pg_sys::lookup_rowtype_tupdesc_copy(type_oid, -1));
            }
            let copy = pg_sys::CreateTupleDescCopyConstr((*relation).rd_att);
            pg_sys::RelationClose(relation);
            Self(copy)
        }
    }

    pub(crate) fn as_ptr(&self) -> pg_sys::TupleDesc {
        self.0
    }

    pub(crate) fn attributes(&self) -> &[pg_sys::FormData_pg_attribute] {
        // SAFETY: the descriptor is ours until drop, and has natts attributes.
        unsafe { (*self.0).attrs.as_slice((*self.0).natts as usize) }
    }
}

impl Drop for RowType {
    fn drop(&mut self) {
        // SAFETY: made as a copy, without a reference count.
        unsafe { pg_sys::FreeTupleDesc(self.0) }
    }
}

pub(super) fn storage_of(type_oid: Oid) -> Storage {
    let (mut length, mut by_value, mut typalign) = (0, false, 0);
    // SAFETY: catalog lookup through the guard; the outputs are live locals.
    unsafe {
        pg_sys::get_typlenbyvalalign(type_oid, &mut length, &mut by_value, &mut typalign);
    }
    Storage {
        length,
        by_value,
        alignment: alignment(typalign),
    }
}

fn alignment(typalign: c_char) -> usize {
    match typalign as u8 {
        pg_sys::TYPALIGN_SHORT => 2,
        pg_sys::TYPALIGN_INT => 4,
        pg_sys::TYPALIGN_DOUBLE => 8,
        _ => 1,
    }
}

fn type_name(type_oid: Oid, typmod: i32) -> String {
    // SAFETY: returns a palloc'd C string; raises through the guard.
    unsafe { take_string(pg_sys::format_type_with_typemod(type_oid, typmod)) }
}

/// Copies and frees a C string.
///
/// # Safety
///
/// `text` is a palloc'd C string that nothing else refers to.
unsafe fn take_string(text: *mut c_char) -> String {
    // SAFETY: the caller vouches for the string.
    unsafe {
        let owned = CStr::from_ptr(text).to_string_lossy().into_owned();
        pg_sys::pfree(text.cast());
        owned
    }
}

/// Whether the database's encoding is UTF-8.
pub fn database_is_utf8() -> bool {
    // SAFETY: reads a global that is set when the backend connects.
    let encoding = unsafe { pg_sys::GetDatabaseEncoding() };
    u32::try_from(encoding) == Ok(pg_sys::pg_enc::PG_UTF8)
}

/// Name of the database's encoding.
pub fn database_encoding_name() -> String {
    // SAFETY: returns a static C string.
    unsafe { CStr::from_ptr(pg_sys::GetDatabaseEncodingName()) }
        .to_string_lossy()
        .into_owned()
}
