//! What is small enough to be written from memory.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::FromRawFd;

/// A file of memory alone.
pub fn in_memory(content: &[u8]) -> io::Result<File> {
    // SAFETY: a terminated string; the descriptor is open and nobody else's.
    let mut file = unsafe {
        let descriptor = libc::memfd_create(c"lakebase".as_ptr(), libc::MFD_CLOEXEC);
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        File::from_raw_fd(descriptor)
    };
    file.write_all(content)?;
    Ok(file)
}
