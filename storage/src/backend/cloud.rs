//! S3, GCS and Azure: tablespace options to settings of the `object_store` crate.
//!
//! Credentials that the options do not give come from the daemon's environment, as the SDKs of the
//! three have it.

use std::{str::FromStr, sync::Arc, time::Duration};

use object_store::{
    ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
};

use super::{Limits, Result, open::invalid};
use crate::protocol::{StoreProtocol, StoreSpec};

/// Retries of single HTTP requests within one attempt; parts of uploads have only these.
const HTTP_RETRIES: usize = 2;
/// Options that are not the store's own settings.
const OWN_OPTIONS: [&str; 2] = ["prefix", "allow_http"];

pub(super) fn open(spec: &StoreSpec, limits: &Limits) -> Result<Arc<dyn ObjectStore>> {
    let retry = RetryConfig {
        max_retries: HTTP_RETRIES,
        retry_timeout: limits.attempt,
        ..RetryConfig::default()
    };
    let allow_http = match spec.options.get("allow_http").map(String::as_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(invalid(spec, "option \"allow_http\" is not true or false")),
    };
    let client = ClientOptions::new()
        .with_allow_http(allow_http)
        .with_connect_timeout(Duration::from_secs(5))
        .with_timeout(limits.attempt);
    match spec.protocol {
        StoreProtocol::Gcs => {
            let mut builder = GoogleCloudStorageBuilder::from_env()
                .with_retry(retry)
                .with_client_options(client)
                .with_bucket_name(&spec.bucket);
            for (key, value) in settings(spec)? {
                builder = builder.with_config(key, value);
            }
            let store = builder.build().map_err(|error| invalid(spec, error))?;
            Ok(Arc::new(store))
        }
        StoreProtocol::Azure => {
            let mut builder = MicrosoftAzureBuilder::from_env()
                .with_retry(retry)
                .with_client_options(client)
                .with_container_name(&spec.bucket);
            for (key, value) in settings(spec)? {
                builder = builder.with_config(key, value);
            }
            let store = builder.build().map_err(|error| invalid(spec, error))?;
            Ok(Arc::new(store))
        }
        _ => {
            let mut builder = AmazonS3Builder::from_env()
                .with_retry(retry)
                .with_client_options(client)
                .with_bucket_name(&spec.bucket);
            for (key, value) in settings(spec)? {
                builder = builder.with_config(key, value);
            }
            let store = builder.build().map_err(|error| invalid(spec, error))?;
            Ok(Arc::new(store))
        }
    }
}

/// The options as settings of one store; an unknown one is an error.
fn settings<K: FromStr<Err = object_store::Error>>(spec: &StoreSpec) -> Result<Vec<(K, String)>> {
    spec.options
        .iter()
        .filter(|(name, _)| !OWN_OPTIONS.contains(&name.as_str()))
        .map(|(name, value)| {
            let key = name.parse().map_err(|error| invalid(spec, error))?;
            Ok((key, value.clone()))
        })
        .collect()
}
