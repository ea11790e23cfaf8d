//! A column's type, resolved: what the conversions look at.

use pgrx::pg_sys::Oid;

/// How deep arrays and composite types may be nested in a column, and ranges in a value kept as text.
///
/// Tables have to be read as well as written: each composite type takes two levels of JSON in the
/// property that tells the fields of columns, and three in a schema of the metadata, and readers of
/// JSON take 128 levels at least. The bound keeps everything that recurses over types off the stack's end.
pub const MAX_NESTING: usize = 32;

/// A column's PostgreSQL type, resolved to what conversion needs to know.
///
/// Owns everything: it stays valid across transactions, but does not follow later changes of a
/// composite type. Reading such a value then fails with an error.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnType {
    pub(super) name: String,
    pub(super) kind: TypeKind,
    /// Type and typmod, domains looked through, of a column without a counterpart in Arrow.
    pub(super) without_counterpart: Option<(Oid, i32)>,
}

/// What new columns of type `numeric` without a precision are kept as; old ones say it themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnconstrainedNumeric {
    /// A decimal of [`UNCONSTRAINED_PRECISION`] and [`UNCONSTRAINED_SCALE`].
    #[default]
    Decimal,
    /// Text, which holds every value.
    Text,
}

/// Precision of the decimals that unconstrained numerics are kept as.
pub(crate) const UNCONSTRAINED_PRECISION: u8 = 38;
/// Scale of the decimals that unconstrained numerics are kept as.
pub(crate) const UNCONSTRAINED_SCALE: u8 = 18;

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
    /// `numeric` without precision and scale.
    UnconstrainedNumeric {
        form: UnconstrainedNumeric,
        text: TextForm,
    },
    /// `oid`, its aliases, `xid` and `cid`: four bytes without a sign.
    Oid,
    Xid8,
    /// `text`, `json` and `xml`: any length, kept to the letter.
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
    /// `tsquery`: a text form that is printed here, for its output function's text can be read as
    /// another query.
    Tsquery(TextForm),
    /// Any type that has no counterpart.
    TextForm(TextForm),
    Array(Box<ArrayKind>),
    Composite(Box<CompositeKind>),
}

/// How values of a type become the text that its output function prints, and values again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextForm {
    /// The type, no domain.
    pub(crate) type_oid: Oid,
    pub(crate) functions: TextFormFunctions,
    pub(crate) read_back: ReadBack,
    /// `typoutput`.
    pub(crate) output: Oid,
    /// `typinput`.
    pub(crate) input: Oid,
    /// What the input function is told as the type (`getTypeIOParam`).
    pub(crate) io_param: Oid,
    pub(crate) typmod: i32,
    pub(crate) storage: Storage,
}

/// Whether a value's text is read back before it is kept: some types have values whose text their input
/// function refuses, and then no row of the batch could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadBack {
    Never,
    Always,
    /// If it has at least that many bytes.
    From(usize),
}

/// Whose input and output functions make a text form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TextFormFunctions {
    /// PostgreSQL's own, down to the last value inside of a value.
    Builtin,
    /// An extension's, or a user's.
    Extension,
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

    /// The type of the elements, if this is an array.
    pub fn element(&self) -> Option<&ColumnType> {
        match &self.kind {
            TypeKind::Array(array) => Some(&array.element),
            _ => None,
        }
    }

    /// The attributes that are not dropped, each with its position from 0, if this is a composite type.
    pub fn attributes(&self) -> Option<impl Iterator<Item = (usize, &ColumnType)>> {
        match &self.kind {
            TypeKind::Composite(composite) => Some(composite.live()),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> &TypeKind {
        &self.kind
    }

    /// The composite types at any depth, this one first if it is one.
    pub fn composites(&self) -> Vec<Oid> {
        let own = match &self.kind {
            TypeKind::Composite(composite) => Some(composite.type_oid),
            _ => None,
        };
        let nested = self.children().into_iter().flat_map(Self::composites);
        own.into_iter().chain(nested).collect()
    }

    /// The types nested in this one: an array's element, or a composite's live attributes, in the
    /// order in which the Arrow type has them.
    pub fn children(&self) -> Vec<&ColumnType> {
        match &self.kind {
            TypeKind::Array(array) => vec![&array.element],
            TypeKind::Composite(composite) => composite.live().map(|(_, column)| column).collect(),
            _ => Vec::new(),
        }
    }

    /// Whose functions make the text forms in values of this type; `None` if there are none.
    pub(crate) fn text_form_functions(&self) -> Option<TextFormFunctions> {
        match &self.kind {
            TypeKind::TextForm(text)
            | TypeKind::Tsquery(text)
            | TypeKind::UnconstrainedNumeric { text, .. } => Some(text.functions),
            _ => self
                .children()
                .into_iter()
                .filter_map(Self::text_form_functions)
                .max(),
        }
    }
}
