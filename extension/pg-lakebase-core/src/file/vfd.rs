//! Files as virtual descriptors.

use std::ffi::{CStr, c_int};
use std::io;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;

use pgrx::pg_sys;

use super::path::c_path;

/// A file behind one of PostgreSQL's virtual descriptors. Dropping it closes it, which does not fail
/// and is safe at any time on the backend thread, aborts included.
#[derive(Debug)]
pub struct VfdFile {
    file: pg_sys::File,
    path: String,
    _backend_thread: PhantomData<*mut ()>,
}

impl VfdFile {
    /// Creates the file for reading and writing; it must not exist yet.
    pub fn create(path: &str) -> io::Result<Self> {
        Self::open_with(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)
    }

    /// Opens the file for reading.
    pub fn open(path: &str) -> io::Result<Self> {
        Self::open_with(path, libc::O_RDONLY)
    }

    /// Creates a temporary file (`OpenTemporaryFile`), which goes with the handle, and whose size counts towards
    /// `temp_file_limit`: writing beyond it raises.
    pub fn temporary() -> Self {
        // SAFETY: the file outlives transactions, since the handle closes it. Raises if it cannot be made; guarded.
        // The path is fd.c's, terminated, and copied.
        let (file, path) = unsafe {
            let file = pg_sys::OpenTemporaryFile(true);
            (file, CStr::from_ptr(pg_sys::FilePathName(file)))
        };
        Self {
            file,
            path: path.to_string_lossy().into_owned(),
            _backend_thread: PhantomData,
        }
    }

    fn open_with(path: &str, flags: c_int) -> io::Result<Self> {
        let name = c_path(path)?;
        // SAFETY: the name is terminated; fd.c copies it. Raises for want of memory only.
        let file = unsafe { pg_sys::PathNameOpenFile(name.as_ptr(), flags) };
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            _backend_thread: PhantomData,
        })
    }

    /// The path that the file was opened by.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads at `offset` until `buffer` is full or the file ends, and returns how much was read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            let rest = &mut buffer[done..];
            let at = file_offset(offset, done)?;
            // SAFETY: the descriptor is open; the buffer is writable for that many bytes.
            let count = unsafe {
                pg_sys::FileRead(
                    self.file,
                    rest.as_mut_ptr().cast(),
                    rest.len(),
                    at,
                    pg_sys::PG_WAIT_EXTENSION,
                )
            };
            match usize::try_from(count) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(_) => return Err(io::Error::last_os_error()),
            }
        }
        Ok(done)
    }

    /// Writes all of `data` at `offset`.
    pub fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < data.len() {
            let rest = &data[done..];
            let at = file_offset(offset, done)?;
            // SAFETY: the descriptor is open; the data is readable for that many bytes.
            let count = unsafe {
                pg_sys::FileWrite(
                    self.file,
                    rest.as_ptr().cast(),
                    rest.len(),
                    at,
                    pg_sys::PG_WAIT_EXTENSION,
                )
            };
            match usize::try_from(count) {
                // fd.c takes a write that wrote nothing for a full disk as well.
                Ok(0) => return Err(io::Error::from_raw_os_error(libc::ENOSPC)),
                Ok(count) => done += count,
                Err(_) => return Err(io::Error::last_os_error()),
            }
        }
        Ok(())
    }

    /// Writes all of `data` at the end of the file.
    pub fn append(&self, data: &[u8]) -> io::Result<()> {
        self.write_at(data, self.size()?)
    }

    /// Has the file's data and size on disk, unless `fsync` is off. After a failure the data may be
    /// lost even if a repeated call succeeds: give the file up.
    pub fn sync(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open.
        check(unsafe { pg_sys::FileSync(self.file, pg_sys::PG_WAIT_EXTENSION) })
    }

    /// Asks the kernel to begin writing the first `len` bytes to disk, so that a later
    /// [`VfdFile::sync`] waits less (`FileWriteback`). A hint: nothing is promised.
    pub fn start_writeback(&self, len: u64) {
        let len = pg_sys::off_t::try_from(len).unwrap_or(pg_sys::off_t::MAX);
        // SAFETY: the descriptor is open.
        unsafe { pg_sys::FileWriteback(self.file, 0, len, pg_sys::PG_WAIT_EXTENSION) }
    }

    /// The kernel's descriptor, which is open until any other file is used through the VFD layer.
    pub fn raw_descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        // SAFETY: the file is open; the descriptor is fd.c's, which closes it only to open another.
        unsafe {
            let descriptor = pg_sys::FileGetRawDesc(self.file);
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(BorrowedFd::borrow_raw(descriptor))
        }
    }

    /// The file's size in bytes.
    pub fn size(&self) -> io::Result<u64> {
        // SAFETY: the descriptor is open.
        let size = unsafe { pg_sys::FileSize(self.file) };
        u64::try_from(size).map_err(|_| io::Error::last_os_error())
    }

    /// Closes the file. What the operating system reports about it goes to the server log.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for VfdFile {
    fn drop(&mut self) {
        // SAFETY: opened by this handle, closed once. Closing logs failures and does not raise.
        unsafe { pg_sys::FileClose(self.file) }
    }
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn file_offset(offset: u64, done: usize) -> io::Result<pg_sys::off_t> {
    offset
        .checked_add(done as u64)
        .and_then(|offset| pg_sys::off_t::try_from(offset).ok())
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EFBIG))
}
