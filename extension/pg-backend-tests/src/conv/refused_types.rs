//! Types without an exact Arrow form are refused when the column is resolved, with a way round.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use super::super::query::{resolve, run};
    use pgrx::PgSqlErrorCode;
    use pgrx::prelude::*;

    fn assert_unsupported(sql_type: &str, printed: &str, hint: &str) {
        let error = resolve(sql_type).expect_err(sql_type);
        assert_eq!(
            error.sqlstate(),
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "{sql_type}"
        );
        assert_eq!(
            error.to_string(),
            format!("column \"c\" has type {printed}, which is not supported")
        );
        let found = error.hint().expect(sql_type);
        assert!(found.contains(hint), "{sql_type}: {found}");
    }

    #[pg_test]
    fn numerics_beyond_38_digits_are_refused() {
        let hint = "numeric(p,s) with p up to 38";
        assert_unsupported("numeric", "numeric", hint);
        assert_unsupported("numeric(39,2)", "numeric(39,2)", hint);
        assert_unsupported("numeric(10,-2)", "numeric(10,-2)", hint);
        assert_unsupported("numeric(3,5)", "numeric(3,5)", hint);
        assert_unsupported("numeric[]", "numeric", hint);
    }

    #[pg_test]
    fn other_builtin_types_are_refused() {
        for (sql_type, printed, hint) in [
            ("timetz", "time with time zone", "timestamp with time zone"),
            ("interval", "interval", "bigint"),
            ("money", "money", "numeric(19,2)"),
            ("inet", "inet", "text"),
            ("macaddr8", "macaddr8", "text"),
            ("xml", "xml", "text"),
            ("bit(3)", "bit(3)", "bytea"),
            ("point", "point", "double precision"),
            ("\"char\"", "\"char\"", "char(1)"),
            ("oid", "oid", "bigint"),
            ("regclass", "regclass", "text"),
            ("int4range", "int4range", "two columns"),
            ("int4multirange", "int4multirange", "array"),
            ("tsvector", "tsvector", "text"),
            ("int2vector", "int2vector", "smallint[]"),
            ("pg_lsn", "pg_lsn", "text"),
            ("inet[]", "inet", "text"),
        ] {
            assert_unsupported(sql_type, printed, hint);
        }
    }

    #[pg_test]
    fn enums_domains_and_empty_composites_are_refused() {
        run("CREATE TYPE mood AS ENUM ('sad', 'happy');
             CREATE DOMAIN any_number AS numeric;
             CREATE TYPE nothing AS ();");
        assert_unsupported("mood", "mood", "CHECK");
        assert_unsupported("any_number", "any_number", "numeric(p,s)");
        assert_unsupported("nothing", "nothing", "attribute");
    }

    #[pg_test]
    fn refused_fields_are_named_with_their_path() {
        run("CREATE TYPE leaf AS (ok int, bad interval);
             CREATE TYPE tree AS (leaves leaf[]);");
        let error = resolve("tree").expect_err("tree");
        assert_eq!(
            error.to_string(),
            "column \"c.leaves.bad\" has type interval, which is not supported"
        );
    }
}
