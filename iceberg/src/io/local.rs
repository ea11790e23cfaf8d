//! [`FileIo`] over the local file system, for tools and tests.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FileIo, InputFile, OutputFile};
use crate::error::{Error, Result};

/// The local file system; takes plain paths and `file:` URIs.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalFileIo;

impl LocalFileIo {
    /// The path in the file system that `path`, a plain path or `file:` URI, means.
    fn resolve(path: &str) -> PathBuf {
        let plain = match path.strip_prefix("file:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None => path,
        };
        PathBuf::from(plain)
    }
}

impl FileIo for LocalFileIo {
    fn open(&self, path: &str, _length: Option<u64>) -> Result<Arc<dyn InputFile>> {
        let io_error = |e| Error::io("open", path, e);
        let file = File::open(Self::resolve(path)).map_err(io_error)?;
        let metadata = file.metadata().map_err(io_error)?;
        if metadata.is_dir() {
            return Err(io_error(std::io::ErrorKind::IsADirectory.into()));
        }
        Ok(Arc::new(LocalInputFile {
            path: path.to_owned(),
            len: metadata.len(),
            file,
        }))
    }

    fn create(&self, path: &str) -> Result<Box<dyn OutputFile>> {
        let target = Self::resolve(path);
        let io_error = |e| Error::io("create", path, e);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(io_error)?;
        }
        let file = File::create_new(&target).map_err(io_error)?;
        Ok(Box::new(LocalOutputFile {
            path: path.to_owned(),
            target,
            file,
            len: 0,
        }))
    }

    fn delete(&self, path: &str) -> Result<()> {
        fs::remove_file(Self::resolve(path)).map_err(|e| Error::io("delete", path, e))
    }
}

struct LocalInputFile {
    path: String,
    file: File,
    len: u64,
}

impl InputFile for LocalInputFile {
    fn path(&self) -> &str {
        &self.path
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.file
            .read_exact_at(buf, offset)
            .map_err(|e| Error::io("read", &*self.path, e))
    }
}

struct LocalOutputFile {
    path: String,
    target: PathBuf,
    file: File,
    len: u64,
}

impl OutputFile for LocalOutputFile {
    fn path(&self) -> &str {
        &self.path
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|e| Error::io("write", &*self.path, e))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        let sync_error = |e| Error::io("fsync", &*self.path, e);
        self.file.sync_all().map_err(sync_error)?;
        if let Some(parent) = self.target.parent() {
            sync_directory(parent).map_err(sync_error)?;
        }
        Ok(self.len)
    }
}

/// Makes a directory's new entry durable.
fn sync_directory(directory: &Path) -> std::io::Result<()> {
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    File::open(directory)?.sync_all()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_was_finished_reads_back_by_path_and_by_uri() {
        let dir = tempfile::tempdir().unwrap();
        let path = format!("{}/a/b", dir.path().display());
        let mut file = LocalFileIo.create(&path).unwrap();
        file.write_all(b"hello ").unwrap();
        file.write_all(b"world").unwrap();
        assert_eq!(file.finish().unwrap(), 11);
        for name in [
            path.clone(),
            format!("file://{path}"),
            format!("file:{path}"),
        ] {
            let file = LocalFileIo.open(&name, None).unwrap();
            assert_eq!(file.read_all(100).unwrap(), b"hello world");
            let mut part = [0; 5];
            file.read_at(6, &mut part).unwrap();
            assert_eq!(&part, b"world");
            assert!(file.read_at(7, &mut part).is_err());
            assert!(file.read_all(10).is_err());
        }
        LocalFileIo.delete(&path).unwrap();
        assert!(LocalFileIo.open(&path, None).is_err());
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = format!("{}/a", dir.path().display());
        LocalFileIo.create(&path).unwrap().finish().unwrap();
        assert!(LocalFileIo.create(&path).is_err());
    }
}
