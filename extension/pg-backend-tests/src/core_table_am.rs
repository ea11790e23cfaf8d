//! The table access method traits, seen from SQL through the access method `core_rows`.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use crate::core_rows_am::{self, Fault, RowsAm};
    use pg_lakebase_core::memory::MemoryContext;
    use pg_lakebase_core::relation::{LockMode, OpenRelation};
    use pg_lakebase_core::table_am::{
        CALLBACKS, OPTIONAL_CALLBACKS, ParallelScan, ScanMethods, routine,
    };
    use pgrx::pg_sys;
    use pgrx::prelude::*;

    fn run(sql: &str) {
        Spi::run(sql).unwrap();
    }

    fn number(sql: &str) -> i64 {
        Spi::get_one::<i64>(sql).unwrap().unwrap()
    }

    fn text(sql: &str) -> String {
        Spi::get_one::<String>(sql).unwrap().unwrap()
    }

    /// A table of `rows` rows: 1, 2, 3, … and their names.
    fn create(rows: u32) {
        run("CREATE TABLE r (n int, t text) USING core_rows");
        run(&format!(
            "INSERT INTO r SELECT n, 'row ' || n FROM generate_series(1, {rows}) AS n"
        ));
    }

    /// The blocks of a table as PostgreSQL counts them.
    fn blocks(table: &str) -> u32 {
        let oid = Spi::get_one::<pg_sys::Oid>(&format!("SELECT '{table}'::regclass::oid"))
            .unwrap()
            .unwrap();
        let rel = OpenRelation::open(oid, LockMode::AccessShare);
        // SAFETY: the relation is open.
        unsafe {
            pg_sys::RelationGetNumberOfBlocksInFork(rel.as_ptr(), pg_sys::ForkNumber::MAIN_FORKNUM)
        }
    }

    /// SQLSTATE, message, detail and hint of the error that `sql` raises.
    fn diagnostics(sql: &str) -> String {
        run("CREATE TEMP TABLE IF NOT EXISTS diagnostics (d text)");
        run("DELETE FROM diagnostics");
        run(&format!(
            "DO $do$
             DECLARE m text; d text; h text;
             BEGIN
               BEGIN
                 {sql};
                 INSERT INTO diagnostics VALUES ('no error');
               EXCEPTION WHEN OTHERS THEN
                 GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL,
                                         h = PG_EXCEPTION_HINT;
                 INSERT INTO diagnostics
                 VALUES (concat_ws('|', SQLSTATE, m, NULLIF(d, ''), NULLIF(h, '')));
               END;
             END $do$"
        ));
        text("SELECT d FROM diagnostics")
    }

    /// Field `index` of a routine as an address.
    fn field(routine: &pg_sys::TableAmRoutine, index: usize) -> usize {
        // SAFETY: past the tag, padded to a pointer's size, the struct is an array of pointers.
        unsafe {
            std::ptr::from_ref(routine)
                .cast::<usize>()
                .add(1 + index)
                .read()
        }
    }

    #[pg_test]
    fn every_callback_but_the_optional_ones_is_wired() {
        let routine = routine::<RowsAm>();
        assert_eq!(routine.type_, pg_sys::NodeTag::T_TableAmRoutine);
        assert_eq!(
            size_of::<pg_sys::TableAmRoutine>(),
            (1 + CALLBACKS.len()) * size_of::<usize>()
        );
        let null: Vec<&str> = (0..CALLBACKS.len())
            .filter(|index| field(&routine, *index) == 0)
            .map(|index| CALLBACKS[index])
            .collect();
        assert_eq!(null, OPTIONAL_CALLBACKS);
    }

    #[pg_test]
    fn callback_names_are_at_their_fields() {
        let mut routine = pg_sys::TableAmRoutine::default();
        let position = |routine: &pg_sys::TableAmRoutine| {
            let set: Vec<usize> = (0..CALLBACKS.len())
                .filter(|index| field(routine, *index) != 0)
                .collect();
            assert_eq!(set.len(), 1);
            CALLBACKS[set[0]]
        };
        let full = pg_lakebase_core::table_am::routine::<RowsAm>();
        routine.scan_end = full.scan_end;
        assert_eq!(position(&routine), "scan_end");
        routine.scan_end = None;
        routine.relation_vacuum = full.relation_vacuum;
        assert_eq!(position(&routine), "relation_vacuum");
        routine.relation_vacuum = None;
        routine.scan_sample_next_tuple = full.scan_sample_next_tuple;
        assert_eq!(position(&routine), "scan_sample_next_tuple");
    }

    #[pg_test]
    fn handler_passes_the_assertions_of_postgresql() {
        let oid = Spi::get_one::<pg_sys::Oid>(
            "SELECT amhandler::oid FROM pg_am WHERE amname = 'core_rows'",
        )
        .unwrap()
        .unwrap();
        // SAFETY: the handler of a table access method.
        let routine = unsafe { &*pg_sys::GetTableAmRoutine(oid) };
        assert_ne!(field(routine, 0), 0);
    }

    #[pg_test]
    fn participants_of_a_parallel_scan_share_one_counter() {
        create(1);
        let oid = Spi::get_one::<pg_sys::Oid>("SELECT 'r'::regclass::oid")
            .unwrap()
            .unwrap();
        let rel = OpenRelation::open(oid, LockMode::AccessShare);
        assert_eq!(
            RowsAm::parallelscan_estimate(rel.relation()),
            ParallelScan::SIZE
        );
        let memory = MemoryContext::current().alloc_zeroed(ParallelScan::SIZE);
        // SAFETY: memory of the right size, for as long as the test.
        let (leader, worker) = unsafe {
            (
                ParallelScan::from_raw(memory.as_ptr().cast()),
                ParallelScan::from_raw(memory.as_ptr().cast()),
            )
        };
        assert_eq!(
            RowsAm::parallelscan_initialize(rel.relation(), leader).unwrap(),
            ParallelScan::SIZE
        );
        // SAFETY: as above.
        assert_eq!(unsafe { (*leader.as_ptr()).phs_relid }, oid);
        assert_eq!(leader.claim_next(), 0);
        assert_eq!(worker.claim_next(), 1);
        assert_eq!(leader.claim_next(), 2);
        RowsAm::parallelscan_reinitialize(rel.relation(), leader);
        assert_eq!(worker.claim_next(), 0);
    }

    #[pg_test]
    fn rows_come_back_with_nulls_and_identifiers() {
        create(25);
        run("INSERT INTO r VALUES (NULL, NULL), (7, NULL)");
        assert_eq!(number("SELECT count(*) FROM r"), 27);
        assert_eq!(number("SELECT sum(n) FROM r"), 332);
        assert_eq!(number("SELECT count(*) FROM r WHERE t IS NULL"), 2);
        assert_eq!(text("SELECT t FROM r WHERE n = 20"), "row 20");
        assert_eq!(text("SELECT ctid::text FROM r WHERE n = 20"), "(1,10)");
        assert_eq!(
            number("SELECT count(*) FROM r WHERE tableoid = 'r'::regclass"),
            27
        );
        assert_eq!(core_rows_am::live_scans(), 0);
    }

    #[pg_test]
    fn insert_returning_sees_identifier_and_table() {
        run("CREATE TABLE r (n int) USING core_rows");
        assert_eq!(
            text("INSERT INTO r VALUES (1) RETURNING ctid || ' ' || tableoid::regclass"),
            "(0,1) r"
        );
    }

    #[pg_test]
    fn copy_inserts_many_rows_at_once() {
        run("CREATE TABLE r (n int) USING core_rows");
        run("COPY r FROM PROGRAM 'seq 1 5000'");
        assert_eq!(number("SELECT sum(n) FROM r"), 12_502_500);
    }

    #[pg_test]
    fn a_command_does_not_see_its_own_rows() {
        create(10);
        run("INSERT INTO r SELECT * FROM r");
        assert_eq!(number("SELECT count(*) FROM r"), 20);
    }

    #[pg_test]
    fn scans_are_repeated_for_nested_loops_and_subqueries() {
        create(20);
        run("SET LOCAL enable_hashjoin = off");
        run("SET LOCAL enable_mergejoin = off");
        run("SET LOCAL enable_material = off");
        assert_eq!(number("SELECT count(*) FROM r a, r b WHERE a.n < b.n"), 190);
        assert_eq!(
            number("SELECT sum((SELECT count(*) FROM r b WHERE b.n <= a.n))::int8 FROM r a"),
            210
        );
        assert_eq!(core_rows_am::live_scans(), 0);
    }

    #[pg_test]
    fn scrollable_cursors_go_both_ways() {
        create(5);
        run("CREATE TABLE seen (n int)");
        run("DO $$
             DECLARE c SCROLL CURSOR FOR SELECT n FROM r; v int;
             BEGIN
               OPEN c;
               FETCH NEXT FROM c INTO v; INSERT INTO seen VALUES (v);
               FETCH LAST FROM c INTO v; INSERT INTO seen VALUES (v);
               FETCH PRIOR FROM c INTO v; INSERT INTO seen VALUES (v);
               FETCH FIRST FROM c INTO v; INSERT INTO seen VALUES (v);
               FETCH ABSOLUTE 3 FROM c INTO v; INSERT INTO seen VALUES (v);
               FETCH PRIOR FROM c INTO v; INSERT INTO seen VALUES (v);
               CLOSE c;
             END $$");
        assert_eq!(
            text("SELECT string_agg(n::text, ' ' ORDER BY ctid) FROM seen"),
            "1 5 4 1 3 2"
        );
        assert_eq!(core_rows_am::live_scans(), 0);
    }

    #[pg_test]
    fn scan_state_is_dropped_when_the_query_fails_elsewhere() {
        create(30);
        let (begun, ended) = core_rows_am::scan_counts();
        assert_eq!(
            diagnostics("PERFORM 1 / (n - 15) FROM r"),
            "22012|division by zero"
        );
        let (begun, ended) = {
            let now = core_rows_am::scan_counts();
            (now.0 - begun, now.1 - ended)
        };
        assert_eq!((begun, ended), (1, 0), "the end callback does not run");
        assert_eq!(core_rows_am::live_scans(), 0, "but the state is dropped");
    }

    #[pg_test]
    fn errors_of_scans_keep_state_message_detail_and_hint() {
        create(30);
        core_rows_am::inject(12, Fault::Error);
        assert_eq!(
            diagnostics("PERFORM count(*) FROM r"),
            "XX001|row 12 of \"r\" is damaged|The test said so.|Run another test."
        );
        assert_eq!(core_rows_am::live_scans(), 0);
        assert_eq!(number("SELECT count(*) FROM r"), 30);
    }

    #[pg_test]
    fn panics_of_scans_are_internal_errors() {
        create(30);
        core_rows_am::inject(12, Fault::Panic);
        // A backtrace may follow, if the environment asks for it.
        let shown = diagnostics("PERFORM count(*) FROM r");
        assert!(shown.starts_with("XX000|a panic in a scan"), "{shown}");
        assert_eq!(core_rows_am::live_scans(), 0);
        assert_eq!(number("SELECT count(*) FROM r"), 30);
    }

    #[pg_test]
    fn a_failing_cursor_loop_leaves_no_state() {
        create(30);
        diagnostics(
            "DECLARE v int; BEGIN
               FOR v IN SELECT n FROM r LOOP
                 PERFORM 1 / (v - 3) FROM r LIMIT 1;
               END LOOP;
             END",
        );
        assert_eq!(core_rows_am::live_scans(), 0);
    }

    #[pg_test]
    fn rows_of_failed_subtransactions_vanish() {
        create(3);
        assert_eq!(
            diagnostics("INSERT INTO r VALUES (4, 'gone'); PERFORM 1 / 0"),
            "22012|division by zero"
        );
        assert_eq!(number("SELECT count(*) FROM r"), 3);
        run("DO $$ BEGIN
               INSERT INTO r VALUES (4, 'outer');
               BEGIN INSERT INTO r VALUES (5, 'kept'); EXCEPTION WHEN OTHERS THEN NULL; END;
             END $$");
        assert_eq!(number("SELECT count(*) FROM r"), 5);
    }

    #[pg_test]
    fn what_is_not_supported_is_refused_in_the_access_methods_words() {
        create(3);
        for (sql, operation) in [
            ("UPDATE r SET n = 0", "TupleUpdate"),
            ("DELETE FROM r", "TupleDelete"),
            ("PERFORM * FROM r FOR UPDATE", "TupleLock"),
            ("CREATE INDEX ON r (n)", "IndexBuild"),
        ] {
            assert_eq!(
                diagnostics(sql),
                format!("0A000|{operation} on \"r\"|Use another access method."),
                "{sql}"
            );
        }
        assert_eq!(number("SELECT count(*) FROM r"), 3);
    }

    #[pg_test]
    fn sampling_methods_see_all_blocks_and_rows() {
        create(105);
        assert_eq!(
            number("SELECT count(*) FROM r TABLESAMPLE BERNOULLI (100)"),
            105
        );
        assert_eq!(
            number("SELECT count(*) FROM r TABLESAMPLE SYSTEM (100)"),
            105
        );
        assert_eq!(number("SELECT count(*) FROM r TABLESAMPLE SYSTEM (0)"), 0);
        let repeatable = "SELECT sum(n) FROM r TABLESAMPLE BERNOULLI (50) REPEATABLE (7)";
        let sampled = number(repeatable);
        assert_eq!(number(repeatable), sampled);
        assert!(sampled > 0 && sampled < 5565);
    }

    #[pg_test]
    fn analyze_finds_rows_and_correlation() {
        create(1000);
        run("ANALYZE r");
        assert_eq!(
            number("SELECT reltuples::int8 FROM pg_class WHERE relname = 'r'"),
            1000
        );
        assert_eq!(
            text(
                "SELECT n_distinct || ' ' || correlation FROM pg_stats
                 WHERE tablename = 'r' AND attname = 'n'"
            ),
            "-1 1",
            "rows are sampled with their identifiers"
        );
    }

    #[pg_test]
    fn identifiers_find_their_rows() {
        create(25);
        assert_eq!(
            number("SELECT n::int8 FROM r WHERE ctid = '(1,3)'::tid"),
            13
        );
        assert_eq!(
            number("SELECT count(*) FROM r WHERE ctid = '(7,1)'::tid"),
            0
        );
        assert_eq!(text("SELECT currtid2('r', '(2,5)'::tid)::text"), "(2,5)");
    }

    #[pg_test]
    fn after_triggers_fetch_rows_and_transition_tables() {
        create(0);
        run("CREATE TABLE seen (what text)");
        run(
            "CREATE FUNCTION each() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO seen VALUES (NEW.n || NEW.t); RETURN NULL; END $$",
        );
        run(
            "CREATE FUNCTION all_of_them() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO seen SELECT count(*) || ' in all' FROM added; RETURN NULL; END $$",
        );
        run("CREATE TRIGGER a AFTER INSERT ON r FOR EACH ROW EXECUTE FUNCTION each()");
        run(
            "CREATE TRIGGER b AFTER INSERT ON r REFERENCING NEW TABLE AS added
             FOR EACH STATEMENT EXECUTE FUNCTION all_of_them()",
        );
        run("INSERT INTO r VALUES (1, 'a'), (2, 'b')");
        assert_eq!(
            text("SELECT string_agg(what, ',' ORDER BY what) FROM seen"),
            "1a,2 in all,2b"
        );
    }

    #[pg_test]
    fn storage_is_truncated_rewritten_and_measured() {
        create(95);
        assert_eq!(blocks("r"), 10);
        run("TRUNCATE r");
        assert_eq!(number("SELECT count(*) FROM r"), 0);
        run("INSERT INTO r SELECT n, 'x' FROM generate_series(1, 12) n");
        run("ALTER TABLE r SET ACCESS METHOD heap");
        assert_eq!(number("SELECT sum(n) FROM r"), 78);
        run("ALTER TABLE r SET ACCESS METHOD core_rows");
        assert_eq!(number("SELECT sum(n) FROM r"), 78);
        run("CREATE MATERIALIZED VIEW m USING core_rows AS SELECT n FROM r WHERE n > 6");
        run("INSERT INTO r VALUES (100, 'y')");
        run("REFRESH MATERIALIZED VIEW m");
        assert_eq!(number("SELECT count(*) FROM m"), 7);
        run("CREATE UNLOGGED TABLE u (n int) USING core_rows");
        run("CREATE TEMP TABLE p (n int) USING core_rows ON COMMIT DROP");
        run("DROP TABLE r, u, p CASCADE");
    }

    #[pg_test]
    fn memory_of_repeated_scans_is_given_back() {
        create(20);
        let loops = "DO $$ DECLARE x int; BEGIN
                       FOR i IN 1..2000 LOOP SELECT n INTO x FROM r LIMIT 1; END LOOP;
                     END $$";
        run(loops);
        let held = || {
            // SAFETY: the process's own top context.
            unsafe { pg_sys::MemoryContextMemAllocated(pg_sys::TopMemoryContext, true) }
        };
        let before = held();
        run(loops);
        let grown = held().saturating_sub(before);
        assert!(grown < 512 * 1024, "{grown} bytes more after 2000 scans");
        assert_eq!(core_rows_am::live_scans(), 0);
    }
}
