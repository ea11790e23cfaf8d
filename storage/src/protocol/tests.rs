//! Round trips, limits, and the entry of the fuzz target on arbitrary bytes.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*};

use super::*;

fn path() -> impl Strategy<Value = ObjectPath> {
    "[a-zA-Z0-9=%é_-]{1,12}(/[a-z0-9.=]{3,9}){0,4}".prop_map(|path| ObjectPath::new(path).unwrap())
}

fn store() -> impl Strategy<Value = StoreId> {
    "[a-zA-Z0-9 ./é_-]{1,20}".prop_map(|id| StoreId::new(id).unwrap())
}

fn object() -> impl Strategy<Value = ObjectRef> {
    (store(), path()).prop_map(|(store, path)| ObjectRef { store, path })
}

fn meta() -> impl Strategy<Value = ObjectMeta> {
    (path(), any::<u64>(), option::of("[a-f0-9\"-]{0,40}")).prop_map(|(path, size, etag)| {
        ObjectMeta {
            path,
            version: ObjectVersion { etag, size },
        }
    })
}

fn spec() -> impl Strategy<Value = StoreSpec> {
    let protocol = prop_oneof![
        Just(StoreProtocol::S3),
        Just(StoreProtocol::Gcs),
        Just(StoreProtocol::Azure),
        Just(StoreProtocol::Local),
        Just(StoreProtocol::Memory),
    ];
    let options = proptest::collection::btree_map("[a-z_]{1,20}", ".{0,40}", 0..5);
    (store(), protocol, ".{0,30}", options).prop_map(|(id, protocol, bucket, options)| StoreSpec {
        id,
        protocol,
        bucket,
        options,
    })
}

fn condition() -> impl Strategy<Value = PutCondition> {
    prop_oneof![
        Just(PutCondition::Any),
        Just(PutCondition::Absent),
        "[a-f0-9\"-]{0,40}".prop_map(PutCondition::Matches),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        any::<(u16, u16)>().prop_map(|(oldest, newest)| Request::Hello { oldest, newest }),
        spec().prop_map(Request::OpenStore),
        store().prop_map(Request::CloseStore),
        object().prop_map(Request::Head),
        (
            object(),
            any::<Option<u64>>(),
            vec(any::<(u64, u64)>(), 0..5)
        )
            .prop_map(|(object, size, ranges)| Request::Want {
                object,
                size,
                ranges: (ranges.into_iter())
                    .map(|(offset, length)| ByteRange { offset, length })
                    .collect(),
            }),
        (object(), any::<(u64, u64)>(), condition()).prop_map(
            |(object, (length, checksum), condition)| Request::Put {
                object,
                length,
                checksum,
                condition,
            }
        ),
        object().prop_map(Request::Touch),
        (object(), any::<u64>(), vec(any::<(u64, u64)>(), 0..5)).prop_map(
            |(object, size, ranges)| Request::Prefetch {
                object,
                size,
                ranges: (ranges.into_iter())
                    .map(|(offset, length)| ByteRange { offset, length })
                    .collect(),
            }
        ),
        (store(), vec(path(), 0..4)).prop_map(|(store, paths)| Request::Delete { store, paths }),
        (
            store(),
            option::of(path()),
            option::of(".{0,40}"),
            any::<u32>()
        )
            .prop_map(|(store, prefix, token, limit)| Request::List {
                store,
                prefix,
                token,
                limit,
            }),
        Just(Request::Status),
    ]
}

fn failure() -> impl Strategy<Value = Failure> {
    let code = prop_oneof![
        Just(FailureCode::BadRequest),
        Just(FailureCode::UnknownStore),
        Just(FailureCode::NotFound),
        Just(FailureCode::TimedOut),
        Just(FailureCode::Internal),
    ];
    (code, any::<bool>(), ".{0,30}", ".{0,80}").prop_map(|(code, transient, object, message)| {
        if transient {
            Failure::transient(code, object, message)
        } else {
            Failure::permanent(code, object, message)
        }
    })
}

fn listed() -> impl Strategy<Value = Listed> {
    (meta(), any::<i64>()).prop_map(|(meta, last_modified_ms)| Listed {
        meta,
        last_modified_ms,
    })
}

fn store_status() -> impl Strategy<Value = StoreStatus> {
    let counts =
        any::<(u64, u64, u64, u64)>().prop_map(|(requests, errors, bytes, microseconds)| {
            OperationCounts {
                requests,
                errors,
                bytes,
                microseconds,
            }
        });
    let operations = proptest::array::uniform5(counts);
    (
        store(),
        ".{0,40}",
        any::<(u64, u64, u64, u64)>(),
        operations,
    )
        .prop_map(
            |(store, identity, (hits, misses, cached_files, cached_bytes), operations)| {
                StoreStatus {
                    store,
                    identity,
                    hits,
                    misses,
                    cached_files,
                    cached_bytes,
                    operations,
                }
            },
        )
}

fn status() -> impl Strategy<Value = Status> {
    let cache = any::<(u64, u64, u64, u64)>();
    (
        "[0-9.]{0,9}",
        any::<u64>(),
        cache,
        vec(store_status(), 0..4),
    )
        .prop_map(
            |(version, uptime_milliseconds, (capacity, files, bytes, evictions), stores)| Status {
                version,
                uptime_milliseconds,
                cache: CacheStatus {
                    capacity,
                    files,
                    bytes,
                    evictions,
                },
                stores,
            },
        )
}

fn response() -> impl Strategy<Value = Response> {
    prop_oneof![
        any::<u16>().prop_map(|version| Response::Welcome { version }),
        Just(Response::Done),
        meta().prop_map(Response::Object),
        meta().prop_map(Response::Have),
        (vec(listed(), 0..5), option::of(".{0,40}"))
            .prop_map(|(objects, next)| Response::Page { objects, next }),
        status().prop_map(Response::Status),
        failure().prop_map(Response::Failed),
    ]
}

proptest! {
    #[test]
    fn requests_come_back_as_they_were(request in request(), id: u64) {
        let frame = request.encode(RequestId(id));
        let header = FrameHeader::decode(frame.as_bytes()).unwrap();
        prop_assert_eq!(header, frame.header());
        prop_assert_eq!(header.request_id, RequestId(id));
        prop_assert_eq!(header.payload_bytes, frame.payload().len());
        prop_assert_eq!(Request::decode(header.kind, frame.payload()).unwrap(), request);
    }

    #[test]
    fn responses_come_back_as_they_were(response in response(), id: u64) {
        let frame = response.encode(RequestId(id));
        let header = FrameHeader::decode(frame.as_bytes()).unwrap();
        prop_assert_eq!(Response::decode(header.kind, frame.payload()).unwrap(), response);
    }

    #[test]
    fn a_truncated_request_is_an_error(request in request(), cut in any::<prop::sample::Index>()) {
        let frame = request.encode(RequestId(1));
        let payload = frame.payload();
        prop_assume!(!payload.is_empty());
        let cut = cut.index(payload.len());
        prop_assert!(Request::decode(frame.header().kind, &payload[..cut]).is_err());
    }

    #[test]
    fn bytes_after_the_last_field_are_an_error(request in request()) {
        let frame = request.encode(RequestId(1));
        let mut payload = frame.payload().to_vec();
        payload.push(0);
        let excess = DecodeError::TrailingBytes { excess: 1 };
        prop_assert_eq!(Request::decode(frame.header().kind, &payload), Err(excess));
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        kind in prop_oneof![0u16..16, 127u16..137, Just(255u16)],
        payload in vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = Vec::new();
        bytes.extend(FRAME_VERSION.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(7u64.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(payload);
        fuzz_decode(&bytes);
    }

    #[test]
    fn mutated_frames_never_panic(
        request in request(),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut bytes = request.encode(RequestId(3)).as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        fuzz_decode(&bytes);
    }
}

#[test]
fn the_layout_is_what_the_readme_draws() {
    let request = Request::Want {
        object: ObjectRef {
            store: StoreId::new("s").unwrap(),
            path: ObjectPath::new("a/b").unwrap(),
        },
        size: Some(9),
        ranges: vec![ByteRange {
            offset: 2,
            length: 3,
        }],
    };
    let expected = [
        [1, 0, 5, 0].as_slice(),
        &[0x2a, 0, 0, 0, 0, 0, 0, 0],
        &[0xb8, 0x0b, 0, 0],
        &[41, 0, 0, 0],
        &[1, 0, 0, 0, b's', 3, 0, 0, 0, b'a', b'/', b'b'],
        &[1, 9, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0],
        &[2, 0, 0, 0, 0, 0, 0, 0],
        &[3, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let frame = request.encode(RequestId(0x2a));
    let frame = frame.within(Duration::from_secs(3));
    assert_eq!(frame.as_bytes(), expected);
}

#[test]
fn lengths_are_refused_before_memory_is_taken() {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&[1, 0, 4, 0]);
    header[16..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(
        FrameHeader::decode(&header),
        Err(DecodeError::TooLong { .. })
    ));
    let too_long_a_path = [&[1, 0, 0, 0, b's'][..], &u32::MAX.to_le_bytes()].concat();
    assert!(matches!(
        Request::decode(4, &too_long_a_path),
        Err(DecodeError::TooLong {
            field: "object path",
            ..
        })
    ));
}

#[test]
fn the_service_gives_up_before_its_client() {
    for bytes in [0, 1, 1 << 30, 5 << 40] {
        let client = answer_limit(bytes);
        assert_eq!(service_limit(client), client - Duration::from_secs(1));
    }
    for milliseconds in [1, 5, 400, 3000] {
        let client = Duration::from_millis(milliseconds);
        assert!(service_limit(client) < client && !service_limit(client).is_zero());
    }
}

#[test]
fn a_frame_says_how_long_its_client_waits_or_nothing() {
    for (limit, told) in [
        (None, None),
        (Some(Duration::ZERO), Some(1)),
        (Some(Duration::from_micros(1500)), Some(1)),
        (Some(Duration::from_secs(60)), Some(60_000)),
        (Some(Duration::MAX), Some(u64::from(u32::MAX))),
    ] {
        let frame = Request::Status.encode(RequestId(9));
        let frame = match limit {
            Some(limit) => frame.within(limit),
            None => frame,
        };
        let header = FrameHeader::decode(frame.as_bytes()).unwrap();
        assert_eq!(header.limit, told.map(Duration::from_millis));
        assert_eq!(header, frame.header());
    }
}

#[test]
fn paths_cannot_leave_their_store() {
    for bad in [
        "", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\0b", "a\nb",
    ] {
        assert!(ObjectPath::new(bad).is_err(), "{bad:?}");
    }
    assert!(ObjectPath::new("a".repeat(MAX_PATH_BYTES + 1)).is_err());
    for good in ["a", "a.b/c..d/%2F", "ns/t=1/é.parquet"] {
        assert!(ObjectPath::new(good).is_ok(), "{good:?}");
    }
}

#[test]
fn a_status_of_more_than_a_frame_has_room_for_is_shortened_to_one_that_decodes() {
    let store = |number: usize| StoreStatus {
        store: StoreId::new(format!("{number:0127}")).unwrap(),
        identity: "é".repeat(2000),
        hits: 0,
        misses: 0,
        cached_files: 0,
        cached_bytes: 0,
        operations: Default::default(),
    };
    let status = Status {
        version: "1".into(),
        uptime_milliseconds: 0,
        cache: CacheStatus::default(),
        stores: (0..MAX_STATUS_STORES + 3).map(store).collect(),
    };
    let frame = Response::Status(status).encode(RequestId(1));
    let header = FrameHeader::decode(frame.as_bytes()).unwrap();
    let stores = match Response::decode(header.kind, frame.payload()).unwrap() {
        Response::Status(status) => status.stores.len(),
        _ => 0,
    };
    assert_eq!(stores, MAX_STATUS_STORES);
}

#[test]
fn a_failure_as_long_as_a_document_is_shortened_to_one_that_decodes() {
    let failure = Failure::permanent(FailureCode::Internal, "o", "é".repeat(20_000));
    let frame = Response::Failed(failure).encode(RequestId(1));
    assert!(Response::decode(frame.header().kind, frame.payload()).is_ok());
}

fn store_at(protocol: StoreProtocol, options: &[(&str, &str)]) -> StoreSpec {
    let options = options.iter();
    StoreSpec {
        id: StoreId::new("lake").unwrap(),
        protocol,
        bucket: "b".into(),
        options: options
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

#[test]
fn addresses_are_known_from_names() {
    for url in [
        "http://127.0.0.1:9000",
        "https://10.0.0.7/path",
        "https://[::1]:9000",
        "http://0x7f.0x1",
        "http://127.0.0.1.",
        "http://2130706433",
    ] {
        assert!(super::is_address(url), "{url}");
    }
    for url in [
        "http://localhost:9000",
        "https://s3.eu-1.amazonaws.com",
        "https://10.0.0.7.example",
        "https://1.2.3.4x/5",
        "https://x/127.0.0.1",
        "https://",
    ] {
        assert!(!super::is_address(url), "{url}");
    }
}

#[test]
fn whoever_asks_and_however_the_store_is_the_same() {
    use StoreProtocol::{Azure, Gcs, S3};
    let same = |protocol, one: &[(&str, &str)], other: &[(&str, &str)]| {
        let one = store_at(protocol, one).identity();
        one == store_at(protocol, other).identity()
    };
    assert!(same(
        S3,
        &[],
        &[
            ("credentials", "reader"),
            ("region", "eu-central-1"),
            ("virtual_hosted_style_request", "true"),
            ("skip_signature", "true"),
        ]
    ));
    let url = ("endpoint", "https://minio.example");
    for endpoint in ["HTTPS://Minio.Example/", "https://minio.example:443"] {
        assert!(same(S3, &[url], &[("endpoint", endpoint)]), "{endpoint}");
    }
    for endpoint in ["http://minio.example", "https://minio.example:9000"] {
        assert!(!same(S3, &[url], &[("endpoint", endpoint)]), "{endpoint}");
    }
    assert!(!same(S3, &[], &[url]));
    assert!(!same(S3, &[], &[("prefix", "p")]));
    assert!(same(S3, &[("prefix", "p/")], &[("prefix", "p")]));
    assert!(same(
        Gcs,
        &[],
        &[("base_url", "https://storage.googleapis.com")]
    ));
    let account = ("account", "a");
    let endpoint = ("endpoint", "https://a.blob.core.windows.net");
    assert!(same(Azure, &[account], &[account, endpoint]));
    assert!(!same(Azure, &[account], &[("account", "c")]));
    assert!(!same(
        Azure,
        &[account],
        &[account, ("use_emulator", "true")]
    ));
    assert_ne!(store_at(S3, &[]).identity(), store_at(Gcs, &[]).identity());
    let spec = store_at(Azure, &[account, ("prefix", "p")]);
    assert_eq!(
        spec.identity(),
        "azure https://a.blob.core.windows.net a/b/p"
    );
}

#[test]
fn secrets_are_neither_shown_nor_part_of_the_identity() {
    let mut spec = StoreSpec {
        id: StoreId::new("lake").unwrap(),
        protocol: StoreProtocol::S3,
        bucket: "b".into(),
        options: [("secret_access_key".to_owned(), "hunter2".to_owned())].into(),
    };
    let identity = spec.identity();
    assert!(!format!("{spec:?} {identity}").contains("hunter2"));
    spec.options.insert("endpoint".into(), "http://x".into());
    assert_ne!(spec.identity(), identity);
}
