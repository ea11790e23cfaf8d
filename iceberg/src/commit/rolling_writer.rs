//! Manifests of a limited size, one after the other.

use crate::error::Result;
use crate::io::FileIo;
use crate::manifest::{ManifestContent, ManifestFile, ManifestWriter};
use crate::spec::{FormatVersion, PartitionSpec, Schema};

/// The size that manifests should have, in bytes, unless a property says otherwise.
pub const DEFAULT_MANIFEST_TARGET_BYTES: i64 = 8 << 20;

/// Names new manifests `<location>/metadata/<unique>-m<number>.avro`.
pub struct ManifestNames {
    prefix: String,
    next: u32,
}

impl ManifestNames {
    pub fn new(location: &str, io: &dyn FileIo) -> Self {
        let location = location.trim_end_matches('/');
        Self {
            prefix: format!("{location}/metadata/{}", io.unique_name()),
            next: 0,
        }
    }

    pub fn next_path(&mut self) -> String {
        let path = format!("{}-m{}.avro", self.prefix, self.next);
        self.next += 1;
        path
    }
}

/// Writes entries of one content and partition spec, into as many manifests as it takes. They are of version 2 at
/// least.
pub struct RollingManifestWriter<'a> {
    io: &'a dyn FileIo,
    version: FormatVersion,
    content: ManifestContent,
    schema: &'a Schema,
    spec: &'a PartitionSpec,
    snapshot_id: i64,
    target_bytes: usize,
    current: Option<ManifestWriter>,
    finished: Vec<ManifestFile>,
}

impl<'a> RollingManifestWriter<'a> {
    pub fn new(
        io: &'a dyn FileIo,
        version: FormatVersion,
        content: ManifestContent,
        schema: &'a Schema,
        spec: &'a PartitionSpec,
        snapshot_id: i64,
        target_bytes: usize,
    ) -> Self {
        let (current, finished) = (None, Vec::new());
        Self {
            io,
            version: version.max(FormatVersion::V2),
            content,
            schema,
            spec,
            snapshot_id,
            target_bytes,
            current,
            finished,
        }
    }

    /// Lets `append` add one entry to the manifest that is being written.
    pub fn write(
        &mut self,
        names: &mut ManifestNames,
        append: impl FnOnce(&mut ManifestWriter) -> Result<()>,
    ) -> Result<()> {
        let mut writer = match self.current.take() {
            Some(writer) => writer,
            None => ManifestWriter::new(
                names.next_path(),
                self.version,
                self.content,
                self.schema,
                self.spec,
                self.snapshot_id,
            )?,
        };
        append(&mut writer)?;
        if writer.estimated_bytes() >= self.target_bytes {
            self.finished.push(writer.finish(self.io)?);
        } else {
            self.current = Some(writer);
        }
        Ok(())
    }

    /// The manifests, in the order of their entries.
    pub fn finish(mut self) -> Result<Vec<ManifestFile>> {
        if let Some(writer) = self.current.take() {
            self.finished.push(writer.finish(self.io)?);
        }
        Ok(self.finished)
    }
}
