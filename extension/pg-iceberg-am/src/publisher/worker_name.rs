//! How a worker is told what it is for.

use pgrx::pg_sys;

/// A worker's database and ticket, which are its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerName {
    pub(super) database: pg_sys::Oid,
    pub(super) ticket: u32,
}

impl WorkerName {
    pub(super) fn to_datum(self) -> pg_sys::Datum {
        let bits = u64::from(self.ticket) << 32 | u64::from(self.database.to_u32());
        pg_sys::Datum::from(bits)
    }

    /// The name that a worker has got as its argument.
    pub fn from_datum(argument: pg_sys::Datum) -> Self {
        let bits = argument.value() as u64;
        Self {
            database: (bits as u32).into(),
            ticket: (bits >> 32) as u32,
        }
    }

    /// The worker's database.
    pub fn database(self) -> pg_sys::Oid {
        self.database
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_known_by_its_argument() {
        let name = WorkerName {
            database: pg_sys::Oid::from_u32(u32::MAX),
            ticket: u32::MAX - 1,
        };
        assert_eq!(WorkerName::from_datum(name.to_datum()), name);
    }
}
