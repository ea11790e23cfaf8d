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
    fn types_whose_text_is_not_the_value_are_refused() {
        for (sql_type, printed, hint) in [
            ("money", "money", "numeric(19,2)"),
            ("money[]", "money", "numeric(19,2)"),
            ("aclitem", "aclitem", "text"),
            ("pg_node_tree", "pg_node_tree", "text"),
            ("gtsvector", "gtsvector", "text"),
        ] {
            assert_unsupported(sql_type, printed, hint);
        }
    }

    #[pg_test]
    fn pseudo_types_and_empty_composites_are_refused() {
        run("CREATE TYPE nothing AS ();
             CREATE DOMAIN pay AS money;");
        assert_unsupported("cstring", "cstring", "columns can have");
        assert_unsupported("nothing", "nothing", "attribute");
        assert_unsupported("pay", "pay", "numeric(19,2)");
    }

    #[pg_test]
    fn text_forms_that_hold_refused_types_are_refused() {
        run("CREATE TYPE pays AS RANGE (subtype = money);
             CREATE TYPE pair AS (a int, b int);
             CREATE TYPE pairs AS RANGE (subtype = pair);
             CREATE TYPE classes AS RANGE (subtype = regclass);
             CREATE TYPE queries AS RANGE (subtype = tsquery);");
        assert_unsupported("pays", "pays", "numeric(19,2)");
        assert_unsupported("pays[]", "pays", "numeric(19,2)");
        assert_unsupported("pairs", "pairs", "two columns");
        assert_unsupported("classes", "classes", "oid");
        assert_unsupported("queries", "queries", "text");
    }

    /// Their input functions check the domain's constraints.
    #[pg_test]
    fn text_forms_that_hold_domains_are_refused() {
        run("CREATE DOMAIN number AS int;
             CREATE DOMAIN numbers AS int[];
             CREATE TYPE r_domain AS RANGE (subtype = number, multirange_type_name = m_domain);
             CREATE TYPE r_elements AS RANGE (subtype = number[]);
             CREATE TYPE r_array AS RANGE (subtype = numbers);
             CREATE TYPE r_range AS RANGE (subtype = r_domain);
             CREATE DOMAIN d_range AS r_range;");
        for name in [
            "r_domain",
            "m_domain",
            "r_elements",
            "r_array",
            "r_range",
            "d_range",
        ] {
            assert_unsupported(name, name, "base type");
        }
    }

    #[pg_test]
    fn refused_fields_are_named_with_their_path() {
        run("CREATE TYPE leaf AS (ok int, bad money);
             CREATE TYPE tree AS (leaves leaf[]);");
        let error = resolve("tree").expect_err("tree");
        assert_eq!(
            error.to_string(),
            "column \"c.leaves.bad\" has type money, which is not supported"
        );
    }
}
