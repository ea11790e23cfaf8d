//! Files of the server.

use pg_lakebase_core::file::VfdFile;
use pg_lakebase_core::memory::{MemoryContext, alloc_with_drop};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Opens a file, and leaves it to the current subtransaction's memory.
#[pg_extern]
fn core_open_and_leave(path: &str) {
    let file = VfdFile::open(path).unwrap();
    file.read_at(&mut [0; 1], 0).unwrap();
    // SAFETY: there is a transaction.
    let context = unsafe { MemoryContext::from_raw(pg_sys::CurTransactionContext) };
    alloc_with_drop(context, file);
}

#[pg_schema]
mod tests {
    use pg_lakebase_core::file::{
        ExternalFd, VfdFile, fsync_directory, make_directory, relation_directory, relation_path,
        remove_file, remove_tree,
    };
    use pg_lakebase_core::relation::{LockMode, OpenRelation, Persistence, RelationKind};
    use pg_lakebase_core::thread;
    use pgrx::pg_sys;
    use pgrx::prelude::*;
    use std::io::ErrorKind;

    /// A directory below the data directory, removed at the end.
    struct Directory(String);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = format!("base/pgsql_tmp_{name}_{}", std::process::id());
            remove_tree(&path).unwrap();
            make_directory(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str) -> String {
            format!("{}/{name}", self.0)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            remove_tree(&self.0).unwrap();
        }
    }

    /// How many of the process's descriptors are open on the file.
    fn descriptors(path: &str) -> usize {
        let path = std::fs::canonicalize(path).unwrap();
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .filter(|target| *target == path)
            .count()
    }

    #[pg_test]
    fn files_are_written_and_read_through_vfds() {
        let directory = Directory::new("vfd");
        let path = directory.file("a");
        let file = VfdFile::create(&path).unwrap();
        file.append(b"hello ").unwrap();
        file.append(b"world").unwrap();
        file.write_at(b"J", 0).unwrap();
        file.sync().unwrap();
        assert_eq!(file.size().unwrap(), 11);
        file.close();
        fsync_directory(&directory.0).unwrap();

        let file = VfdFile::open(&path).unwrap();
        let mut buffer = [0; 32];
        assert_eq!(file.read_at(&mut buffer, 6).unwrap(), 5);
        assert_eq!(&buffer[..5], b"world");
        assert_eq!(file.read_at(&mut buffer, 11).unwrap(), 0);
        assert_eq!(file.path(), path);
        drop(file);
        assert_eq!(descriptors(&path), 0);
    }

    #[pg_test]
    fn what_the_operating_system_reports_comes_back() {
        let directory = Directory::new("errors");
        let path = directory.file("a");
        drop(VfdFile::create(&path).unwrap());
        assert_eq!(
            VfdFile::create(&path).unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        let missing = directory.file("missing");
        assert_eq!(
            VfdFile::open(&missing).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            ExternalFd::open(&missing).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            make_directory(&directory.0).unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            fsync_directory(&missing).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            VfdFile::open("a\0b").unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        let read_only = VfdFile::open(&path).unwrap();
        assert!(read_only.write_at(b"x", 0).is_err());
        remove_file(&path).unwrap();
        remove_file(&path).unwrap();
        remove_tree(&missing).unwrap();
    }

    #[pg_test]
    fn files_are_closed_when_a_subtransaction_fails() {
        let directory = Directory::new("abort");
        let path = directory.file("a");
        VfdFile::create(&path).unwrap().append(b"x").unwrap();
        Spi::run(&format!(
            "DO $$ BEGIN
               PERFORM core_open_and_leave('{path}');
               RAISE EXCEPTION 'back';
             EXCEPTION WHEN OTHERS THEN NULL;
             END $$"
        ))
        .unwrap();
        assert_eq!(descriptors(&path), 0);
    }

    #[pg_test]
    fn worker_threads_read_external_descriptors() {
        let directory = Directory::new("external");
        let path = directory.file("a");
        VfdFile::create(&path)
            .unwrap()
            .append(b"0123456789")
            .unwrap();
        // More than PostgreSQL lets be open at a time: each must be given back.
        for _ in 0..2000 {
            drop(ExternalFd::open(&path).unwrap());
        }
        let fd = ExternalFd::open(&path).unwrap();
        assert_eq!(fd.size().unwrap(), 10);
        assert_eq!(descriptors(&path), 1);
        let read = thread::spawn_with_signals_blocked("reader", move || {
            let mut buffer = [0; 4];
            fd.read_exact_at(&mut buffer, 3).unwrap();
            buffer
        })
        .unwrap();
        assert_eq!(&read.join().unwrap(), b"3456");
        assert_eq!(descriptors(&path), 0, "dropped by the thread");
        for _ in 0..50 {
            let fds: Vec<_> = (0..40).map(|_| ExternalFd::open(&path).unwrap()).collect();
            thread::spawn_with_signals_blocked("dropper", move || drop(fds))
                .unwrap()
                .join()
                .unwrap();
        }
        assert_eq!(descriptors(&path), 0);
    }

    #[pg_test]
    fn relations_tell_what_and_where_they_are() {
        Spi::run("CREATE SCHEMA \"Odd one\"").unwrap();
        Spi::run("CREATE UNLOGGED TABLE \"Odd one\".\"T\" (a int NOT NULL, b text, c int GENERATED ALWAYS AS (a + 1) STORED)").unwrap();
        Spi::run("ALTER TABLE \"Odd one\".\"T\" DROP COLUMN b").unwrap();
        let oid = Spi::get_one::<pg_sys::Oid>("SELECT '\"Odd one\".\"T\"'::regclass::oid")
            .unwrap()
            .unwrap();
        let rel = OpenRelation::open(oid, LockMode::AccessShare);
        assert_eq!(rel.oid(), oid);
        assert_eq!(rel.name(), "T");
        assert_eq!(rel.persistence(), Persistence::Unlogged);
        assert_eq!(rel.kind(), RelationKind::Table);
        let columns: Vec<_> = rel.tuple_desc().attributes().collect();
        assert_eq!(columns.len(), 3);
        assert_eq!((columns[0].num, columns[0].name.as_str()), (1, "a"));
        assert!(columns[0].not_null && !columns[0].generated);
        assert!(columns[1].is_dropped);
        assert!(columns[2].generated);
        assert!(rel.tuple_desc().attribute(3).is_none());

        let directory = relation_directory(rel.locator());
        let path = relation_path(rel.relation());
        assert_eq!(
            Some(path.clone()),
            Spi::get_one::<String>("SELECT pg_relation_filepath('\"Odd one\".\"T\"')").unwrap()
        );
        assert!(path.starts_with(&format!("{directory}/")));
        drop(rel);
        assert!(OpenRelation::try_open(oid, LockMode::AccessShare).is_some());
        assert!(OpenRelation::try_open(4_000_000_000.into(), LockMode::AccessShare).is_none());
    }
}
