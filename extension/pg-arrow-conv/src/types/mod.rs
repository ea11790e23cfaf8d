//! Which PostgreSQL types have an Arrow form, and which form.
//!
//! | PostgreSQL | Arrow |
//! | --- | --- |
//! | boolean | Boolean |
//! | smallint, integer | Int32 |
//! | bigint | Int64 |
//! | real, double precision | Float32, Float64 |
//! | numeric(p,s), 1 <= p <= 38, 0 <= s <= p | Decimal128(p,s) |
//! | numeric | Decimal128(38,18) or Utf8 |
//! | numeric(p,s) otherwise | Utf8 |
//! | text, varchar, char(n), name, json, jsonb, xml | Utf8 |
//! | bytea | Binary |
//! | date | Date32 |
//! | time | Time64(microsecond) |
//! | timestamp | Timestamp(microsecond) |
//! | timestamptz | Timestamp(microsecond, UTC) |
//! | uuid | FixedSizeBinary(16) |
//! | oid, regclass and other aliases of oid, xid, cid | Int64 |
//! | xid8 | Decimal128(20,0) |
//! | arrays | List of a nullable "element" |
//! | composite types | Struct |
//! | all other types but those in `refused` | Utf8, as the output function prints it |
//!
//! Domains are their base type; whoever writes through them has checked their constraints. `json` and
//! `xml` are kept to the letter, and read as they are found: text that is no JSON, which only another
//! writer can have put there, raises where it is used. `jsonb` and text forms are parsed when they are
//! read.

mod arrow_type;
mod column_type;
mod refused;
mod resolve;
mod text_form;

pub(crate) use arrow_type::XID8_PRECISION;
pub(crate) use column_type::{
    ArrayKind, Attribute, CompositeKind, ReadBack, Storage, TextForm, TextFormFunctions, TypeKind,
    UNCONSTRAINED_PRECISION, UNCONSTRAINED_SCALE,
};
pub use column_type::{ColumnType, MAX_NESTING, UnconstrainedNumeric};
pub(crate) use resolve::RowType;
pub use resolve::{database_encoding_name, database_is_utf8};
