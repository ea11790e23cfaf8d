//! From what a store answered to the kind of error: by status, by the store's own code, by the type of the cause, never by
//! the text of a message.

use std::{error::Error, io};

use super::{
    answers::{Answer, Asked},
    error::ErrorKind,
};

/// The kind of an error of the `object_store` crate, given the last HTTP answer of the attempt that met it.
pub(super) fn kind_of(error: &object_store::Error, last: Option<&Answer>) -> ErrorKind {
    use object_store::Error as E;
    if last.is_some_and(|answer| answer.asked == Asked::Issuer) {
        return ErrorKind::Unauthenticated;
    }
    match error {
        E::UnknownConfigurationKey { .. } => return ErrorKind::InvalidStore,
        E::InvalidPath { .. } | E::NotSupported { .. } | E::NotImplemented { .. } => {
            return ErrorKind::Refused;
        }
        _ => {}
    }
    let code = last.and_then(|answer| answer.code.as_deref());
    let status = last.and_then(|answer| answer.status);
    match (error, status) {
        // Said before, or without, any request.
        (E::NotFound { .. }, None) => ErrorKind::NotFound,
        (E::AlreadyExists { .. }, None) => ErrorKind::Exists,
        (E::Precondition { .. } | E::NotModified { .. }, None) => ErrorKind::Changed,
        (E::PermissionDenied { .. }, None) => ErrorKind::PermissionDenied,
        (E::Unauthenticated { .. }, None) => ErrorKind::Unauthenticated,
        // S3 says 412 for either condition, and 404 where there is no object to have the entity tag; the crate knows
        // which was asked for.
        (E::AlreadyExists { .. }, Some(412)) => ErrorKind::Exists,
        (E::Precondition { .. }, Some(404)) if code != Some("NoSuchBucket") => ErrorKind::Changed,
        (_, Some(status)) => kind_of_answer(status, code),
        (_, None) => kind_of_cause(error),
    }
}

/// Codes are those of S3's "Error responses", of Azure's "Blob Storage error codes", and of GCS' XML API.
fn kind_of_answer(status: u16, code: Option<&str>) -> ErrorKind {
    match code {
        Some("NoSuchBucket" | "ContainerNotFound" | "AuthorizationHeaderMalformed") => {
            return ErrorKind::InvalidStore;
        }
        Some("PermanentRedirect" | "TemporaryRedirect" | "InvalidBucketName") => {
            return ErrorKind::InvalidStore;
        }
        Some(
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "RequestTimeTooSkewed"
            | "AuthenticationFailed"
            | "InvalidAuthenticationInfo"
            | "NoAuthenticationInformation",
        ) => return ErrorKind::Unauthenticated,
        Some("AccessDenied") => return ErrorKind::PermissionDenied,
        Some("BlobAlreadyExists") => return ErrorKind::Exists,
        // As S3's NoSuchUpload, which is a 404: the parts are not there any more, having been joined before perhaps.
        Some("InvalidBlockList") => return ErrorKind::NotFound,
        Some(
            "SlowDown"
            | "InternalError"
            | "InternalServerError"
            | "ServiceUnavailable"
            | "ServerBusy"
            | "OperationTimedOut"
            | "RequestTimeout"
            | "OperationAborted"
            | "ConditionalRequestConflict",
        ) => return ErrorKind::Unavailable,
        // What came to the store is not what was sent: its length and checksums were right here.
        Some("XAmzContentSHA256Mismatch" | "BadDigest" | "IncompleteBody" | "Md5Mismatch") => {
            return ErrorKind::Unavailable;
        }
        _ => {}
    }
    match status {
        // The answer itself is broken or cut off, unless it tells of single objects.
        200..=299 if code.is_none() => ErrorKind::Unavailable,
        200..=299 => ErrorKind::Refused,
        300..=399 => ErrorKind::InvalidStore,
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        // 409 without a code known above is a conflict with another request.
        408 | 409 | 425 | 429 => ErrorKind::Unavailable,
        412 | 416 => ErrorKind::Changed,
        400..=499 | 501 => ErrorKind::Refused,
        _ => ErrorKind::Unavailable,
    }
}

/// An error without any answer: by its cause, and transient when that says nothing, since a second attempt does no harm.
fn kind_of_cause(error: &(dyn Error + 'static)) -> ErrorKind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            match error.kind() {
                io::ErrorKind::NotFound => return ErrorKind::NotFound,
                io::ErrorKind::AlreadyExists => return ErrorKind::Exists,
                io::ErrorKind::PermissionDenied => return ErrorKind::PermissionDenied,
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => {
                    return ErrorKind::Refused;
                }
                io::ErrorKind::TimedOut => return ErrorKind::TimedOut,
                _ => {}
            }
        }
        #[cfg(feature = "cloud")]
        if let Some(error) = error.downcast_ref::<object_store::client::HttpError>()
            && error.kind() == object_store::client::HttpErrorKind::Timeout
        {
            return ErrorKind::TimedOut;
        }
        cause = error.source();
    }
    ErrorKind::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_pass_and_refusals_stay() {
        let kinds = [
            (503, Some("SlowDown"), ErrorKind::Unavailable),
            (500, None, ErrorKind::Unavailable),
            (502, None, ErrorKind::Unavailable),
            (429, None, ErrorKind::Unavailable),
            (400, Some("RequestTimeout"), ErrorKind::Unavailable),
            (
                409,
                Some("ConditionalRequestConflict"),
                ErrorKind::Unavailable,
            ),
            (409, Some("BlobAlreadyExists"), ErrorKind::Exists),
            (
                400,
                Some("XAmzContentSHA256Mismatch"),
                ErrorKind::Unavailable,
            ),
            (400, Some("ExpiredToken"), ErrorKind::Unauthenticated),
            (
                403,
                Some("RequestTimeTooSkewed"),
                ErrorKind::Unauthenticated,
            ),
            (403, Some("AccessDenied"), ErrorKind::PermissionDenied),
            (403, None, ErrorKind::PermissionDenied),
            (404, None, ErrorKind::NotFound),
            (404, Some("NoSuchKey"), ErrorKind::NotFound),
            (400, Some("InvalidBlockList"), ErrorKind::NotFound),
            (404, Some("NoSuchBucket"), ErrorKind::InvalidStore),
            (301, Some("PermanentRedirect"), ErrorKind::InvalidStore),
            (400, Some("InvalidArgument"), ErrorKind::Refused),
            (501, Some("NotImplemented"), ErrorKind::Refused),
            (412, None, ErrorKind::Changed),
            (416, Some("InvalidRange"), ErrorKind::Changed),
            (200, None, ErrorKind::Unavailable),
            (200, Some("AccessDenied"), ErrorKind::PermissionDenied),
        ];
        for (status, code, kind) in kinds {
            assert_eq!(kind_of_answer(status, code), kind, "{status} {code:?}");
        }
    }
}
