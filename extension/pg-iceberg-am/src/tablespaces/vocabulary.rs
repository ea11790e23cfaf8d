//! The options that a store of each protocol may have.

use pg_lakebase_storage::protocol::StoreProtocol;

/// What the value of an option may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A bucket or container: no slashes.
    Name,
    /// `http://host:port` or the like.
    Url,
    /// Segments, parted by slashes.
    Prefix,
    Boolean,
}

/// What an option is to its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It says which objects there are; there is no store without it.
    NeededPlace,
    /// It says which objects there are.
    Place,
    /// It says how they are come by.
    Access,
}

/// An option.
#[derive(Debug)]
pub struct Known {
    pub name: &'static str,
    pub kind: Kind,
    pub role: Role,
}

const fn known(name: &'static str, kind: Kind, role: Role) -> Known {
    Known { name, kind, role }
}

/// Options of S3 and of services that speak its protocol.
const S3: &[Known] = &[
    known("bucket", Kind::Name, Role::NeededPlace),
    known("region", Kind::Text, Role::Access),
    known("endpoint", Kind::Url, Role::Place),
    known("prefix", Kind::Prefix, Role::Place),
    known("allow_http", Kind::Boolean, Role::Access),
    known("virtual_hosted_style_request", Kind::Boolean, Role::Access),
    known("skip_signature", Kind::Boolean, Role::Access),
    known("credentials", Kind::Text, Role::Access),
];

/// Options of Google Cloud Storage.
const GCS: &[Known] = &[
    known("bucket", Kind::Name, Role::NeededPlace),
    known("base_url", Kind::Url, Role::Place),
    known("prefix", Kind::Prefix, Role::Place),
    known("skip_signature", Kind::Boolean, Role::Access),
    known("credentials", Kind::Text, Role::Access),
];

/// Options of Azure Blob Storage.
const AZURE: &[Known] = &[
    known("container", Kind::Name, Role::NeededPlace),
    known("account", Kind::Name, Role::NeededPlace),
    known("endpoint", Kind::Url, Role::Place),
    known("prefix", Kind::Prefix, Role::Place),
    known("allow_http", Kind::Boolean, Role::Access),
    known("use_emulator", Kind::Boolean, Role::Place),
    known("credentials", Kind::Text, Role::Access),
];

/// Options of the stores that tests have.
const TEST: &[Known] = &[
    known("bucket", Kind::Text, Role::NeededPlace),
    known("prefix", Kind::Prefix, Role::Place),
    known("credentials", Kind::Text, Role::Access),
];

/// The protocols of stores that users have.
pub const PROTOCOLS: [StoreProtocol; 3] =
    [StoreProtocol::S3, StoreProtocol::Gcs, StoreProtocol::Azure];

/// The options of a store of this protocol.
pub fn known_to(protocol: StoreProtocol) -> &'static [Known] {
    match protocol {
        StoreProtocol::S3 => S3,
        StoreProtocol::Gcs => GCS,
        StoreProtocol::Azure => AZURE,
        StoreProtocol::Local | StoreProtocol::Memory => TEST,
    }
}

/// What says who asks, with the protocol that it belongs to. It is in the credentials file and nowhere else.
const CREDENTIALS: [(StoreProtocol, &[&str]); 3] = [
    (
        StoreProtocol::S3,
        &[
            "access_key_id",
            "secret_access_key",
            "session_token",
            "token",
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

/// Whether an option is one of the credentials file's, for whichever protocol.
pub fn is_credential(name: &str) -> bool {
    CREDENTIALS.iter().any(|(_, names)| names.contains(&name))
}

/// The protocols that have an option of this name, credentials included.
pub fn protocols_of(name: &str) -> Vec<StoreProtocol> {
    let has = |protocol: &StoreProtocol| {
        known_to(*protocol).iter().any(|known| known.name == name)
            || CREDENTIALS
                .iter()
                .any(|(of, names)| of == protocol && names.contains(&name))
    };
    PROTOCOLS.into_iter().filter(has).collect()
}
