//! Which way a change becomes part of its table: what decides, and nothing else.

use std::time::Duration;

/// How a change becomes part of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through the metadata, after waiting for whoever is replacing them.
    Metadata,
    /// As [`Self::Metadata`], together with all that others have left for the publisher: none of it may be published
    /// later than the change.
    MetadataWithWaiting,
    /// Through the metadata, unless somebody else is replacing them: as an inline commit then.
    MetadataIfFree,
    /// As an inline commit.
    Inline,
}

/// What is to be known of a change.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Whether rows of a table that others may write to are added or changed, and that is all.
    pub only_rows: bool,
    /// Whether rows are deleted or superseded: the publisher makes that part of the metadata, and with it what takes
    /// their place.
    pub changes_rows: bool,
    /// Whether the outcome may take long to be known, so that nobody must wait for it.
    pub is_prepared: bool,
    /// Whether the metadata lie in a store, whose answers the transaction would have to wait for.
    pub is_far: bool,
}

impl Kind {
    /// Whether the change cannot be left to the publisher, or is not to be.
    pub fn needs_metadata(self, publish_interval: Duration) -> bool {
        !self.only_rows || (publish_interval.is_zero() && !self.is_left_to_publisher())
    }

    /// Whether the publisher has to make it part of the metadata if these are there.
    pub fn is_left_to_publisher(self) -> bool {
        self.is_prepared || self.changes_rows
    }

    /// The way of a change that does not need the metadata. `age` is that of the table's metadata file, if it has
    /// one; `any_waits` tells whether anything is left for the publisher.
    pub fn way<E>(
        self,
        publish_interval: Duration,
        age: Option<Duration>,
        any_waits: impl FnOnce() -> Result<bool, E>,
    ) -> Result<Way, E> {
        let Some(age) = age else {
            // An inline commit has to be on top of something.
            return Ok(Way::Metadata);
        };
        if self.is_left_to_publisher() || self.is_far || age < publish_interval || any_waits()? {
            return Ok(Way::Inline);
        }
        Ok(Way::MetadataIfFree)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);
    const LATER: Option<Duration> = Some(INTERVAL);
    const ADDS: Kind = Kind {
        only_rows: true,
        changes_rows: false,
        is_prepared: false,
        is_far: false,
    };
    const PREPARED: Kind = Kind {
        is_prepared: true,
        ..ADDS
    };

    fn way(kind: Kind, interval: Duration, age: Option<Duration>, any_waits: bool) -> Way {
        let Ok(way) = kind.way(interval, age, || Ok::<_, Infallible>(any_waits));
        way
    }

    #[test]
    fn what_does_more_than_add_rows_needs_the_metadata() {
        for is_prepared in [false, true] {
            let kind = Kind {
                only_rows: false,
                changes_rows: false,
                is_prepared,
                is_far: false,
            };
            assert!(kind.needs_metadata(INTERVAL));
        }
        assert!(!ADDS.needs_metadata(INTERVAL));
    }

    #[test]
    fn without_an_interval_every_transaction_makes_its_own_metadata_unless_it_is_prepared() {
        assert!(ADDS.needs_metadata(Duration::ZERO));
        assert!(!PREPARED.needs_metadata(Duration::ZERO));
        assert_eq!(
            way(PREPARED, Duration::ZERO, Some(Duration::ZERO), false),
            Way::Inline
        );
    }

    #[test]
    fn nothing_is_left_on_top_of_a_table_without_metadata() {
        assert_eq!(way(ADDS, INTERVAL, None, false), Way::Metadata);
        assert_eq!(way(PREPARED, INTERVAL, None, false), Way::Metadata);
    }

    #[test]
    fn metadata_that_are_new_or_that_anything_waits_for_are_left_to_the_publisher() {
        let new = Some(INTERVAL / 2);
        assert_eq!(way(ADDS, INTERVAL, new, false), Way::Inline);
        assert_eq!(way(ADDS, INTERVAL, LATER, true), Way::Inline);
        assert_eq!(way(ADDS, INTERVAL, LATER, false), Way::MetadataIfFree);
        assert_eq!(way(PREPARED, INTERVAL, LATER, false), Way::Inline);
    }

    #[test]
    fn changed_rows_are_left_to_the_publisher_whenever_there_are_metadata() {
        let changes = Kind {
            changes_rows: true,
            ..ADDS
        };
        for interval in [Duration::ZERO, INTERVAL] {
            assert!(!changes.needs_metadata(interval));
            assert_eq!(way(changes, interval, LATER, false), Way::Inline);
            assert_eq!(way(changes, interval, None, false), Way::Metadata);
        }
    }

    #[test]
    fn metadata_in_a_store_are_left_to_the_publisher_whenever_there_are_any() {
        let far = Kind {
            is_far: true,
            ..ADDS
        };
        assert!(far.needs_metadata(Duration::ZERO));
        assert!(!far.needs_metadata(INTERVAL));
        assert_eq!(way(far, INTERVAL, LATER, false), Way::Inline);
        assert_eq!(way(far, INTERVAL, None, false), Way::Metadata);
    }

    #[test]
    fn what_waits_is_looked_for_only_where_it_decides() {
        let way = ADDS.way(INTERVAL, Some(Duration::ZERO), || Err("looked"));
        assert_eq!(way, Ok(Way::Inline));
    }
}
