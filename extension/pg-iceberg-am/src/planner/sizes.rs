//! True sizes for what has Iceberg tables.
//!
//! `pg_relation_size` and its siblings look at relation files (dbsize.c), of which an Iceberg table
//! has none to speak of. No hook lets an access method answer, so calls to them in a plan are turned
//! into calls to functions of schema `lakebase`, which know Iceberg tables and hand everything else to
//! the originals.
//!
//! That is done when the plan is made: what the originals are (volatile, parallel safe, what they cost)
//! has been considered by then, and SQL functions that call them have been inlined. One of those is
//! `pg_relation_size(regclass)`, which calls `pg_relation_size(regclass, text)`.

use std::ffi::CStr;

use pgrx::pg_sys;

/// A function of PostgreSQL's, and what stands in for it.
struct Redirection {
    original: u32,
    name: &'static CStr,
    arguments: &'static [pg_sys::Oid],
}

const REDIRECTIONS: [Redirection; 7] = [
    Redirection {
        original: pg_sys::F_PG_RELATION_SIZE_REGCLASS_TEXT,
        name: c"relation_size",
        arguments: &[pg_sys::REGCLASSOID, pg_sys::TEXTOID],
    },
    Redirection {
        original: pg_sys::F_PG_TABLE_SIZE,
        name: c"table_size",
        arguments: &[pg_sys::REGCLASSOID],
    },
    Redirection {
        original: pg_sys::F_PG_TOTAL_RELATION_SIZE,
        name: c"total_relation_size",
        arguments: &[pg_sys::REGCLASSOID],
    },
    Redirection {
        original: pg_sys::F_PG_DATABASE_SIZE_OID.to_u32(),
        name: c"database_size",
        arguments: &[pg_sys::OIDOID],
    },
    Redirection {
        original: pg_sys::F_PG_DATABASE_SIZE_NAME,
        name: c"database_size",
        arguments: &[pg_sys::NAMEOID],
    },
    Redirection {
        original: pg_sys::F_PG_TABLESPACE_SIZE_OID.to_u32(),
        name: c"tablespace_size",
        arguments: &[pg_sys::OIDOID],
    },
    Redirection {
        original: pg_sys::F_PG_TABLESPACE_SIZE_NAME,
        name: c"tablespace_size",
        arguments: &[pg_sys::NAMEOID],
    },
];

/// Redirects `node`, in place, if it is such a call.
///
/// # Safety
///
/// `plan` is a plan that the planner has just made, and `node` is of one of its expressions.
pub unsafe fn redirect(plan: *mut pg_sys::PlannedStmt, node: *mut pg_sys::Node) {
    // SAFETY: the caller's promise; the nodes of a new plan are its own, to be changed in place.
    unsafe {
        if (*node).type_ != pg_sys::NodeTag::T_FuncExpr {
            return;
        }
        let call = node.cast::<pg_sys::FuncExpr>();
        if let Some(substitute) = substitute((*call).funcid) {
            (*call).funcid = substitute;
            depend_on(plan, substitute);
        }
    }
}

/// Has a cached plan made anew when the function goes (as `record_plan_function_dependency` does for
/// those that the planner sees).
unsafe fn depend_on(plan: *mut pg_sys::PlannedStmt, function: pg_sys::Oid) {
    // SAFETY: the plan is the caller's; the item lies in the memory context that the plan was made in.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::PROCOID as i32;
        let item = pg_sys::palloc0(size_of::<pg_sys::PlanInvalItem>()).cast();
        *item = pg_sys::PlanInvalItem {
            type_: pg_sys::NodeTag::T_PlanInvalItem,
            cacheId: cache,
            hashValue: pg_sys::GetSysCacheHashValue(
                cache,
                function.into(),
                pg_sys::Datum::null(),
                pg_sys::Datum::null(),
                pg_sys::Datum::null(),
            ),
        };
        (*plan).invalItems = pg_sys::lappend((*plan).invalItems, item.cast());
    }
}

/// The function of schema `lakebase` that stands in for `function`, if one does and is there. Where the extension
/// is not, anybody may have made a schema of that name, with functions for others to call unawares: what stands
/// in belongs to the extension.
unsafe fn substitute(function: pg_sys::Oid) -> Option<pg_sys::Oid> {
    let redirection = REDIRECTIONS
        .iter()
        .find(|redirection| redirection.original == function.to_u32())?;
    // SAFETY: a look-up in the system caches with the functions' argument types.
    unsafe {
        let namespace = pg_sys::get_namespace_oid(c"lakebase".as_ptr(), true);
        let extension = pg_sys::get_extension_oid(c"pg_iceberg_am".as_ptr(), true);
        if namespace == pg_sys::InvalidOid || extension == pg_sys::InvalidOid {
            return None;
        }
        let arguments = redirection.arguments;
        let vector = pg_sys::buildoidvector(arguments.as_ptr(), arguments.len() as i32);
        let oid = pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as i32,
            pg_sys::Anum_pg_proc_oid as pg_sys::AttrNumber,
            redirection.name.as_ptr().into(),
            vector.into(),
            namespace.into(),
            pg_sys::Datum::null(),
        );
        pg_sys::pfree(vector.cast());
        let is_ours = oid != pg_sys::InvalidOid
            && pg_sys::getExtensionOfObject(pg_sys::ProcedureRelationId, oid) == extension;
        is_ours.then_some(oid)
    }
}
