//! Tables being made, rewritten, dropped, and statements that are refused.

mod attribute_names;
mod attributes;
mod database;
mod dependents;
mod enum_labels;
mod extension;
pub mod filelocator;
mod object_access;
mod placement;
mod promotion;
mod publication;
mod table_options;
mod tablespace;
mod type_users;
mod utility;

use pg_lakebase_core::error::PgResult;

/// Registers the hooks; called once, from `_PG_init`.
pub fn register() -> PgResult<()> {
    object_access::register()?;
    utility::register()
}
