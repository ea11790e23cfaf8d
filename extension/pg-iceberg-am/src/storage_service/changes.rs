//! Transactions that make or drop object tablespaces.
//!
//! Only at their end it is known whether the service is needed, and then they cannot read the catalog any more: so a worker
//! looks.

use std::cell::Cell;

use pg_lakebase_core::xact::{self, TransactionCallbacks};

use super::supervision;

thread_local! {
    static HAS_CHANGED: Cell<bool> = const { Cell::new(false) };
}

struct Changes;

/// Registers the callbacks; called once, from `_PG_init`.
pub fn register() {
    xact::register::<Changes>();
}

/// Notes that this transaction makes, alters or drops an object tablespace, whatever will become of it.
pub fn note() {
    HAS_CHANGED.set(true);
}

fn look_if_changed() {
    if HAS_CHANGED.take() {
        supervision::look();
    }
}

impl TransactionCallbacks for Changes {
    fn commit() {
        look_if_changed();
    }

    fn abort() {
        look_if_changed();
    }

    /// What COMMIT PREPARED makes is started when it is needed.
    fn prepare() {
        look_if_changed();
    }
}
