#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn decimal(unscaled: i128) -> Datum {
    Datum::Decimal {
        unscaled,
        precision: 38,
        scale: 2,
    }
}

/// The examples of appendix D, and the edges of decimals' minimal form.
#[test]
fn values_have_the_bytes_of_appendix_d() {
    let uuid: Uuid = "f79c3e09-677c-4bbd-a479-3f349cb785e7".parse().unwrap();
    for (datum, bytes) in [
        (Datum::Boolean(false), vec![0x00]),
        (Datum::Boolean(true), vec![0x01]),
        (Datum::Int(1234), vec![0xd2, 0x04, 0, 0]),
        (Datum::Long(1234), vec![0xd2, 0x04, 0, 0, 0, 0, 0, 0]),
        (Datum::Float(-4.5), vec![0x00, 0x00, 0x90, 0xc0]),
        (Datum::Double(6.0), vec![0, 0, 0, 0, 0, 0, 0x18, 0x40]),
        (Datum::Date(-1), vec![0xff; 4]),
        (Datum::Timestamp(-1), vec![0xff; 8]),
        (Datum::String("ABC".into()), b"ABC".to_vec()),
        (Datum::String(String::new()), vec![]),
        (Datum::Uuid(uuid), uuid.as_bytes().to_vec()),
        (Datum::Binary(vec![0, 1]), vec![0, 1]),
        (decimal(0), vec![0]),
        (decimal(127), vec![0x7f]),
        (decimal(128), vec![0x00, 0x80]),
        (decimal(-128), vec![0x80]),
        (decimal(-129), vec![0xff, 0x7f]),
        (decimal(-1), vec![0xff]),
        (decimal(1420), vec![0x05, 0x8c]),
    ] {
        assert_eq!(datum.to_bytes(), bytes, "{datum:?}");
        let read = Datum::from_bytes(&datum.primitive_type(), &bytes).unwrap();
        assert_eq!(read, Some(datum));
    }
}

#[test]
fn bounds_from_before_a_promotion_are_read_as_the_new_type() {
    let read = |to: PrimitiveType, from: Datum| Datum::from_bytes(&to, &from.to_bytes()).unwrap();
    assert_eq!(
        read(PrimitiveType::Long, Datum::Int(-7)),
        Some(Datum::Long(-7))
    );
    assert_eq!(
        read(PrimitiveType::Double, Datum::Float(1.5)),
        Some(Datum::Double(1.5))
    );
    let day = Some(Datum::Timestamp(86_400_000_000));
    assert_eq!(read(PrimitiveType::Timestamp, Datum::Date(1)), day);
}

#[test]
fn a_length_that_does_not_fit_the_type_is_an_error() {
    for primitive in [
        PrimitiveType::Boolean,
        PrimitiveType::Int,
        PrimitiveType::Long,
        PrimitiveType::Float,
        PrimitiveType::Double,
        PrimitiveType::Uuid,
        PrimitiveType::Timestamptz,
    ] {
        assert!(
            Datum::from_bytes(&primitive, &[1, 2, 3]).is_err(),
            "{primitive}"
        );
    }
    let wide = PrimitiveType::Decimal {
        precision: 38,
        scale: 0,
    };
    assert!(Datum::from_bytes(&wide, &[]).is_err());
    assert!(Datum::from_bytes(&wide, &[1; 17]).is_err());
    assert!(Datum::from_bytes(&PrimitiveType::String, &[0xff]).is_err());
    // Sign bytes that mean nothing are tolerated.
    let mut padded = vec![0xff; 20];
    padded.push(0x80);
    let read = Datum::from_bytes(&wide, &padded).unwrap();
    assert_eq!(
        read,
        Some(Datum::Decimal {
            unscaled: -128,
            precision: 38,
            scale: 0
        })
    );
}

#[test]
fn nan_is_above_all_numbers_and_zeros_are_equal() {
    let nan = Datum::Double(f64::NAN);
    assert_eq!(
        nan.compare(&Datum::Double(f64::INFINITY)),
        Some(Ordering::Greater)
    );
    assert_eq!(nan.compare(&nan), Some(Ordering::Equal));
    assert_eq!(
        Datum::Float(-0.0).compare(&Datum::Float(0.0)),
        Some(Ordering::Equal)
    );
    assert_eq!(Datum::Int(1).compare(&Datum::Long(1)), None);
}

fn any_datum() -> impl Strategy<Value = Datum> {
    prop_oneof![
        any::<bool>().prop_map(Datum::Boolean),
        any::<i32>().prop_map(Datum::Int),
        any::<i64>().prop_map(Datum::Long),
        any::<f32>().prop_map(Datum::Float),
        any::<f64>().prop_map(Datum::Double),
        any::<i128>().prop_map(decimal),
        any::<i32>().prop_map(Datum::Date),
        any::<i64>().prop_map(Datum::Time),
        any::<i64>().prop_map(Datum::Timestamptz),
        any::<i64>().prop_map(Datum::TimestampNs),
        any::<String>().prop_map(Datum::String),
        any::<u128>().prop_map(|v| Datum::Uuid(Uuid::from_u128(v))),
        any::<Vec<u8>>().prop_map(Datum::Fixed),
        any::<Vec<u8>>().prop_map(Datum::Binary),
    ]
}

proptest! {
    #[test]
    fn every_value_reads_back(datum in any_datum()) {
        let read = Datum::from_bytes(&datum.primitive_type(), &datum.to_bytes());
        prop_assert_eq!(read, Ok(Some(datum)));
    }

    #[test]
    fn any_bytes_give_a_value_or_an_error(bytes: Vec<u8>, datum in any_datum()) {
        let _ = Datum::from_bytes(&datum.primitive_type(), &bytes);
    }
}
