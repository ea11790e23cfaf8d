//! The HTTP client below the `object_store` crate: notes what was answered, cuts what stores write into their errors down to
//! code and message (S3 repeats headers, a session's token among them), asks issuers of credentials again, and adds the
//! condition of a multipart upload, which the crate has no way to say.

use std::{future::Future, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::{
    ClientOptions, HeaderValue,
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService,
        ReqwestConnector,
    },
};

use super::answers::{Answer, Answers, Asked};

/// Longest text of an error that is passed on.
const MAX_MESSAGE_BYTES: usize = 512;
/// How often an issuer of credentials is asked, and the wait after the first time; doubled after each further one.
const ISSUER_ATTEMPTS: u32 = 5;
const ISSUER_BACKOFF: Duration = Duration::from_millis(100);

tokio::task_local! {
    static COMPLETION: (&'static str, HeaderValue);
}

/// Runs the completion of a multipart upload under a condition, a header of HTTP.
///
/// The header is not among those that are signed; S3 needs no more than `host` and `x-amz-*` to be.
pub(super) async fn on_condition<T>(
    header: &'static str,
    value: HeaderValue,
    completion: impl Future<Output = T>,
) -> T {
    COMPLETION.scope((header, value), completion).await
}

/// Makes the clients of one store.
#[derive(Debug)]
pub(super) struct ObservedConnector {
    /// Host and port of the store; requests to any other are to issuers of credentials.
    pub(super) authority: String,
}

impl HttpConnector for ObservedConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(ObservedHttp {
            inner: ReqwestConnector::default().connect(options)?,
            authority: self.authority.clone(),
        }))
    }
}

#[derive(Debug)]
struct ObservedHttp {
    inner: HttpClient,
    authority: String,
}

#[async_trait]
impl HttpService for ObservedHttp {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_store = request
            .uri()
            .authority()
            .is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(&self.authority));
        if !is_store {
            return self.ask_issuer(request).await;
        }
        let is_post = request.method().as_str() == "POST";
        let query = request.uri().query().unwrap_or_default();
        let is_completion = is_post && query.contains("uploadId=");
        // The answers to these may be errors in spite of their status.
        let is_batch = is_completion || is_post && query.contains("delete");
        if is_completion {
            let _ = COMPLETION.try_with(|(header, value)| {
                request.headers_mut().insert(*header, value.clone());
            });
        }
        self.ask(request, Asked::Store, is_batch).await
    }
}

impl ObservedHttp {
    async fn ask(
        &self,
        request: HttpRequest,
        asked: Asked,
        is_batch: bool,
    ) -> Result<HttpResponse, HttpError> {
        let note = |status: Option<u16>, code: Option<String>| {
            Answers::note(Answer {
                asked,
                status,
                code,
            });
        };
        let answer = match self.inner.execute(request).await {
            Ok(answer) => answer,
            Err(error) => {
                note(None, None);
                return Err(error);
            }
        };
        let status = answer.status();
        if status.is_success() && !is_batch {
            note(Some(status.as_u16()), None);
            return Ok(answer);
        }
        let (mut parts, body) = answer.into_parts();
        let header = |name: &str| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        // What is known already, should the body be cut off.
        let code = header("x-ms-error-code");
        note(Some(status.as_u16()), code.clone());
        let region = header("x-amz-bucket-region");
        let body = body.bytes().await?;
        let text = String::from_utf8_lossy(&body);
        let told = ToldError::parse(&text);
        let code = code.or_else(|| told.code.clone());
        note(Some(status.as_u16()), code.clone());
        if status.is_success() {
            return Ok(HttpResponse::from_parts(parts, body.into()));
        }
        let mut message = told.message.unwrap_or_default();
        if let Some(code) = code {
            message = match message.is_empty() {
                true => code,
                false => format!("{code}: {message}"),
            };
        }
        // The crate has no place for what is told with a redirection.
        if status.is_redirection()
            && let Ok(refused) = 400u16.try_into()
        {
            parts.status = refused;
            message.push_str(" (the bucket is elsewhere");
            if let Some(region) = region {
                message.push_str(&format!(": in region {region}"));
            }
            message.push(')');
        }
        Ok(HttpResponse::from_parts(parts, Bytes::from(message).into()))
    }

    /// Metadata services drop requests now and then, and nothing above would ask again.
    async fn ask_issuer(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut backoff = ISSUER_BACKOFF;
        for _ in 1..ISSUER_ATTEMPTS {
            match self.ask(request.clone(), Asked::Issuer, false).await {
                Ok(answer) if !answer.status().is_server_error() => return Ok(answer),
                _ => {}
            }
            tokio::time::sleep(backoff).await;
            backoff *= 2;
        }
        self.ask(request, Asked::Issuer, false).await
    }
}

/// What an answer says of the error.
#[derive(Debug, Default, PartialEq, Eq)]
struct ToldError {
    code: Option<String>,
    message: Option<String>,
}

impl ToldError {
    /// The first error in an answer: XML of S3, GCS and Azure, or JSON of token services. Nothing is taken from a text
    /// that is neither.
    fn parse(text: &str) -> Self {
        if let Some((_, error)) = text.split_once("<Error>") {
            return Self {
                code: element(error, "Code"),
                message: element(error, "Message"),
            };
        }
        Self {
            code: member(text, "error").or_else(|| member(text, "code")),
            message: member(text, "error_description").or_else(|| member(text, "message")),
        }
    }
}

/// The text of an XML element.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once("</")?;
    shown(text)
}

/// The text of a JSON object's member, if it is a string.
fn member(json: &str, name: &str) -> Option<String> {
    if !json.trim_start().starts_with('{') {
        return None;
    }
    let (_, rest) = json.split_once(&format!("\"{name}\""))?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let (text, _) = rest.strip_prefix('"')?.split_once('"')?;
    shown(text)
}

/// One line of bounded length; none if there is nothing to show.
fn shown(text: &str) -> Option<String> {
    let line = text.lines().next()?.trim();
    let end = line.floor_char_boundary(MAX_MESSAGE_BYTES);
    (!line.is_empty()).then(|| line[..end].to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn of_an_error_code_and_message_are_told_and_nothing_else() {
        let s3 = "<?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature \
                  does not match.</Message><CanonicalRequest>x-amz-security-token:SECRET</CanonicalRequest></Error>";
        let told = ToldError::parse(s3);
        assert_eq!(told.code.as_deref(), Some("SignatureDoesNotMatch"));
        assert_eq!(
            told.message.as_deref(),
            Some("The request signature does not match.")
        );
        let azure = "\u{feff}<Error><Code>BlobNotFound</Code><Message>It is not there.\nRequestId:1</Message></Error>";
        assert_eq!(
            ToldError::parse(azure).message.as_deref(),
            Some("It is not there.")
        );
        let token = r#"{"error": "invalid_client", "error_description": "wrong secret"}"#;
        let told = ToldError::parse(token);
        assert_eq!(told.code.as_deref(), Some("invalid_client"));
        assert_eq!(told.message.as_deref(), Some("wrong secret"));
        for text in ["", "<html>Authorization: SECRET</html>", "{\"a\": 1}", "{"] {
            assert_eq!(ToldError::parse(text), ToldError::default(), "{text}");
        }
        let deleted = "<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>AccessDenied</Code>\
                       <Message>No.</Message></Error></DeleteResult>";
        assert_eq!(
            ToldError::parse(deleted).code.as_deref(),
            Some("AccessDenied")
        );
    }
}
