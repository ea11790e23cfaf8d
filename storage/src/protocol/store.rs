//! Stores: where objects live, and how they are reached.

use std::{collections::BTreeMap, fmt};

use super::{
    decode::{DecodeError, Decoder},
    encode::Encoder,
    object::NameError,
};

/// Most options a store may have.
pub const MAX_STORE_OPTIONS: usize = 64;
const MAX_STORE_ID_BYTES: usize = 127;
const MAX_OPTION_BYTES: usize = 4096;

/// What a client calls a store. It stands for one specification, so whoever changes that takes another id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId(String);

impl StoreId {
    /// # Errors
    /// [`NameError`] when the name is empty, longer than 127 bytes or has control characters.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        let reason = if name.is_empty() {
            Some("it is empty")
        } else if name.len() > MAX_STORE_ID_BYTES {
            Some("it is longer than 127 bytes")
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

/// A store as a client registers it: what its tablespace's options say, without `protocol`, without `bucket` or `container`,
/// which are fields, and without secrets. Option `credentials` names those that the daemon has.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreSpec {
    pub id: StoreId,
    pub protocol: StoreProtocol,
    /// The bucket, or Azure's container.
    pub bucket: String,
    pub options: BTreeMap<String, String>,
}

impl StoreSpec {
    /// What decides which objects the store holds: protocol, service, account, bucket and prefix. Two specifications with
    /// the same identity share cached objects, whoever asks for them and how.
    pub fn identity(&self) -> String {
        let mut identity = format!("{} {} ", self.protocol.as_str(), self.service());
        // Neither service nor account has spaces or slashes that could be taken for another part.
        let account = self
            .option("account")
            .filter(|_| self.protocol == StoreProtocol::Azure);
        let prefix = self.option("prefix").map(|prefix| prefix.trim_matches('/'));
        let parts = [account, Some(self.bucket.as_str()), prefix];
        let parts: Vec<_> = parts
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect();
        identity.push_str(&parts.join("/"));
        identity
    }

    /// The URL of the service, that of the provider if the options name none.
    fn service(&self) -> String {
        let is_emulator = self.option("use_emulator") == Some("true");
        let (option, default) = match self.protocol {
            StoreProtocol::S3 => ("endpoint", "https://s3.amazonaws.com".to_owned()),
            StoreProtocol::Gcs => ("base_url", "https://storage.googleapis.com".to_owned()),
            StoreProtocol::Azure if is_emulator => {
                ("endpoint", "http://127.0.0.1:10000".to_owned())
            }
            StoreProtocol::Azure => {
                let account = self.option("account").unwrap_or_default();
                (
                    "endpoint",
                    format!("https://{account}.blob.core.windows.net"),
                )
            }
            StoreProtocol::Local | StoreProtocol::Memory => return "-".to_owned(),
        };
        self.option(option).map_or(default, canonical_url)
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
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

/// Options have no secrets, but who takes them for such a place shall not find them in a log.
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

/// Whether the host of a URL is an IP address: no bucket can stand before that as a part of the host's name.
pub fn is_address(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.starts_with('[') {
        return true;
    }
    let host = authority.split(':').next().unwrap_or_default();
    // As URLs are read: a name does not end with a number.
    let last = host.trim_end_matches('.').rsplit('.').next();
    let last = last.unwrap_or_default().to_ascii_lowercase();
    let is_decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let is_hexadecimal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_decimal || last.strip_prefix("0x").is_some_and(is_hexadecimal)
}

/// A URL without what may be said or left out: case of scheme and host, the scheme's own port, slashes at the end.
fn canonical_url(url: &str) -> String {
    let Some((scheme, rest)) = url.trim_end_matches('/').split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let port = if scheme == "http" { ":80" } else { ":443" };
    let authority = authority.strip_suffix(port).unwrap_or(&authority);
    format!("{scheme}://{authority}{path}")
}
