//! What may stand in the options of an object tablespace.
//!
//! PostgreSQL writes them into dumps unquoted, `name=value, name=value`, so values are kept as SQL literals. They are
//! printable ASCII: `pg_tablespace` is read in databases of all encodings.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_storage::protocol::{ObjectPath, StoreId, StoreProtocol, StoreSpec, is_address};
use pgrx::PgSqlErrorCode;

use super::vocabulary::{self, Kind, Known, PROTOCOLS, Role};

/// Which protocol a store speaks. An object tablespace is one that has this option.
pub const PROTOCOL: &str = "protocol";
/// Whether statements that name a store try it; kept only if they do not, so that dumps are restored as they were made.
pub const PROBE: &str = "probe";

const VIRTUAL_HOST: &str = "virtual_hosted_style_request";

/// PostgreSQL's own options of tablespaces (`tablespace_reloptions`).
const POSTGRES: [&str; 4] = [
    "random_page_cost",
    "seq_page_cost",
    "effective_io_concurrency",
    "maintenance_io_concurrency",
];

/// What to do with credentials instead of writing them into a statement.
const CREDENTIALS_HINT: &str = "Write credentials into the storage service's credentials file, and name its entry in option \"credentials\"; or let the service take those of its environment.";

/// Whether an option is PostgreSQL's.
pub fn is_postgres_option(name: &str) -> bool {
    POSTGRES.contains(&name)
}

/// Whether an option is one that an object tablespace of some protocol may have, or credentials.
pub fn is_store_option(name: &str) -> bool {
    matches!(name, PROTOCOL | PROBE) || !vocabulary::protocols_of(name).is_empty()
}

/// The value as `pg_tablespace.spcoptions` has it.
pub fn to_literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// The value that a literal stands for; what is no literal stands for itself.
pub fn from_literal(text: &str) -> String {
    match text
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        Some(inner) => inner.replace("''", "'"),
        None => text.to_owned(),
    }
}

/// The options of an object tablespace: such as a store can have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    protocol: StoreProtocol,
    values: BTreeMap<String, String>,
    probe: bool,
}

impl StoreOptions {
    /// The options in a statement, or those that are stored, `None` if there are none. Each has one value.
    pub fn new(options: impl IntoIterator<Item = (String, String)>) -> PgResult<Option<Self>> {
        let mut all = BTreeMap::new();
        for (name, value) in options {
            if all.insert(name.clone(), value).is_some() {
                return Err(invalid(format!(
                    "parameter \"{name}\" specified more than once"
                )));
            }
        }
        let Some(protocol) = all.remove(PROTOCOL) else {
            return match all.keys().next() {
                Some(name) => Err(invalid(format!(
                    "option \"{name}\" needs option \"{PROTOCOL}\""
                ))
                .with_detail("Only tablespaces in object stores have it.")
                .with_hint(format!("Add {PROTOCOL} = {}.", choices("'", " or ")))),
                None => Ok(None),
            };
        };
        let protocol = parse_protocol(&protocol)?;
        let probe = match all.remove(PROBE) {
            Some(value) => parse_boolean(PROBE, &value)?,
            None => true,
        };
        let mut values = BTreeMap::new();
        for (name, value) in all {
            let known = find(protocol, &name)?;
            values.insert(name, check_value(known, &value)?);
        }
        for known in vocabulary::known_to(protocol) {
            if known.role == Role::NeededPlace && !values.contains_key(known.name) {
                return Err(invalid(format!(
                    "protocol \"{}\" needs option \"{}\"",
                    protocol.as_str(),
                    known.name
                ))
                .with_hint(format!("Add {} = '...'.", known.name)));
            }
        }
        let options = Self {
            protocol,
            values,
            probe,
        };
        options.check_http()?;
        options.check_virtual_host()?;
        Ok(Some(options))
    }

    /// Whether statements that name the store try it.
    pub fn probes(&self) -> bool {
        self.probe
    }

    /// Names, and values as they are stored.
    pub fn literals(&self) -> Vec<(String, String)> {
        let mut all = vec![(PROTOCOL.to_owned(), to_literal(self.protocol.as_str()))];
        all.extend(
            self.values
                .iter()
                .map(|(name, value)| (name.clone(), to_literal(value))),
        );
        if !self.probe {
            all.push((PROBE.to_owned(), to_literal("off")));
        }
        all
    }

    /// A hash of all that says what the store is and how it is reached; of another version of the extension it may be another.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.protocol, &self.values).hash(&mut hasher);
        hasher.finish()
    }

    /// The store as the storage service is told of it.
    pub fn spec(&self, id: StoreId) -> StoreSpec {
        let (bucket, options) = (self.values.iter())
            .map(|(name, value)| (name.clone(), value.clone()))
            .partition::<BTreeMap<_, _>, _>(|(name, _)| is_bucket(name));
        StoreSpec {
            id,
            protocol: self.protocol,
            bucket: bucket.into_values().next().unwrap_or_default(),
            options,
        }
    }

    /// The URI of the store as other engines know it, without a slash at its end.
    pub fn root(&self) -> String {
        let value = |name: &str| self.values.get(name).map_or("", String::as_str);
        let mut root = match self.protocol {
            StoreProtocol::Azure => format!(
                "abfss://{}@{}.dfs.core.windows.net",
                value("container"),
                value("account")
            ),
            StoreProtocol::Gcs => format!("gs://{}", value("bucket")),
            _ => format!("{}://{}", self.protocol.as_str(), value("bucket")),
        };
        if let Some(prefix) = self.values.get("prefix") {
            root.push('/');
            root.push_str(prefix);
        }
        root
    }

    /// Whether both mean the same objects.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let place = |options: &Self| -> Vec<_> {
            vocabulary::known_to(options.protocol)
                .iter()
                .filter(|known| known.role != Role::Access)
                .map(|known| options.values.get(known.name).cloned())
                .collect()
        };
        self.protocol == other.protocol && place(self) == place(other)
    }

    /// An endpoint without TLS is meant if the options say so twice.
    fn check_http(&self) -> PgResult<()> {
        let allowed = self
            .values
            .get("allow_http")
            .is_some_and(|value| value == "true");
        let has_choice = vocabulary::known_to(self.protocol)
            .iter()
            .any(|known| known.name == "allow_http");
        match self.values.get("endpoint") {
            Some(endpoint) if has_choice && !allowed && endpoint.starts_with("http://") => {
                Err(invalid(format!("endpoint \"{endpoint}\" is not encrypted"))
                    .with_hint("Give an endpoint with https://, or add allow_http = true."))
            }
            _ => Ok(()),
        }
    }

    /// A bucket can be part of a host's name, not of an address.
    fn check_virtual_host(&self) -> PgResult<()> {
        let is_asked = (self.values.get(VIRTUAL_HOST)).is_some_and(|value| value == "true");
        match self.values.get("endpoint") {
            Some(endpoint) if is_asked && is_address(endpoint) => Err(invalid(format!(
                "option \"{VIRTUAL_HOST}\" needs an endpoint with a host name"
            ))
            .with_detail(format!(
                "The host of endpoint \"{endpoint}\" is an address, which no bucket can be part of."
            ))
            .with_hint(format!(
                "Give an endpoint with a host name, or leave {VIRTUAL_HOST} out."
            ))),
            _ => Ok(()),
        }
    }
}

/// Whether an option names the bucket, as the protocol calls it.
fn is_bucket(name: &str) -> bool {
    matches!(name, "bucket" | "container")
}

fn invalid(message: String) -> PgError {
    PgError::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
}

/// The protocols' names between quotes.
fn choices(quote: &str, last: &str) -> String {
    let names = PROTOCOLS.map(|protocol| format!("{quote}{}{quote}", protocol.as_str()));
    let [first, second, third] = names;
    format!("{first}, {second}{last}{third}")
}

fn parse_protocol(name: &str) -> PgResult<StoreProtocol> {
    match StoreProtocol::from_name(name) {
        Some(protocol) if PROTOCOLS.contains(&protocol) => Ok(protocol),
        _ => Err(invalid(format!(
            "invalid value for enum option \"{PROTOCOL}\": {name}"
        ))
        .with_detail(format!("Valid values are {}.", choices("\"", ", and ")))),
    }
}

/// The option of this name that stores of the protocol have.
fn find(protocol: StoreProtocol, name: &str) -> PgResult<&'static Known> {
    let all = vocabulary::known_to(protocol);
    if let Some(known) = all.iter().find(|known| known.name == name) {
        return Ok(known);
    }
    let others = vocabulary::protocols_of(name);
    if vocabulary::is_credential(name) && others.contains(&protocol) {
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("option \"{name}\" cannot be set in a statement"),
        )
        .with_detail("Everybody may read the options of tablespaces, and dumps and logs have them.")
        .with_hint(CREDENTIALS_HINT));
    }
    let names: Vec<_> = all.iter().map(|known| known.name).chain([PROBE]).collect();
    let hint = format!(
        "Options of protocol \"{}\" are {}.",
        protocol.as_str(),
        names.join(", ")
    );
    match others.first() {
        Some(other) => Err(invalid(format!(
            "option \"{name}\" is one of protocol \"{}\", not of \"{}\"",
            other.as_str(),
            protocol.as_str()
        ))
        .with_hint(hint)),
        None => Err(invalid(format!("unrecognized parameter \"{name}\"")).with_hint(hint)),
    }
}

/// The value, in the form in which it is kept.
fn check_value(known: &Known, value: &str) -> PgResult<String> {
    let name = known.name;
    let wrong = |detail: &str| {
        Err(invalid(format!("invalid value for option \"{name}\": {value}")).with_detail(detail))
    };
    if value.is_empty() {
        return Err(invalid(format!("option \"{name}\" is empty")));
    }
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(invalid(format!("invalid value for option \"{name}\""))
            .with_detail("Values of a store's options are printable ASCII."));
    }
    match known.kind {
        Kind::Text => Ok(value.to_owned()),
        Kind::Boolean => parse_boolean(name, value).map(|value| value.to_string()),
        Kind::Name if value.contains('/') => wrong("It is a name, without slashes."),
        Kind::Name => Ok(value.to_owned()),
        Kind::Prefix => {
            let trimmed = value.trim_matches('/');
            match ObjectPath::new(trimmed) {
                Ok(_) => Ok(trimmed.to_owned()),
                Err(error) => wrong(&format!("It is no path: {}.", error.reason)),
            }
        }
        Kind::Url => {
            let rest = ["https://", "http://"]
                .into_iter()
                .find_map(|scheme| value.strip_prefix(scheme));
            match rest {
                None => wrong("It begins with https:// or http://."),
                // Either might carry credentials.
                Some(rest) if rest.contains(['@', '?', '#']) => {
                    Err(invalid(format!("invalid value for option \"{name}\""))
                        .with_detail("It has neither user, password, query nor fragment.")
                        .with_hint(CREDENTIALS_HINT))
                }
                Some(rest) if rest.trim_matches('/').is_empty() => wrong("It names no host."),
                Some(_) => Ok(value.trim_end_matches('/').to_owned()),
            }
        }
    }
}

/// As PostgreSQL reads booleans (`parse_bool`), and says that it cannot (`parse_one_reloption`).
fn parse_boolean(name: &str, value: &str) -> PgResult<bool> {
    let text = value.to_ascii_lowercase();
    let begins = |whole: &str, least: usize| text.len() >= least && whole.starts_with(&text);
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || text == "1" {
        Ok(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0" {
        Ok(false)
    } else {
        Err(invalid(format!(
            "invalid value for boolean option \"{name}\": {value}"
        )))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn options(all: &[(&str, &str)]) -> PgResult<Option<StoreOptions>> {
        StoreOptions::new(
            all.iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned())),
        )
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let all = [
            ("protocol", "s3"),
            ("bucket", "b"),
            ("prefix", "/it's/a, 'prefix'\\/"),
            ("allow_http", "yes"),
            ("probe", "off"),
        ];
        let first = options(&all).unwrap().unwrap();
        let stored = first.literals();
        assert_eq!(stored[0], ("protocol".to_owned(), "'s3'".to_owned()));
        assert!(stored.contains(&("prefix".to_owned(), "'it''s/a, ''prefix''\\'".to_owned())));
        let again = stored
            .into_iter()
            .map(|(name, value)| (name, from_literal(&value)));
        assert_eq!(StoreOptions::new(again).unwrap(), Some(first));
    }

    #[test]
    fn how_a_store_is_spoken_to_does_not_say_where_it_is() {
        let base = [("protocol", "s3"), ("bucket", "b")];
        let with = |more: (&str, &str)| {
            let all: Vec<_> = base.into_iter().chain([more]).collect();
            options(&all).unwrap().unwrap()
        };
        let plain = options(&base).unwrap().unwrap();
        assert!(plain.is_same_place(&with(("region", "eu-1"))));
        assert!(plain.is_same_place(&with(("credentials", "c"))));
        assert!(!plain.is_same_place(&with(("prefix", "p"))));
        assert!(!plain.is_same_place(&with(("endpoint", "https://here"))));
        assert_eq!(plain.hash(), options(&base).unwrap().unwrap().hash());
        assert_ne!(plain.hash(), with(("credentials", "c")).hash());
        assert_ne!(plain.hash(), with(("prefix", "p")).hash());
    }

    #[test]
    fn booleans_are_those_of_postgresql() {
        for (text, value) in [
            ("t", true),
            ("ON", true),
            ("1", true),
            ("of", false),
            ("n", false),
        ] {
            assert_eq!(parse_boolean("x", text).unwrap(), value, "{text}");
        }
        for text in ["", "o", "2", "yess"] {
            assert!(parse_boolean("x", text).is_err(), "{text}");
        }
    }
}
