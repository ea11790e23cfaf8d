//! Record batches into datums, a column at a time, in the memory context of the batch.

mod arena;
mod column;
mod composite;
mod datetime;
mod decoder;
mod jsonb;
mod list;
mod numeric;
mod primitive;
mod promote;
mod text;
mod text_form;

pub use decoder::BatchDecoder;
