//! Stores: where objects live, named by the tablespace that uses them.

use std::{collections::BTreeMap, fmt};

use super::{
    decode::{DecodeError, Decoder},
    encode::Encoder,
    object::NameError,
};

/// Most options a store may have.
pub const MAX_STORE_OPTIONS: usize = 64;
const MAX_STORE_ID_BYTES: usize = 63;
const MAX_OPTION_BYTES: usize = 4096;

/// Name of a store: that of its tablespace, so at most 63 bytes (NAMEDATALEN - 1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId(String);

impl StoreId {
    /// # Errors
    /// [`NameError`] when the name is empty, longer than 63 bytes or has control characters.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        let reason = if name.is_empty() {
            Some("it is empty")
        } else if name.len() > MAX_STORE_ID_BYTES {
            Some("it is longer than 63 bytes")
        } else if name.chars().any(|c| c.is_ascii_control()) {
            Some("it contains a control character")
        } else {
            None
        };
        match reason {
            None => Ok(Self(name)),
            Some(reason) => Err(NameError {
                what: "store id",
                name,
                reason,
            }),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as one directory: bytes other than ASCII letters, digits, `_` and `-` become `%XX`.
    /// Different stores have different directories.
    pub fn directory_name(&self) -> String {
        let mut name = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
                name.push(char::from(byte));
            } else {
                name.push_str(&format!("%{byte:02X}"));
            }
        }
        name
    }

    pub(super) fn encode(&self, to: &mut Encoder) {
        to.str(&self.0);
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self::new(from.str("store id", MAX_STORE_ID_BYTES)?)?)
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a store is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreProtocol {
    S3,
    Gcs,
    Azure,
    /// A directory, named by the bucket. For tests: the daemon refuses it unless told otherwise.
    Local,
    /// Memory of the daemon. For tests: the daemon refuses it unless told otherwise.
    Memory,
}

impl StoreProtocol {
    const ALL: [(Self, u8, &'static str); 5] = [
        (Self::S3, 1, "s3"),
        (Self::Gcs, 2, "gcs"),
        (Self::Azure, 3, "azure"),
        (Self::Local, 4, "local"),
        (Self::Memory, 5, "memory"),
    ];

    /// The value of the tablespace option `protocol`.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(protocol, ..)| *protocol == self)
            .map_or("", |(.., name)| name)
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(.., known)| *known == name)
            .map(|(protocol, ..)| *protocol)
    }

    fn code(self) -> u8 {
        Self::ALL
            .iter()
            .find(|(protocol, ..)| *protocol == self)
            .map_or(0, |(_, code, _)| *code)
    }
}

/// A store as a client registers it.
///
/// Options may hold secrets: `Debug` shows their names only, and they are never written to disk.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreSpec {
    pub id: StoreId,
    pub protocol: StoreProtocol,
    pub bucket: String,
    pub options: BTreeMap<String, String>,
}

impl StoreSpec {
    /// What decides which objects the store holds. Two specifications with the same identity may
    /// share cached objects; credentials and time limits are no part of it.
    pub fn identity(&self) -> String {
        let mut identity = format!("{}://{}", self.protocol.as_str(), self.bucket);
        for (name, value) in &self.options {
            let decides = name.ends_with("endpoint")
                || name.ends_with("account_name")
                || matches!(name.as_str(), "account" | "prefix" | "base_url");
            if decides {
                identity.push_str(&format!(" {name}={value}"));
            }
        }
        identity
    }

    pub(super) fn encode(&self, to: &mut Encoder) {
        self.id.encode(to);
        to.u8(self.protocol.code());
        to.str(&self.bucket);
        to.count(self.options.len());
        for (name, value) in &self.options {
            to.str(name);
            to.str(value);
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let id = StoreId::decode(from)?;
        let code = from.u8("store protocol")?;
        let protocol = StoreProtocol::ALL
            .iter()
            .find(|(_, known, _)| *known == code)
            .map(|(protocol, ..)| *protocol)
            .ok_or(DecodeError::UnknownValue {
                field: "store protocol",
                value: u64::from(code),
            })?;
        let bucket = from.str("bucket", MAX_OPTION_BYTES)?.to_owned();
        let count = from.count("store options", MAX_STORE_OPTIONS)?;
        let mut options = BTreeMap::new();
        for _ in 0..count {
            let name = from.str("option name", MAX_OPTION_BYTES)?.to_owned();
            let value = from.str("option value", MAX_OPTION_BYTES)?.to_owned();
            options.insert(name, value);
        }
        Ok(Self {
            id,
            protocol,
            bucket,
            options,
        })
    }
}

impl fmt::Debug for StoreSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSpec")
            .field("id", &self.id)
            .field("protocol", &self.protocol)
            .field("bucket", &self.bucket)
            .field("options", &self.options.keys().collect::<Vec<_>>())
            .finish()
    }
}
