//! What a store's HTTP answers said during one attempt.
//!
//! The `object_store` crate keeps the status of an answer to itself, behind the text of its errors. It is taken where the
//! answer passes by instead ([`super::observed_http`]), and found again by the task that made the attempt.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

/// Who was asked.
#[cfg_attr(
    not(feature = "cloud"),
    expect(dead_code, reason = "only the clouds speak HTTP")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Store,
    /// What gives out credentials: a cloud's metadata or token service.
    Issuer,
}

/// An HTTP answer, or that there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) asked: Asked,
    /// The HTTP status; none when the connection failed.
    pub(super) status: Option<u16>,
    /// The store's own word for the error, as `SlowDown`.
    pub(super) code: Option<String>,
}

tokio::task_local! {
    static ATTEMPT: Answers;
}

/// The last answer of an attempt.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(Arc<Mutex<Option<Answer>>>);

impl Answers {
    /// Runs an attempt whose answers are kept here.
    pub(super) async fn of<T>(&self, attempt: impl Future<Output = T>) -> T {
        ATTEMPT.scope(self.clone(), attempt).await
    }

    pub(super) fn last(&self) -> Option<Answer> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The last answer of the attempt that is under way.
    pub(super) fn last_of_attempt() -> Option<Answer> {
        ATTEMPT.try_with(Self::last).ok().flatten()
    }

    #[cfg_attr(
        not(feature = "cloud"),
        expect(dead_code, reason = "only the clouds speak HTTP")
    )]
    pub(super) fn note(answer: Answer) {
        // Outside of an attempt nobody asks.
        let _ = ATTEMPT.try_with(|answers| {
            *answers.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        });
    }
}
