//! Where the service's files are.
//!
//! Every process of the server works in the data directory, and so does the service: its socket has a path of a few bytes,
//! relative to it, wherever the data directory is. Base backups and pg_rewind leave out what is called `pgsql_tmp...`
//! (`sendDir` in `basebackup.c`), so the socket and the cache are called so.

use std::ffi::{CStr, OsStr};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use pgrx::pg_sys;

use super::settings;

/// The directory of what is the service's and no cache.
pub const DIRECTORY: &str = "pg_lakebase_service";
const SOCKET: &str = "pg_lakebase_service/pgsql_tmp.socket";
/// Where the cache is in its directory.
const CACHE: &str = "pgsql_tmp";
/// The program's name.
const PROGRAM: &str = "pg-lakebase-storage";
/// The longest path that a socket can have: `sun_path` has a byte more, for the end.
const MOST_BYTES: usize = 107;

/// The socket of the service that the server runs, relative to the data directory.
pub fn socket() -> &'static Path {
    Path::new(SOCKET)
}

/// The directory of the cache, relative to the data directory or absolute.
pub fn cache() -> PathBuf {
    settings::cache_directory().join(CACHE)
}

/// The program.
pub fn program() -> PathBuf {
    settings::program().unwrap_or_else(|| {
        // SAFETY: a terminated string, which the postmaster has set (`find_my_exec`).
        let own = unsafe { CStr::from_ptr((&raw const pg_sys::my_exec_path).cast()) };
        Path::new(OsStr::from_bytes(own.to_bytes())).with_file_name(PROGRAM)
    })
}

/// A path as others than the server's processes need it.
pub fn absolute(path: &Path) -> PathBuf {
    // SAFETY: a terminated string, set when the server starts.
    let data = unsafe { CStr::from_ptr(pg_sys::DataDir) };
    Path::new(OsStr::from_bytes(data.to_bytes())).join(path)
}

/// Why no socket can have this path, a whole sentence; `None` if one can. The empty path stands for none.
pub fn unfit_for_socket(path: &Path) -> Option<String> {
    let length = path.as_os_str().len();
    if length > MOST_BYTES {
        return Some(format!(
            "The path has {length} bytes, and that of a socket at most {MOST_BYTES}."
        ));
    }
    (length > 0 && path.is_relative()).then(|| "The path is not absolute.".to_owned())
}

/// Why metrics cannot be served there, a whole sentence; `None` if they can, and for the empty text. What has a slash is the
/// path of a socket, as for the service.
pub fn unfit_for_metrics(place: &Path) -> Option<String> {
    let text = place.to_string_lossy();
    if text.is_empty() || text.contains('/') {
        return unfit_for_socket(place);
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => None,
        Ok(_) => Some("The address is not one of this machine alone.".to_owned()),
        Err(_) => Some("It is neither an absolute path nor ADDRESS:PORT.".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_for_this_machine() {
        for place in ["", "/run/metrics", "127.0.0.1:9187", "[::1]:9187"] {
            assert_eq!(unfit_for_metrics(Path::new(place)), None, "{place}");
        }
        for place in [
            "metrics",
            "run/metrics",
            "9187",
            "0.0.0.0:9187",
            "10.0.0.1:9187",
        ] {
            assert!(unfit_for_metrics(Path::new(place)).is_some(), "{place}");
        }
    }

    #[test]
    fn paths_that_do_not_fit_a_socket_are_known() {
        let of = |length: usize| format!("/{}", "x".repeat(length - 1));
        assert_eq!(unfit_for_socket(Path::new(&of(MOST_BYTES))), None);
        assert!(unfit_for_socket(Path::new(&of(MOST_BYTES + 1))).is_some());
        assert!(unfit_for_socket(Path::new("run/socket")).is_some());
        assert_eq!(unfit_for_socket(Path::new("")), None);
        assert!(std::os::unix::net::SocketAddr::from_pathname(of(MOST_BYTES)).is_ok());
        assert!(std::os::unix::net::SocketAddr::from_pathname(of(MOST_BYTES + 1)).is_err());
    }
}
