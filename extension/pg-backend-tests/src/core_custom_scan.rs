//! A custom scan provider, seen from SQL.
//!
//! `core_numbers` scans heap tables named `core_numbers…` with columns (n int, t text): instead of
//! their rows it returns the numbers from 0 to below the table's comment, or 1000.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};

use pg_lakebase_core::custom_scan::{
    BeginContext, CustomScanProvider, Explainer, PathSpec, PlanCall, PrivateValue, ScanContext,
    SharedArea, offer_path,
};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::hooks::RelPathlist;
use pg_lakebase_core::slot::Slot;
use pgrx::IntoDatum;
use pgrx::pg_sys;
use pgrx::prelude::*;

const COUNT: i64 = 1000;
/// Does not fit a 32-bit Integer node.
const LARGE: i64 = 1 << 40;

thread_local! {
    static LIVE: Cell<i32> = const { Cell::new(0) };
}

pub struct Numbers;

pub struct State {
    count: u64,
    next: u64,
    shared: Option<SharedArea>,
    needed: Vec<bool>,
    fail_at: Option<u64>,
    returned: i64,
}

impl Drop for State {
    fn drop(&mut self) {
        LIVE.set(LIVE.get() - 1);
    }
}

impl State {
    fn claim(&mut self) -> u64 {
        match self.shared {
            // SAFETY: the area is a counter that all participants use as an atomic.
            Some(area) => unsafe {
                (*area.as_ptr().cast::<AtomicU64>()).fetch_add(1, Ordering::Relaxed)
            },
            None => {
                let number = self.next;
                self.next += 1;
                number
            }
        }
    }
}

fn malformed() -> PgError {
    PgError::internal("the plan's private data is malformed")
}

impl CustomScanProvider for Numbers {
    const NAME: &'static CStr = c"core_numbers";
    const PARALLEL_AWARE: bool = true;
    type State = State;

    fn plan(call: &mut PlanCall<'_>) -> PgResult<()> {
        call.private.push(PrivateValue::Text("planned".to_owned()));
        Ok(())
    }

    fn begin(context: &BeginContext<'_>, private: Vec<PrivateValue>) -> PgResult<State> {
        let [
            count,
            PrivateValue::List(nested),
            PrivateValue::Text(planned),
        ] = &private[..]
        else {
            return Err(malformed());
        };
        if nested[..] != [PrivateValue::Integer(LARGE), PrivateValue::List(Vec::new())]
            || planned != "planned"
        {
            return Err(malformed());
        }
        let name = context.scan().relation()?.name();
        LIVE.set(LIVE.get() + 1);
        let PrivateValue::Integer(count) = count else {
            return Err(malformed());
        };
        Ok(State {
            count: count.unsigned_abs(),
            next: 0,
            shared: None,
            needed: context.needed_columns()?.as_slice().to_vec(),
            fail_at: name.ends_with("_fail").then_some(500),
            returned: 0,
        })
    }

    fn next(state: &mut State, _context: &ScanContext<'_>, slot: &mut Slot<'_>) -> PgResult<bool> {
        let number = state.claim();
        if number >= state.count {
            return Ok(false);
        }
        if state.fail_at == Some(number) {
            return Err(PgError::new(
                PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                "number 500 is damaged",
            ));
        }
        let needed = state.needed.clone();
        let (values, nulls) = slot.columns_mut();
        nulls.fill(true);
        if needed[0] {
            values[0] = pg_sys::Datum::from(number as i32);
            nulls[0] = false;
        }
        if needed[1] {
            values[1] = format!("number {number}").into_datum().unwrap();
            nulls[1] = false;
        }
        slot.store_virtual();
        state.returned += 1;
        Ok(true)
    }

    fn rescan(state: &mut State, _context: &ScanContext<'_>) -> PgResult<()> {
        state.next = 0;
        Ok(())
    }

    fn explain(
        state: &mut State,
        context: &ScanContext<'_>,
        out: &mut Explainer<'_>,
    ) -> PgResult<()> {
        out.text("Table", &context.relation()?.name());
        out.integer("Numbers", None, state.count as i64);
        out.boolean("First Needed", state.needed[0]);
        if out.is_analyze() {
            out.integer("Returned", None, state.returned);
        }
        Ok(())
    }

    fn estimate_shared(_state: &mut State, _context: &ScanContext<'_>) -> PgResult<usize> {
        Ok(size_of::<AtomicU64>())
    }

    fn initialize_shared(
        state: &mut State,
        context: &ScanContext<'_>,
        area: SharedArea,
    ) -> PgResult<()> {
        Self::reinitialize_shared(state, context, area)
    }

    fn reinitialize_shared(
        state: &mut State,
        _context: &ScanContext<'_>,
        area: SharedArea,
    ) -> PgResult<()> {
        // SAFETY: the area is as large as was asked for, and nobody else uses it now.
        unsafe { area.as_ptr().cast::<AtomicU64>().write(AtomicU64::new(0)) };
        state.shared = Some(area);
        Ok(())
    }

    fn attach_shared(
        state: &mut State,
        _context: &ScanContext<'_>,
        area: SharedArea,
    ) -> PgResult<()> {
        // SAFETY: reads a variable of the process's own.
        assert!(unsafe { pg_sys::ParallelWorkerNumber } >= 0);
        state.shared = Some(area);
        Ok(())
    }
}

/// Offers the scan for tables of the right name.
pub fn set_rel_pathlist(call: &RelPathlist<'_>) -> PgResult<()> {
    // SAFETY: planner structures are valid during the hook.
    unsafe {
        if (*call.rte).rtekind != pg_sys::RTEKind::RTE_RELATION {
            return Ok(());
        }
        let name = pg_sys::get_rel_name((*call.rte).relid);
        if name.is_null() || !CStr::from_ptr(name).to_bytes().starts_with(b"core_numbers") {
            return Ok(());
        }
        (*call.rel).pathlist = std::ptr::null_mut();
        (*call.rel).partial_pathlist = std::ptr::null_mut();
    }
    let spec = PathSpec {
        rows: COUNT as f64,
        total_cost: 1.0e6,
        parallel_safe: true,
        private: vec![
            PrivateValue::Integer(COUNT),
            PrivateValue::List(vec![
                PrivateValue::Integer(LARGE),
                PrivateValue::List(Vec::new()),
            ]),
        ],
        ..PathSpec::default()
    };
    offer_path::<Numbers>(call, &spec)?;
    offer_path::<Numbers>(
        call,
        &PathSpec {
            rows: COUNT as f64 / 2.0,
            total_cost: 1000.0,
            parallel_workers: 2,
            ..spec
        },
    )
}

#[pg_schema]
mod tests {
    use super::LIVE;
    use pg_lakebase_core::custom_scan::PrivateValue;
    use pgrx::pg_sys;
    use pgrx::prelude::*;

    fn run(sql: &str) {
        Spi::run(sql).unwrap();
    }

    fn number(sql: &str) -> i64 {
        Spi::get_one::<i64>(sql).unwrap().unwrap()
    }

    fn create(name: &str) {
        run(&format!("CREATE TABLE {name} (n int, t text)"));
        run("SET LOCAL max_parallel_workers_per_gather = 0");
    }

    fn explain(sql: &str) -> String {
        Spi::connect(|client| {
            client
                .select(sql, None, &[])
                .unwrap()
                .map(|row| row.get::<String>(1).unwrap().unwrap())
                .collect::<Vec<_>>()
                .join("\n")
        })
    }

    #[pg_test]
    fn postgresql_filters_and_projects() {
        create("core_numbers");
        assert_eq!(number("SELECT count(*) FROM core_numbers"), 1000);
        assert_eq!(
            number("SELECT sum(n * 2) FROM core_numbers WHERE n % 10 = 3"),
            99600
        );
        assert_eq!(
            Spi::get_one::<String>("SELECT t || '!' FROM core_numbers WHERE n = 7").unwrap(),
            Some("number 7!".to_owned())
        );
        assert_eq!(
            number(
                "SELECT count(*) FROM (SELECT c FROM core_numbers AS c) AS w WHERE (w.c).t = 'number 5'"
            ),
            1
        );
        assert_eq!(LIVE.get(), 0);
    }

    #[pg_test]
    fn only_needed_columns_are_asked_for() {
        create("core_numbers");
        assert_eq!(
            explain("EXPLAIN (COSTS OFF) SELECT t FROM core_numbers WHERE t <> ''"),
            "Custom Scan (core_numbers) on core_numbers\n  \
             Filter: (t <> ''::text)\n  \
             Table: core_numbers\n  \
             Numbers: 1000\n  \
             First Needed: false"
        );
        assert!(
            explain("EXPLAIN (COSTS OFF) SELECT t FROM core_numbers WHERE n > 1")
                .contains("First Needed: true")
        );
        let analyzed = explain(
            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT n FROM core_numbers LIMIT 5",
        );
        assert!(analyzed.contains("Returned: 5"), "{analyzed}");
        assert_eq!(LIVE.get(), 0);
    }

    #[pg_test]
    fn scans_are_repeated() {
        create("core_numbers");
        run("SET LOCAL enable_material = off");
        run("SET LOCAL enable_hashjoin = off");
        run("SET LOCAL enable_mergejoin = off");
        assert_eq!(
            number(
                "SELECT count(*) FROM (VALUES (1), (2), (3)) AS v (x)
                 JOIN core_numbers ON n < x * 10"
            ),
            60
        );
        assert_eq!(
            number(
                "SELECT sum(c)::int8 FROM generate_series(1, 3) AS x,
                 LATERAL (SELECT count(*) AS c FROM core_numbers WHERE n < x) AS s"
            ),
            6
        );
    }

    #[pg_test]
    fn cursors_go_back_through_a_material_node() {
        create("core_numbers");
        run("CREATE TABLE seen (n int)");
        run("DO $$
             DECLARE c SCROLL CURSOR FOR SELECT n FROM core_numbers; v int;
             BEGIN
               OPEN c;
               FETCH ABSOLUTE 10 FROM c INTO v; INSERT INTO seen VALUES (v);
               FETCH PRIOR FROM c INTO v; INSERT INTO seen VALUES (v);
               FETCH LAST FROM c INTO v; INSERT INTO seen VALUES (v);
               CLOSE c;
             END $$");
        assert_eq!(
            Spi::get_one::<String>("SELECT string_agg(n::text, ' ' ORDER BY ctid) FROM seen")
                .unwrap(),
            Some("9 8 999".to_owned())
        );
    }

    #[pg_test]
    fn prepared_plans_keep_their_private_data() {
        create("core_numbers");
        run("SET LOCAL plan_cache_mode = force_generic_plan");
        run("PREPARE p (int) AS SELECT count(*) FROM core_numbers WHERE n < $1");
        for limit in [10, 20, 30] {
            assert_eq!(number(&format!("EXECUTE p ({limit})")), limit);
        }
        run("DEALLOCATE p");
    }

    #[pg_test]
    fn state_is_dropped_after_errors() {
        create("core_numbers_fail");
        create("core_numbers");
        for sql in [
            "PERFORM sum(n) FROM core_numbers_fail",
            "PERFORM 1 / (n - 5) FROM core_numbers",
        ] {
            run(&format!(
                "DO $$ BEGIN {sql}; RAISE 'no error';
                 EXCEPTION WHEN data_corrupted OR division_by_zero THEN NULL; END $$"
            ));
            assert_eq!(LIVE.get(), 0, "{sql}");
        }
    }

    #[pg_test]
    fn parallel_workers_share_the_rows() {
        create("core_numbers");
        run("SET LOCAL max_parallel_workers_per_gather = 2");
        run("SET LOCAL parallel_setup_cost = 0");
        run("SET LOCAL parallel_tuple_cost = 0");
        let plan = explain("EXPLAIN (COSTS OFF) SELECT sum(n) FROM core_numbers");
        assert!(plan.contains("Parallel Custom Scan"), "{plan}");
        assert_eq!(number("SELECT sum(n) FROM core_numbers"), 499_500);
        assert_eq!(
            number("SELECT count(*) FROM core_numbers WHERE n >= 500"),
            500
        );
        assert_eq!(LIVE.get(), 0);
    }

    #[pg_test]
    fn private_values_survive_copying_and_printing() {
        let values = vec![
            PrivateValue::Integer(-5),
            PrivateValue::Integer(i64::MIN),
            PrivateValue::Text("a \"b\" {c} \\d".to_owned()),
            PrivateValue::List(vec![PrivateValue::Text(String::new())]),
            PrivateValue::List(Vec::new()),
        ];
        let list = PrivateValue::to_list(&values).unwrap();
        // SAFETY: a list of nodes, copied, printed and read again.
        unsafe {
            let copy = pg_sys::copyObjectImpl(list.cast()).cast();
            assert_eq!(PrivateValue::from_list(copy).unwrap(), values);
            let printed = pg_sys::nodeToString(list.cast());
            let read = pg_sys::stringToNode(printed).cast();
            assert_eq!(PrivateValue::from_list(read).unwrap(), values);
        }
        assert!(PrivateValue::Text("a\0b".to_owned()).to_node().is_err());
    }
}
