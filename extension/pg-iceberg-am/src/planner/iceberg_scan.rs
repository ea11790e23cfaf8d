//! The Iceberg scan node: a sequential scan that reads only the columns it needs, and of those only
//! files, row groups and pages that may hold a row that the filters let through.

use std::ffi::CStr;
use std::sync::Arc;

use iceberg_lite::expr::Predicate;
use iceberg_lite::spec::Schema;
use pg_lakebase_core::custom_scan::{
    self, BeginContext, CustomScanProvider, Explainer, PathSpec, PrivateValue, ScanContext,
    offer_path,
};
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::hooks::{self, RelPathlist};
use pg_lakebase_core::pgstat;
use pg_lakebase_core::slot::{Slot, SlotKind};
use pg_lakebase_core::table_am::ScanDirection;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use super::predicate::Clauses;
use crate::catalog::is_iceberg_relid;
use crate::guc;
use crate::scan::{Projection, RowReader, SegmentSource, TableView};

/// What reading fewer columns is taken to save of a sequential scan's cost.
const COST_FACTOR: f64 = 0.9;

struct IcebergScan;

/// A running scan. Nothing is opened for a plain EXPLAIN.
struct State {
    reader: Option<RowReader>,
    files: usize,
    columns: usize,
    /// What is checked while reading, and the columns that it names.
    filter: Option<(Predicate, Arc<Schema>)>,
    /// Whether the scan has been counted, as sequential scans are: when they come to their first row, and when they
    /// begin anew.
    counted: bool,
}

pub fn register() -> PgResult<()> {
    custom_scan::register::<IcebergScan>();
    hooks::register_set_rel_pathlist(offer)
}

/// Offers the node wherever the planner considers a sequential scan of an Iceberg table.
fn offer(call: &RelPathlist<'_>) -> PgResult<()> {
    // SAFETY: the planner's own structures, valid during the hook; paths are read as their tags say.
    unsafe {
        let rte = call.rte;
        if !guc::enable_custom_scan()
            || (*rte).rtekind != pg_sys::RTEKind::RTE_RELATION
            || !(*rte).tablesample.is_null()
            || !is_iceberg_relid((*rte).relid)
        {
            return Ok(());
        }
        let paths = (*call.rel).pathlist;
        let count = if paths.is_null() { 0 } else { (*paths).length };
        let sequential = (0..count)
            .map(|index| pg_sys::list_nth(paths, index).cast::<pg_sys::Path>())
            .find(|&path| {
                (*path).pathtype == pg_sys::NodeTag::T_SeqScan && (*path).param_info.is_null()
            });
        let Some(sequential) = sequential else {
            return Ok(());
        };
        offer_path::<IcebergScan>(
            call,
            &PathSpec {
                rows: (*sequential).rows,
                startup_cost: (*sequential).startup_cost,
                total_cost: (*sequential).total_cost * COST_FACTOR,
                parallel_safe: true,
                ..PathSpec::default()
            },
        )
    }
}

impl CustomScanProvider for IcebergScan {
    const NAME: &'static CStr = c"IcebergScan";

    /// Else a scan of a scrollable cursor would be given a node above it that keeps its rows, and WHERE CURRENT OF would not
    /// find the table's scan (`search_plan_tree`).
    const BACKWARD: bool = true;

    type State = State;

    /// The cheaper kind, which knows nothing of errors about system columns, does where there are none.
    fn slot_kind(system: bool) -> SlotKind {
        if system {
            SlotKind::VirtualWithTid
        } else {
            SlotKind::Virtual
        }
    }

    fn begin(context: &BeginContext<'_>, _private: Vec<PrivateValue>) -> PgResult<State> {
        let scan = context.scan();
        let view = TableView::resolve(scan.relation()?, scan.snapshot())?;
        let needed = context.needed_columns()?;
        let mut projection = Projection::new(&view, |attribute| needed.contains(attribute))?;
        // Row marks, by which EvalPlanQual finds rows again, refer to `ctid` in the target list.
        projection.row_ids = needed.system() || is_of_cursor();
        let predicate = predicate(context, &view);
        let mut state = State {
            reader: None,
            files: (view.segments.iter())
                .filter(|segment| matches!(segment.source, SegmentSource::File(_)))
                .count(),
            columns: projection.live_columns.len(),
            filter: (predicate.clone()).map(|predicate| (predicate, Arc::clone(&view.schema))),
            counted: false,
        };
        if !context.explain_only() {
            state.reader = Some(RowReader::new(view, projection, predicate)?);
        }
        Ok(state)
    }

    fn next(state: &mut State, context: &ScanContext<'_>, slot: &mut Slot<'_>) -> PgResult<bool> {
        let Some(reader) = &mut state.reader else {
            return Ok(false);
        };
        if !state.counted {
            state.counted = true;
            pgstat::count_scan(context.relation()?);
        }
        let found = match context.direction() {
            ScanDirection::Forward => reader.next(slot)?,
            ScanDirection::Backward => reader.previous(slot)?,
            ScanDirection::NoMovement => false,
        };
        if found {
            pgstat::count_rows_returned(context.relation()?, 1);
        }
        Ok(found)
    }

    fn rescan(state: &mut State, context: &ScanContext<'_>) -> PgResult<()> {
        if let Some(reader) = &mut state.reader {
            reader.rewind();
        }
        if state.counted {
            pgstat::count_scan(context.relation()?);
        }
        Ok(())
    }

    fn explain(
        state: &mut State,
        _context: &ScanContext<'_>,
        out: &mut Explainer<'_>,
    ) -> PgResult<()> {
        if out.is_verbose() {
            out.integer("Iceberg Columns", None, state.columns as i64);
            if let Some((predicate, schema)) = &state.filter {
                out.text("Iceberg Filter", &condition(predicate, schema));
            }
            out.integer("Iceberg Files", None, state.files as i64);
        }
        if out.is_analyze()
            && let Some(reader) = &state.reader
        {
            let counts = reader.counts();
            for (label, count) in [
                ("Iceberg Files Read", counts.files_read),
                ("Iceberg Files Left Out", counts.files_left_out),
                ("Iceberg Row Groups Read", counts.row_groups.read),
                ("Iceberg Row Groups Left Out", counts.row_groups.left_out),
            ] {
                out.integer(label, None, count as i64);
            }
        }
        Ok(())
    }
}

/// Whether a cursor is being opened, whose rows may be named by WHERE CURRENT OF (`execCurrentOf`).
fn is_of_cursor() -> bool {
    // SAFETY: the portal that is being started or run, or null; its name is a string.
    unsafe {
        let portal = pg_sys::ActivePortal;
        !portal.is_null() && !(*portal).name.is_null() && *(*portal).name != 0
    }
}

/// A predicate in the manner of SQL.
fn condition(predicate: &Predicate, schema: &Schema) -> String {
    let name = |id| match schema.fields.field(id) {
        Some(field) => quote_identifier(&field.name),
        None => format!("field {id}"),
    };
    predicate.normalize().display(&name).to_string()
}

/// What of the node's filters can be checked while reading.
fn predicate(context: &BeginContext<'_>, view: &TableView) -> Option<Predicate> {
    // SAFETY: the node's plan and execution state are valid while it begins.
    unsafe {
        let plan = context.plan();
        let clauses = Clauses {
            scanrelid: (*plan).scan.scanrelid as i32,
            view,
            params: (*context.scan().estate()).es_param_list_info,
        };
        clauses.conjunction((*plan).scan.plan.qual)
    }
}
