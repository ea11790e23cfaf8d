//! Conversion between PostgreSQL datums and Arrow arrays, column by column.
//!
//! What lives here: which PostgreSQL types have an Arrow form ([`types`]), appending tuples to
//! Arrow columns ([`to_arrow`]), and turning record batches into datum vectors ([`from_arrow`]).
//! A value that has no exact counterpart on the other side is refused with a [`ConvError`]; no
//! value is rounded, truncated or replaced by NULL.
//!
//! What must not live here: table formats, files, catalogs of tables, the executor. Arrow fields
//! are described by name and type alone; metadata such as field ids come in with the caller's
//! schema.
//!
//! Rules that the code keeps:
//!
//! - PostgreSQL is called only through pgrx's guarded `pg_sys` functions, which turn an `ERROR`
//!   into an unwinding panic, so that Rust values are dropped on the way out.
//! - The hot paths (scalars, strings that are not toasted, arrays of them) do not call PostgreSQL
//!   at all. Detoasting, `jsonb`, text forms and forming composites do.
//! - Text forms are written and read with [`settings`] pinned, for the time of a row or a batch.
//! - The bit-level formats of PostgreSQL are in [`codec`], as pure functions on bytes.

#![expect(
    unsafe_code,
    reason = "reads and builds PostgreSQL datums; each block states its invariant"
)]

mod codec;
mod error;
pub mod from_arrow;
mod input_function;
mod memory;
mod settings;
pub mod to_arrow;
pub mod types;
mod varlena;

pub use error::{ConvError, ValueError};
pub use from_arrow::BatchDecoder;
pub use to_arrow::RowAppender;
pub use types::{ColumnType, UnconstrainedNumeric};
