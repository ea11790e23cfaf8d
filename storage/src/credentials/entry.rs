//! What a credentials file says of one name.

use std::{collections::BTreeMap, fmt};

use crate::protocol::StoreProtocol;

/// Keys of an entry, with the protocol that has them.
const KEYS: [(StoreProtocol, &[&str]); 3] = [
    (
        StoreProtocol::S3,
        &[
            "access_key_id",
            "secret_access_key",
            "token",
            "session_token",
        ],
    ),
    (
        StoreProtocol::Gcs,
        &[
            "service_account_path",
            "service_account_key",
            "application_credentials_path",
        ],
    ),
    (
        StoreProtocol::Azure,
        &[
            "access_key",
            "sas_token",
            "bearer_token",
            "client_id",
            "client_secret",
            "tenant_id",
        ],
    ),
];

/// A text that is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    #[cfg(any(feature = "cloud", test))]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Keys and values under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    pub(super) values: BTreeMap<&'static str, Secret>,
}

impl Entry {
    /// The names of all keys.
    pub(super) fn keys() -> String {
        let mut keys: Vec<_> = KEYS
            .iter()
            .flat_map(|(_, keys)| keys.iter().copied())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys.join(", ")
    }

    /// The key as it is spelt here, if any protocol has it.
    pub(super) fn known_key(name: &str) -> Option<&'static str> {
        KEYS.iter()
            .flat_map(|(_, keys)| keys.iter())
            .find(|key| **key == name)
            .copied()
    }

    /// Keys and values.
    ///
    /// # Errors
    /// What is wrong with the entry, when stores of this protocol cannot have it.
    #[cfg(any(feature = "cloud", test))]
    pub(crate) fn of(
        &self,
        protocol: StoreProtocol,
    ) -> Result<&BTreeMap<&'static str, Secret>, String> {
        let keys = KEYS
            .iter()
            .find(|(of, _)| *of == protocol)
            .map_or(&[][..], |(_, keys)| keys);
        if self.values.is_empty() {
            return Err("it is empty".to_owned());
        }
        match self.values.keys().find(|key| !keys.contains(*key)) {
            Some(key) => Err(format!(
                "it has \"{key}\", which is not of protocol \"{}\"",
                protocol.as_str()
            )),
            None => Ok(&self.values),
        }
    }
}
