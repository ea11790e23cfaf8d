//! Hooks: what the handlers saw, and that they can refuse.

use std::cell::{Cell, RefCell};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::hooks::{
    ExecutorRunCall, ObjectAccess, ObjectAccessEvent, PlannerCall, RelationInfo, UtilityCall,
};
use pgrx::pg_sys;
use pgrx::prelude::*;

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static ROWS: Cell<f64> = const { Cell::new(0.0) };
}

fn see(what: impl FnOnce() -> String) {
    if WATCHING.get() {
        let what = what();
        SEEN.with_borrow_mut(|seen| seen.push(what));
    }
}

pub fn process_utility(call: &mut UtilityCall<'_>) -> PgResult<()> {
    // SAFETY: the statement is a node.
    let tag = unsafe { (*call.statement()).type_ };
    see(|| format!("{tag:?} {:?}", call.context()));
    if WATCHING.get() && tag == pg_sys::NodeTag::T_CreateSchemaStmt {
        return Err(PgError::feature_not_supported("no schemas today"));
    }
    if WATCHING.get() && tag == pg_sys::NodeTag::T_RenameStmt {
        let statement = call.statement_to_change().cast::<pg_sys::RenameStmt>();
        // SAFETY: a copy of our own; the new name is a static string, which is copied.
        unsafe { (*statement).newname = c"renamed_by_the_hook".as_ptr().cast_mut() }
    }
    call.proceed();
    Ok(())
}

pub fn object_access(event: &ObjectAccessEvent) -> PgResult<()> {
    if event.class_id == pg_sys::RelationRelationId {
        see(|| match event.access {
            ObjectAccess::PostCreate { is_internal } => {
                format!("create {} {is_internal}", event.sub_id)
            }
            ObjectAccess::Drop { flags } => {
                format!("drop {} {}", event.sub_id, flags.is_internal())
            }
            ObjectAccess::PostAlter { .. } => format!("alter {}", event.sub_id),
            ObjectAccess::Truncate => "truncate".to_owned(),
        });
    }
    Ok(())
}

pub fn planner(call: &mut PlannerCall<'_>) -> PgResult<*mut pg_sys::PlannedStmt> {
    see(|| "plan".to_owned());
    Ok(call.proceed())
}

pub fn executor_run(call: &mut ExecutorRunCall<'_>) -> PgResult<()> {
    see(|| format!("run {:?}", call.direction()));
    call.proceed();
    Ok(())
}

pub fn get_relation_info(info: &RelationInfo<'_>) -> PgResult<()> {
    if ROWS.get() > 0.0 {
        // SAFETY: the planner's relation is valid during the hook.
        unsafe { (*info.rel).tuples = ROWS.get() }
    }
    Ok(())
}

#[pg_schema]
mod tests {
    use super::{ROWS, SEEN, WATCHING};
    use pgrx::prelude::*;

    /// What the hooks see of `sql`.
    fn watch(sql: &str) -> Vec<String> {
        SEEN.with_borrow_mut(Vec::clear);
        WATCHING.set(true);
        Spi::run(sql).unwrap();
        WATCHING.set(false);
        SEEN.with_borrow_mut(std::mem::take)
    }

    #[pg_test]
    fn utility_statements_pass_the_handler() {
        assert_eq!(
            watch("CREATE TABLE hooked (a int)")
                .iter()
                .filter(|seen| seen.starts_with("T_"))
                .collect::<Vec<_>>(),
            ["T_CreateStmt Query"]
        );
    }

    #[pg_test]
    fn the_handler_changes_a_copy_of_the_statement() {
        Spi::run("CREATE TABLE hooked (a int)").unwrap();
        watch("ALTER TABLE hooked RENAME TO asked_for");
        assert_eq!(
            Spi::get_one::<i64>("SELECT count(*) FROM renamed_by_the_hook").unwrap(),
            Some(0)
        );
    }

    #[pg_test(error = "no schemas today")]
    fn the_handler_can_refuse() {
        watch("CREATE SCHEMA refused");
    }

    /// Errors of anyone's statements pass the hooks. They lost constraint and column names, context
    /// and position when the hooks took them apart and put them together again.
    #[pg_test]
    fn errors_pass_the_hooks_unharmed() {
        Spi::run(
            "CREATE TABLE hooked (a int CONSTRAINT a_is_small CHECK (a < 10), b int NOT NULL)",
        )
        .unwrap();
        Spi::run("CREATE TABLE got (d text)").unwrap();
        for (statement, expected) in [
            (
                "INSERT INTO hooked VALUES (20, 1)",
                "23514|a_is_small||hooked|Failing row contains (20, 1).|",
            ),
            (
                "INSERT INTO hooked VALUES (1, NULL)",
                "23502||b|hooked|Failing row contains (1, null).|",
            ),
            (
                "ALTER TABLE hooked ADD CONSTRAINT a_is_small CHECK (a < 5)",
                "42710|||||",
            ),
        ] {
            Spi::run("DELETE FROM got").unwrap();
            Spi::run(&format!(
                "DO $do$
                 DECLARE c text; l text; t text; d text; h text;
                 BEGIN
                   EXECUTE $s${statement}$s$;
                 EXCEPTION WHEN OTHERS THEN
                   GET STACKED DIAGNOSTICS c = CONSTRAINT_NAME, l = COLUMN_NAME, t = TABLE_NAME,
                                           d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
                   INSERT INTO got VALUES (SQLSTATE || '|' || c || '|' || l || '|' || t || '|'
                     || d || '|' || h);
                 END $do$"
            ))
            .unwrap();
            assert_eq!(
                Spi::get_one::<String>("SELECT d FROM got")
                    .unwrap()
                    .unwrap(),
                expected,
                "{statement}"
            );
        }
    }

    #[pg_test]
    fn context_of_errors_passes_the_hooks() {
        Spi::run("CREATE TABLE got (d text)").unwrap();
        Spi::run(
            "CREATE FUNCTION inner_one() RETURNS int LANGUAGE plpgsql AS $$
             BEGIN RETURN 1 / 0; END $$;
             DO $do$ DECLARE c text;
             BEGIN PERFORM inner_one();
             EXCEPTION WHEN division_by_zero THEN
               GET STACKED DIAGNOSTICS c = PG_EXCEPTION_CONTEXT;
               INSERT INTO got VALUES (c);
             END $do$",
        )
        .unwrap();
        let context = Spi::get_one::<String>("SELECT d FROM got")
            .unwrap()
            .unwrap();
        let lines: Vec<&str> = context.lines().take(4).collect();
        assert_eq!(
            lines,
            [
                "SQL expression \"1 / 0\"",
                "PL/pgSQL function inner_one() line 2 at RETURN",
                "SQL statement \"SELECT inner_one()\"",
                "PL/pgSQL function inline_code_block line 2 at PERFORM",
            ],
            "once each, in order"
        );
        assert_eq!(context.matches("inline_code_block").count(), 1, "{context}");
    }

    #[pg_test]
    fn objects_are_seen_coming_and_going() {
        let only = |seen: Vec<String>| {
            seen.into_iter()
                .filter(|seen| !seen.starts_with("T_"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            only(watch("CREATE TABLE hooked (a int, b int)")),
            ["create 0 false"]
        );
        assert_eq!(
            only(watch("ALTER TABLE hooked ADD COLUMN c int")),
            ["create 3 false"]
        );
        assert_eq!(only(watch("TRUNCATE hooked")), ["truncate"]);
        assert_eq!(
            only(watch("ALTER TABLE hooked DROP COLUMN c")),
            ["drop 3 false"]
        );
        assert_eq!(only(watch("DROP TABLE hooked")), ["drop 0 false"]);
    }

    #[pg_test]
    fn planner_and_executor_are_seen_in_order() {
        assert_eq!(watch("SELECT 1"), ["plan", "run Forward"]);
    }

    #[pg_test]
    fn sizes_can_be_changed_for_the_planner() {
        Spi::run("CREATE TABLE hooked (a int)").unwrap();
        ROWS.set(123_456.0);
        let plan = Spi::explain("SELECT * FROM hooked").unwrap();
        ROWS.set(0.0);
        assert!(format!("{plan:?}").contains("123456"), "{plan:?}");
    }
}
