//! Memory contexts, resource owners and the values that they own.

use std::cell::Cell;

use pg_lakebase_core::memory::{MemoryContext, alloc_with_drop};
use pg_lakebase_core::resource_owner::ResourceOwner;
use pgrx::pg_sys;
use pgrx::prelude::*;

thread_local! {
    static DROPS: Cell<i32> = const { Cell::new(0) };
}

/// Counts when it is dropped.
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPS.set(DROPS.get() + 1);
    }
}

/// Leaves values to the current subtransaction's memory and resources.
#[pg_extern]
fn core_leave_to_subtransaction() {
    // SAFETY: there is a transaction.
    let context = unsafe { MemoryContext::from_raw(pg_sys::CurTransactionContext) };
    alloc_with_drop(context, Counted);
    ResourceOwner::current().unwrap().remember(Counted);
}

#[pg_schema]
mod tests {
    use super::{Counted, DROPS};
    use pg_lakebase_core::error::catch;
    use pg_lakebase_core::memory::{
        AllocSetSizes, ContextOwned, MemoryContext, OwnedContext, alloc_with_drop,
    };
    use pg_lakebase_core::resource_owner::ResourceOwner;
    use pgrx::prelude::*;

    fn context() -> OwnedContext {
        OwnedContext::create(MemoryContext::current(), "test", AllocSetSizes::Small)
    }

    #[pg_test]
    fn values_are_dropped_when_their_context_is_reset_or_deleted() {
        let mut owned = context();
        alloc_with_drop(owned.context(), Counted);
        alloc_with_drop(owned.context(), Counted);
        assert_eq!(DROPS.get(), 0);
        // SAFETY: nothing of it is used.
        unsafe { owned.reset() };
        assert_eq!(DROPS.get(), 2);
        alloc_with_drop(owned.context(), Counted);
        drop(owned);
        assert_eq!(DROPS.get(), 3);
    }

    #[pg_test]
    fn values_can_be_taken_early() {
        let owned = context();
        let value = ContextOwned::new(owned.context(), Counted);
        // SAFETY: the context lives, and nobody else refers to the value.
        let taken = unsafe { value.take() };
        assert!(taken.is_some());
        drop(taken);
        assert_eq!(DROPS.get(), 1);
        assert!(value.as_ptr().is_null());
        drop(owned);
        assert_eq!(DROPS.get(), 1);
    }

    #[pg_test]
    fn a_panicking_destructor_is_a_warning() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("a panic in a destructor");
            }
        }
        let owned = context();
        alloc_with_drop(owned.context(), Panics);
        alloc_with_drop(owned.context(), Counted);
        drop(owned);
        assert_eq!(DROPS.get(), 1);
    }

    #[pg_test]
    fn the_previous_context_comes_back_after_a_panic() {
        let owned = context();
        let before = MemoryContext::current();
        let inside = owned.context().switch_to(MemoryContext::current);
        assert_eq!(inside, owned.context());
        let error = catch(|| owned.context().switch_to(|| panic!("on the way"))).unwrap_err();
        assert_eq!(error.message, "on the way");
        assert_eq!(MemoryContext::current(), before);
    }

    #[pg_test]
    fn subtransactions_drop_what_was_left_to_them() {
        Spi::run(
            "DO $$ BEGIN
               PERFORM core_leave_to_subtransaction();
               RAISE EXCEPTION 'back';
             EXCEPTION WHEN OTHERS THEN NULL;
             END $$",
        )
        .unwrap();
        assert_eq!(DROPS.get(), 2);
    }

    /// A scan's state held a batch context of the same parent. When an error deleted the parent, the
    /// batch context went first, and the state's destructor deleted it again.
    #[pg_test]
    fn owned_contexts_may_be_taken_along_by_their_parent() {
        struct State {
            batch: OwnedContext,
            _counted: Counted,
        }
        let parent = context();
        let state_context = OwnedContext::create(parent.context(), "state", AllocSetSizes::Small);
        let mut batch = OwnedContext::create(parent.context(), "batch", AllocSetSizes::Small);
        batch.context().alloc_zeroed(100);
        // SAFETY: nothing of it is used.
        unsafe { batch.reset() };
        batch.context().alloc_zeroed(100);
        let state = ContextOwned::new(
            state_context.context(),
            State {
                batch,
                _counted: Counted,
            },
        );
        // SAFETY: the context lives, and nobody else refers to the value.
        let held = unsafe { state.get_mut() }.unwrap();
        held.batch.context().alloc_zeroed(100);
        drop(parent);
        assert_eq!(DROPS.get(), 1);
        drop(state_context);
    }

    #[pg_test]
    fn remembered_values_can_be_forgotten() {
        let remembered = ResourceOwner::current().unwrap().remember(Counted);
        // SAFETY: the owner holds the value.
        let value = unsafe { remembered.forget::<Counted>() };
        assert!(value.is_some());
        assert_eq!(DROPS.get(), 0);
    }
}
