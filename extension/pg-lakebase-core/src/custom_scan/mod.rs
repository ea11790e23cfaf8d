//! Custom scans: plan nodes that read a table in a way of their own.
//!
//! A provider is a unit struct that implements [`CustomScanProvider`]. It registers once, in
//! `_PG_init`; a `set_rel_pathlist` hook offers paths for relations that it can scan
//! ([`offer_path`]); PostgreSQL chooses by cost. What a path found out travels to the plan as
//! [`PrivateValue`]s, which are PostgreSQL nodes, so that plans can be copied, cached, and sent to
//! parallel workers. The running scan's state is a Rust value owned by the query's memory context.
//!
//! Projection and filtering are PostgreSQL's: the provider returns rows of the table. The planner puts a Material node on
//! top where someone wants to mark and restore a position, or to go backward, unless the provider can.

mod context;
mod explain;
mod path;
mod plan;
mod private;
mod provider;
mod state;

pub use context::{BeginContext, ScanContext, SharedArea};
pub use explain::Explainer;
pub use path::{PathSpec, create_path, offer_path};
pub use plan::{NeededColumns, PlanCall};
pub use private::PrivateValue;
pub use provider::{CustomScanProvider, register};
