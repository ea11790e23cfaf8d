//! A column's type, resolved: what the conversions look at.

use pgrx::pg_sys::Oid;

/// A column's PostgreSQL type, resolved to what conversion needs to know.
///
/// Owns everything: it stays valid across transactions, but does not follow later changes of a
/// composite type. Reading such a value then fails with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnType {
    pub(super) name: String,
    pub(super) kind: TypeKind,
}

/// The family that decides how a datum is read and made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TypeKind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric {
        precision: u8,
        scale: u8,
    },
    /// `text` and `json`: any length.
    Text,
    /// `varchar`, with its limit in characters.
    Varchar(Option<usize>),
    /// `char(n)`, blank-padded to that many characters.
    Bpchar(Option<usize>),
    Name,
    Jsonb,
    Bytea,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Uuid,
    Array(Box<ArrayKind>),
    Composite(Box<CompositeKind>),
}

/// An array type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArrayKind {
    /// Element type as the array declares it, a domain included.
    pub(crate) element_oid: Oid,
    pub(crate) storage: Storage,
    pub(crate) element: ColumnType,
}

/// A composite type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CompositeKind {
    pub(crate) type_oid: Oid,
    /// In attribute order.
    pub(crate) attributes: Vec<Attribute>,
}

impl CompositeKind {
    /// Attributes that are not dropped, with their position.
    pub(crate) fn live(&self) -> impl Iterator<Item = (usize, &ColumnType)> {
        self.attributes
            .iter()
            .enumerate()
            .filter_map(|(position, attribute)| Some((position, attribute.column.as_ref()?)))
    }
}

/// An attribute of a composite type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    pub(crate) storage: Storage,
    /// `None` for a dropped attribute.
    pub(crate) column: Option<ColumnType>,
}

/// How a value lies inside of an array or a row (`typlen`, `typbyval`, `typalign`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storage {
    /// Bytes, or -1 for a varlena.
    pub(crate) length: i16,
    pub(crate) by_value: bool,
    /// In bytes, a power of two.
    pub(crate) alignment: usize,
}

impl ColumnType {
    /// The column's name, as given to [`resolve`](Self::resolve).
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn kind(&self) -> &TypeKind {
        &self.kind
    }
}
