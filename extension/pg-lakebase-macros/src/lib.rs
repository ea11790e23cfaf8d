//! Procedural macros of the pg-lakebase framework. Use them through `pg_lakebase_core`.

mod table_am;

use proc_macro::TokenStream;

/// Makes a table access method of a unit struct that implements `pg_lakebase_core::table_am::TableAm`.
///
/// `#[pg_table_am(handler = "name")]` emits the static `TableAmRoutine` and the exported function
/// `name`, which `CREATE FUNCTION … RETURNS table_am_handler AS 'MODULE_PATHNAME', 'name' LANGUAGE C`
/// makes known to SQL and CREATE ACCESS METHOD refers to.
///
/// ```ignore
/// #[pg_table_am(handler = "my_tableam_handler")]
/// pub struct MyAm;
/// ```
#[proc_macro_attribute]
pub fn pg_table_am(attribute: TokenStream, item: TokenStream) -> TokenStream {
    table_am::expand(attribute.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
