//! True sizes for Iceberg tables.
//!
//! `pg_relation_size` and its siblings look at relation files (dbsize.c), of which an Iceberg table
//! has none to speak of. No hook lets an access method answer, so calls to them in a query are
//! turned into calls to functions of schema `lakebase`, which know Iceberg tables and hand everything
//! else to the originals.

use std::ffi::{CStr, c_void};

use pgrx::{pg_guard, pg_sys};

/// The functions, and what stands in for each.
const FUNCTIONS: [(u32, &CStr, usize); 4] = [
    (pg_sys::F_PG_RELATION_SIZE_REGCLASS, c"relation_size", 1),
    (
        pg_sys::F_PG_RELATION_SIZE_REGCLASS_TEXT,
        c"relation_size",
        2,
    ),
    (pg_sys::F_PG_TABLE_SIZE, c"table_size", 1),
    (pg_sys::F_PG_TOTAL_RELATION_SIZE, c"total_relation_size", 1),
];

/// Redirects the calls in `query`, in place.
///
/// # Safety
///
/// `query` is a query about to be planned.
pub unsafe fn redirect(query: *mut pg_sys::Query) {
    // SAFETY: the caller's promise; the walker takes any node.
    unsafe { walk(query.cast(), std::ptr::null_mut()) };
}

#[pg_guard]
unsafe extern "C-unwind" fn walk(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: nodes are cast to the types that their tags name; the walkers call back with the
    // nodes below.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_Query => {
                return pg_sys::query_tree_walker_impl(node.cast(), Some(walk), context, 0);
            }
            pg_sys::NodeTag::T_FuncExpr => {
                let call = node.cast::<pg_sys::FuncExpr>();
                if let Some(substitute) = substitute((*call).funcid) {
                    (*call).funcid = substitute;
                }
            }
            _ => {}
        }
        pg_sys::expression_tree_walker_impl(node, Some(walk), context)
    }
}

/// The function of schema `lakebase` that stands in for `function`, if one does and is there.
unsafe fn substitute(function: pg_sys::Oid) -> Option<pg_sys::Oid> {
    let &(_, name, arguments) = FUNCTIONS
        .iter()
        .find(|(oid, ..)| pg_sys::Oid::from(*oid) == function)?;
    // SAFETY: a look-up in the system caches with the functions' argument types.
    unsafe {
        let namespace = pg_sys::get_namespace_oid(c"lakebase".as_ptr(), true);
        if namespace == pg_sys::InvalidOid {
            return None;
        }
        let types = [pg_sys::REGCLASSOID, pg_sys::TEXTOID];
        let vector = pg_sys::buildoidvector(types.as_ptr(), arguments as i32);
        let oid = pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as i32,
            pg_sys::Anum_pg_proc_oid as pg_sys::AttrNumber,
            name.as_ptr().into(),
            vector.into(),
            namespace.into(),
            pg_sys::Datum::null(),
        );
        pg_sys::pfree(vector.cast());
        (oid != pg_sys::InvalidOid).then_some(oid)
    }
}
