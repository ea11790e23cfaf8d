//! The types that cannot be kept exactly in any form, and what to use instead.

use pgrx::pg_sys::{self, Oid};

/// The aliases of `oid`, and the other types of four bytes without a sign.
pub(super) fn is_oid_like(type_oid: Oid) -> bool {
    matches!(type_oid, pg_sys::OIDOID | pg_sys::XIDOID | pg_sys::CIDOID)
        || is_alias_of_oid(type_oid)
}

/// `regclass` and its kin.
fn is_alias_of_oid(type_oid: Oid) -> bool {
    matches!(
        type_oid,
        pg_sys::REGPROCOID
            | pg_sys::REGPROCEDUREOID
            | pg_sys::REGOPEROID
            | pg_sys::REGOPERATOROID
            | pg_sys::REGCLASSOID
            | pg_sys::REGCOLLATIONOID
            | pg_sys::REGTYPEOID
            | pg_sys::REGROLEOID
            | pg_sys::REGNAMESPACEOID
            | pg_sys::REGCONFIGOID
            | pg_sys::REGDICTIONARYOID
    )
}

/// A hint for a type that is refused; `None` for one that is not. `typtype` is that of `pg_type`.
pub(super) fn hint(type_oid: Oid, typtype: u8) -> Option<&'static str> {
    Some(match type_oid {
        // Its text follows lc_monetary, and says neither currency nor scale.
        pg_sys::MONEYOID => "Use numeric(19,2).",
        // Its text names roles, which come and go.
        pg_sys::ACLITEMOID => "Use text, and cast the value where it is used.",
        pg_sys::RECORDOID => "Use a named composite type.",
        // Their input functions accept nothing.
        pg_sys::PG_NODE_TREEOID
        | pg_sys::PG_NDISTINCTOID
        | pg_sys::PG_DEPENDENCIESOID
        | pg_sys::PG_MCV_LISTOID
        | pg_sys::PG_BRIN_BLOOM_SUMMARYOID
        | pg_sys::PG_BRIN_MINMAX_MULTI_SUMMARYOID
        | pg_sys::GTSVECTOROID => "Use text, and cast the value to it.",
        _ if typtype == pg_sys::TYPTYPE_PSEUDO => "Use a type that columns can have.",
        _ => return None,
    })
}

/// A hint for a type of which a function is written in another language than C.
pub(super) const HINT_NOT_COMPILED: &str =
    "Use a type whose functions are written in C: reading the table runs them.";

/// A hint for a type that has a form of its own, and is refused inside of a text form: its output
/// function's text is not the value.
pub(super) fn hint_inside(type_oid: Oid, typtype: u8) -> Option<&'static str> {
    match type_oid {
        // Reading the text would check constraints, as whoever reads the table.
        _ if typtype == pg_sys::TYPTYPE_DOMAIN => Some("Use the domain's base type in the range."),
        // Attributes may be dropped later, and go by position in the text.
        _ if typtype == pg_sys::TYPTYPE_COMPOSITE => Some("Use two columns for the bounds."),
        // Parentheses, and first lines, are left out.
        pg_sys::TSQUERYOID | pg_sys::XMLOID => {
            Some("Use text, and cast the value where it is used.")
        }
        // A name may go away, or come to mean something else.
        _ => is_alias_of_oid(type_oid).then_some("Use oid."),
    }
}
