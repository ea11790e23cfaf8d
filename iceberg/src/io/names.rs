//! Names of new files.

use uuid::Uuid;

/// Sixteen hexadecimal digits at random, to tell a file from all others of its table.
///
/// A UUID's 36 characters would be too many: PostgreSQL's base backups are tar archives, whose names
/// may have 99 (`pg_basebackup` fails otherwise), and the directories above a table's files take up to
/// 55 of them. Names are created exclusively, so two that are equal are an error and no damage.
pub fn unique_name() -> String {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    format!("{:016x}", high ^ low)
}
