//! Tuples into Arrow columns, a row at a time, straight from the slot's datums.

mod appender;
mod bytes;
mod column;
mod composite;
mod datetime;
mod jsonb;
mod list;
mod numeric;
mod primitive;
mod text;
mod text_form;

pub use appender::{MAX_BATCH_BYTES, RowAppender};
