//! The wire protocol, shared by daemon and client: names, frames, requests, responses, failures.
//!
//! Everything is little-endian, every frame begins with a version, and every length is checked
//! against its limit before memory is taken for it. Nothing here does input or output.
//! The layout is drawn in `storage/README.md`.

mod decode;
mod encode;
mod failure;
mod frame;
mod limits;
mod object;
mod request;
mod response;
mod status;
mod store;

#[cfg(test)]
mod tests;

pub use decode::DecodeError;
pub use failure::{Failure, FailureCode, Persistence};
pub use frame::{FRAME_VERSION, Frame, FrameHeader, HEADER_BYTES, MAX_PAYLOAD_BYTES, RequestId};
pub use limits::{answer_limit, service_limit};
pub use object::{
    ByteRange, Listed, MAX_PATH_BYTES, NameError, ObjectMeta, ObjectPath, ObjectRef, ObjectVersion,
};
pub use request::{MAX_DELETIONS, MAX_LIST_PAGE, MAX_RANGES, PutCondition, Request};
pub use response::Response;
pub use status::{
    CacheStatus, MAX_STATUS_STORES, OperationCounts, Status, StoreOperation, StoreStatus,
};
pub use store::{MAX_STORE_OPTIONS, StoreId, StoreProtocol, StoreSpec, is_address};

/// Oldest and newest protocol this code speaks, offered in `Hello`.
pub const PROTOCOL_VERSIONS: std::ops::RangeInclusive<u16> = 1..=1;

/// Entry of the fuzz target: whatever decodes must encode to bytes that decode to the same.
#[doc(hidden)]
pub fn fuzz_decode(bytes: &[u8]) {
    let Ok(header) = FrameHeader::decode(bytes) else {
        return;
    };
    let payload = bytes.get(HEADER_BYTES..).unwrap_or_default();
    if let Ok(request) = Request::decode(header.kind, payload) {
        let frame = request.encode(header.request_id);
        let again = Request::decode(frame.header().kind, frame.payload());
        assert!(again.is_ok_and(|again| again == request));
    }
    if let Ok(response) = Response::decode(header.kind, payload) {
        let frame = response.encode(header.request_id);
        let again = Response::decode(frame.header().kind, frame.payload());
        assert!(again.is_ok_and(|again| again == response));
    }
}
