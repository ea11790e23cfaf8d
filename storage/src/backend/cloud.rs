//! S3, GCS and Azure over the `object_store` crate.
//!
//! Which objects a store has is said by its specification alone. The environment gives credentials and nothing else: a
//! variable that names an endpoint, a bucket or an account is not read, nor are endpoints in service accounts' keys.

use std::{collections::BTreeMap, env, str::FromStr, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey},
    list::PaginatedListStore,
};

use super::{
    ListOrder, ObjectStoreBackend, Result,
    object_store_backend::{Condition, StoreTraits},
    observed_http::ObservedConnector,
    open::{Options, invalid},
};
use crate::{
    credentials::{Entry, Secret},
    protocol::{StoreProtocol, StoreSpec, is_address},
};

/// Longest time to connect, and for one request of an upload in parts.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// The account of Azure's emulators, with the key that all of them have.
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const EMULATOR_URL: &str = "http://127.0.0.1:10000";

type Credentials<'a> = Option<&'a BTreeMap<&'static str, Secret>>;

pub(super) fn open(
    spec: &StoreSpec,
    options: &mut Options<'_>,
    entry: Option<&Entry>,
) -> Result<ObjectStoreBackend> {
    let credentials = entry
        .map(|entry| entry.of(spec.protocol))
        .transpose()
        .map_err(|reason| invalid(spec, format!("its entry of the credentials file: {reason}")))?;
    match spec.protocol {
        StoreProtocol::Gcs => open_gcs(spec, options, credentials),
        StoreProtocol::Azure => open_azure(spec, options, credentials),
        _ => open_s3(spec, options, credentials),
    }
}

fn open_s3(
    spec: &StoreSpec,
    options: &mut Options<'_>,
    credentials: Credentials<'_>,
) -> Result<ObjectStoreBackend> {
    let endpoint = options.take("endpoint");
    let allow_http = options.take_boolean("allow_http")?;
    let is_virtual_hosted = options.take_boolean("virtual_hosted_style_request")?;
    let is_anonymous = options.take_boolean("skip_signature")?;
    let region = options.take("region").unwrap_or("us-east-1");
    let service = match endpoint {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None => format!("https://s3.{region}.amazonaws.com"),
    };
    if is_virtual_hosted && is_address(&service) {
        let cause = format!(
            "the host of endpoint \"{service}\" is an address, and virtual_hosted_style_request puts the bucket before a name"
        );
        return Err(invalid(spec, cause));
    }
    let service = match is_virtual_hosted {
        true => with_bucket_in_host(&service, &spec.bucket),
        false => service,
    };
    let authority = authority(spec, &service, allow_http)?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&spec.bucket)
        .with_region(region)
        .with_endpoint(service)
        .with_virtual_hosted_style_request(is_virtual_hosted)
        .with_skip_signature(is_anonymous);
    for (key, value) in settings(spec, credentials, "AWS_", is_s3_credential)? {
        builder = builder.with_config(key, value);
    }
    let traits = StoreTraits {
        order: ListOrder::ByPath,
        has_metadata: true,
        has_suffixes: true,
        condition: Condition::Header,
    };
    finish(spec, &authority, allow_http, traits, |requests| {
        builder
            .clone()
            .with_retry(requests.retry)
            .with_client_options(requests.options)
            .with_http_connector(requests.connector)
            .build()
    })
}

fn open_gcs(
    spec: &StoreSpec,
    options: &mut Options<'_>,
    credentials: Credentials<'_>,
) -> Result<ObjectStoreBackend> {
    // Always given, since a service account's key may name another.
    let service = match options.take("base_url") {
        Some(service) => service.trim_end_matches('/'),
        None => "https://storage.googleapis.com",
    };
    let is_anonymous = options.take_boolean("skip_signature")?;
    let allow_http = service.starts_with("http://");
    let authority = authority(spec, service, allow_http)?;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&spec.bucket)
        .with_base_url(service)
        .with_skip_signature(is_anonymous);
    match credentials {
        // The crate would look for credentials that it then does not need.
        None if is_anonymous => {
            let nobody = GcpCredential {
                bearer: String::new(),
            };
            builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(nobody)));
        }
        _ => {
            for (key, value) in settings(spec, credentials, "GOOGLE_", is_gcs_credential)? {
                builder = builder.with_config(key, value);
            }
        }
    }
    let traits = StoreTraits {
        order: ListOrder::ByPath,
        has_metadata: true,
        has_suffixes: true,
        condition: Condition::Generation,
    };
    finish(spec, &authority, allow_http, traits, |requests| {
        builder
            .clone()
            .with_retry(requests.retry)
            .with_client_options(requests.options)
            .with_http_connector(requests.connector)
            .build()
    })
}

fn open_azure(
    spec: &StoreSpec,
    options: &mut Options<'_>,
    credentials: Credentials<'_>,
) -> Result<ObjectStoreBackend> {
    let Some(account) = options.take("account") else {
        return Err(invalid(spec, "protocol \"azure\" needs option \"account\""));
    };
    let is_emulator = options.take_boolean("use_emulator")?;
    let endpoint = options
        .take("endpoint")
        .map(|url| url.trim_end_matches('/'));
    let allow_http = options.take_boolean("allow_http")? || is_emulator;
    // The crate's own notion of an emulator has its endpoint from the environment.
    let service = match (endpoint, is_emulator) {
        (Some(endpoint), false) => endpoint.to_owned(),
        (None, false) => format!("https://{account}.blob.core.windows.net"),
        (endpoint, true) => {
            let endpoint = endpoint.unwrap_or(EMULATOR_URL);
            match endpoint.ends_with(&format!("/{account}")) {
                true => endpoint.to_owned(),
                false => format!("{endpoint}/{account}"),
            }
        }
    };
    let authority = authority(spec, &service, allow_http)?;
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_container_name(&spec.bucket)
        .with_endpoint(service);
    match credentials {
        None if is_emulator => builder = builder.with_access_key(EMULATOR_KEY),
        _ => {
            for (key, value) in settings(spec, credentials, "AZURE_", is_azure_credential)? {
                builder = builder.with_config(key, value);
            }
        }
    }
    let traits = StoreTraits {
        order: ListOrder::ByPath,
        has_metadata: true,
        has_suffixes: false,
        condition: Condition::LookFirst,
    };
    finish(spec, &authority, allow_http, traits, |requests| {
        builder
            .clone()
            .with_retry(requests.retry)
            .with_client_options(requests.options)
            .with_http_connector(requests.connector)
            .build()
    })
}

fn is_s3_credential(key: &AmazonS3ConfigKey) -> bool {
    use AmazonS3ConfigKey as K;
    matches!(
        key,
        K::AccessKeyId
            | K::SecretAccessKey
            | K::Token
            | K::ImdsV1Fallback
            | K::MetadataEndpoint
            | K::ContainerCredentialsRelativeUri
            | K::ContainerCredentialsFullUri
            | K::ContainerAuthorizationTokenFile
            | K::WebIdentityTokenFile
            | K::RoleArn
            | K::RoleSessionName
            | K::StsEndpoint
    )
}

fn is_gcs_credential(key: &GoogleConfigKey) -> bool {
    use GoogleConfigKey as K;
    matches!(
        key,
        K::ServiceAccount | K::ServiceAccountKey | K::ApplicationCredentials
    )
}

fn is_azure_credential(key: &AzureConfigKey) -> bool {
    use AzureConfigKey as K;
    matches!(
        key,
        K::AccessKey
            | K::ClientId
            | K::ClientSecret
            | K::AuthorityId
            | K::AuthorityHost
            | K::SasKey
            | K::Token
            | K::MsiEndpoint
            | K::ObjectId
            | K::MsiResourceId
            | K::FederatedTokenFile
            | K::UseAzureCli
    )
}

/// How requests are made.
struct Requests {
    retry: RetryConfig,
    options: ClientOptions,
    connector: ObservedConnector,
}

/// The store, made twice: for requests that whoever asks tries again, and for those of uploads in parts.
fn finish<S: ObjectStore + PaginatedListStore>(
    spec: &StoreSpec,
    authority: &str,
    allow_http: bool,
    traits: StoreTraits,
    build: impl Fn(Requests) -> object_store::Result<S>,
) -> Result<ObjectStoreBackend> {
    let build = |retry| {
        let requests = Requests {
            retry,
            options: client(allow_http),
            connector: connector(authority),
        };
        build(requests).map_err(|error| invalid(spec, error))
    };
    Ok(ObjectStoreBackend::cloud(
        build(once())?,
        build(patiently())?,
        traits,
    ))
}

/// Settings that say who asks: those of the entry of the credentials file, or without one those in the environment.
fn settings<K: FromStr<Err = object_store::Error>>(
    spec: &StoreSpec,
    credentials: Credentials<'_>,
    prefix: &str,
    is_credential: fn(&K) -> bool,
) -> Result<Vec<(K, String)>> {
    let Some(credentials) = credentials else {
        return Ok(environment(prefix, is_credential));
    };
    (credentials.iter())
        .map(|(key, secret)| Ok((setting(spec, key)?, secret.expose().to_owned())))
        .collect()
}

/// Settings in the environment that say who asks.
fn environment<K: FromStr>(prefix: &str, is_credential: fn(&K) -> bool) -> Vec<(K, String)> {
    env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.to_str().filter(|name| name.starts_with(prefix))?;
            let key = name
                .to_ascii_lowercase()
                .parse()
                .ok()
                .filter(is_credential)?;
            Some((key, value.to_str()?.to_owned()))
        })
        .collect()
}

/// The crate's setting for a key of the credentials file: it knows all of them, one by another name.
fn setting<K: FromStr<Err = object_store::Error>>(spec: &StoreSpec, key: &str) -> Result<K> {
    let name = match key {
        "application_credentials_path" => "application_credentials",
        key => key,
    };
    name.parse().map_err(|error| invalid(spec, error))
}

/// Host and port of a URL, as they stand there.
fn authority(spec: &StoreSpec, url: &str, allow_http: bool) -> Result<String> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    match scheme {
        "https" => {}
        "http" if allow_http => {}
        "http" => {
            let cause = format!("endpoint \"{url}\" is not encrypted, and allow_http is not true");
            return Err(invalid(spec, cause));
        }
        _ => {
            return Err(invalid(
                spec,
                format!("endpoint \"{url}\" is no URL of HTTP"),
            ));
        }
    }
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.is_empty() {
        true => Err(invalid(spec, format!("endpoint \"{url}\" names no host"))),
        false => Ok(authority.to_owned()),
    }
}

fn with_bucket_in_host(service: &str, bucket: &str) -> String {
    match service.split_once("://") {
        Some((scheme, rest)) if !rest.starts_with(&format!("{bucket}.")) => {
            format!("{scheme}://{bucket}.{rest}")
        }
        _ => service.to_owned(),
    }
}

fn connector(authority: &str) -> ObservedConnector {
    ObservedConnector {
        authority: authority.to_owned(),
    }
}

fn client(allow_http: bool) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(allow_http)
        .with_connect_timeout(CONNECT_LIMIT)
        .with_timeout(REQUEST_LIMIT)
        // More would be closed by the stores sooner or later.
        .with_pool_idle_timeout(Duration::from_secs(30))
}

/// Whoever asks tries again.
fn once() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    }
}

/// Requests are tried again until whoever asks gives up.
fn patiently() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(3),
            base: 2.0,
        },
        max_retries: usize::MAX,
        retry_timeout: Duration::from_secs(3600),
    }
}
