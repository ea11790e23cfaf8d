//! What to use instead of the types that have no exact Arrow form.

use pgrx::pg_sys::{self, Oid};

/// A hint for a type that is refused. `typtype` is that of `pg_type`.
pub(super) fn hint(type_oid: Oid, typtype: u8) -> &'static str {
    match type_oid {
        pg_sys::TIMETZOID => "Use time without time zone, or timestamp with time zone.",
        pg_sys::INTERVALOID => {
            "Use bigint with the length in microseconds, or text for calendar units."
        }
        pg_sys::MONEYOID => "Use numeric(19,2).",
        pg_sys::CHAROID => "Use char(1) or text.",
        pg_sys::INETOID
        | pg_sys::CIDROID
        | pg_sys::MACADDROID
        | pg_sys::MACADDR8OID
        | pg_sys::XMLOID
        | pg_sys::TSVECTOROID
        | pg_sys::TSQUERYOID
        | pg_sys::JSONPATHOID => "Use text, and cast the value where it is used.",
        pg_sys::BITOID | pg_sys::VARBITOID => "Use bytea, boolean, or text.",
        pg_sys::POINTOID
        | pg_sys::LSEGOID
        | pg_sys::PATHOID
        | pg_sys::BOXOID
        | pg_sys::POLYGONOID
        | pg_sys::LINEOID
        | pg_sys::CIRCLEOID => {
            "Use double precision columns for the coordinates, or an array of them."
        }
        pg_sys::OIDOID | pg_sys::XIDOID | pg_sys::CIDOID | pg_sys::XID8OID => "Use bigint.",
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
        | pg_sys::REGDICTIONARYOID => "Use text with the object's name.",
        pg_sys::INT2VECTOROID => "Use smallint[].",
        pg_sys::OIDVECTOROID => "Use bigint[].",
        pg_sys::RECORDOID => "Use a named composite type.",
        _ => match typtype {
            pg_sys::TYPTYPE_ENUM => "Use text with a CHECK constraint that lists the labels.",
            pg_sys::TYPTYPE_RANGE => "Use two columns for the bounds.",
            pg_sys::TYPTYPE_MULTIRANGE => "Use an array of a composite type with the bounds.",
            _ => "Use text, and cast the value where it is used.",
        },
    }
}
