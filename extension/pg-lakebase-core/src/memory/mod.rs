//! Memory contexts, and Rust values that live and die with one.

mod context;
mod context_owned;
mod owned_context;

pub use context::{AllocSetSizes, MemoryContext};
pub use context_owned::{ContextOwned, alloc_with_drop};
pub use owned_context::OwnedContext;
