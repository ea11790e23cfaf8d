//! Which PostgreSQL types have an Arrow form, and which form.
//!
//! | PostgreSQL | Arrow |
//! | --- | --- |
//! | boolean | Boolean |
//! | smallint, integer | Int32 |
//! | bigint | Int64 |
//! | real, double precision | Float32, Float64 |
//! | numeric(p,s), 1 <= p <= 38, 0 <= s <= p | Decimal128(p,s) |
//! | text, varchar, char(n), name, json, jsonb | Utf8 |
//! | bytea | Binary |
//! | date | Date32 |
//! | time | Time64(microsecond) |
//! | timestamp | Timestamp(microsecond) |
//! | timestamptz | Timestamp(microsecond, UTC) |
//! | uuid | FixedSizeBinary(16) |
//! | arrays | List of a nullable "element" |
//! | composite types | Struct |
//!
//! Domains are their base type; whoever writes through them has checked their constraints. `json`
//! is kept to the letter, and read as it is found: text that is no JSON, which only another writer
//! can have put there, raises where it is used. `jsonb` is parsed when it is read.

mod arrow_type;
mod column_type;
mod resolve;
mod unsupported;

pub use column_type::ColumnType;
pub(crate) use column_type::{ArrayKind, Attribute, CompositeKind, Storage, TypeKind};
pub(crate) use resolve::RowType;
