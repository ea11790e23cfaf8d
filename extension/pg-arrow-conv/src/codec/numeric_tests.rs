//! The numeric codec against values worked out by hand, and against itself.

use super::numeric::{
    MAX_BODY, MAX_PRECISION, decode, encode, fits_precision, without_trailing_zeros,
};
use crate::error::ValueError;
use proptest::prelude::*;

/// A body in the short format.
fn short(negative: bool, dscale: u16, weight: i16, digits: &[u16]) -> Vec<u8> {
    let header = 0x8000
        | u16::from(negative) << 13
        | dscale << 7
        | u16::from(weight < 0) << 6
        | (weight as u16 & 0x3F);
    words(&[&[header], digits].concat())
}

/// A body in the long format.
fn long(negative: bool, dscale: u16, weight: i16, digits: &[u16]) -> Vec<u8> {
    let sign = if negative { 0x4000 } else { 0 };
    words(&[&[sign | dscale, weight as u16], digits].concat())
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn encoded(value: i128, scale: u8) -> Vec<u8> {
    let mut out = [0; MAX_BODY];
    let length = encode(value, scale, &mut out);
    out[..length].to_vec()
}

#[test]
fn known_values_have_postgresqls_digits() {
    let cases: &[(i128, u8, Vec<u8>)] = &[
        (0, 0, short(false, 0, 0, &[])),
        (0, 7, short(false, 7, 0, &[])),
        (1, 0, short(false, 0, 0, &[1])),
        (-1, 0, short(true, 0, 0, &[1])),
        (9999, 0, short(false, 0, 0, &[9999])),
        (10_000, 0, short(false, 0, 1, &[1])),
        (1_234_567, 2, short(false, 2, 1, &[1, 2345, 6700])),
        (100, 2, short(false, 2, 0, &[1])),
        (1, 2, short(false, 2, -1, &[100])),
        (-15, 1, short(true, 1, 0, &[1, 5000])),
        (1, 4, short(false, 4, -1, &[1])),
        (1, 5, short(false, 5, -2, &[1000])),
        (120_000_000_000, 3, short(false, 3, 2, &[1, 2000])),
        (1, 37, short(false, 37, -10, &[1000])),
        (1, 38, short(false, 38, -10, &[100])),
    ];
    for (value, scale, body) in cases {
        assert_eq!(encoded(*value, *scale), *body, "{value} scale {scale}");
        assert_eq!(
            decode(body, MAX_PRECISION, *scale),
            Ok(*value),
            "{value} scale {scale}"
        );
    }
}

#[test]
fn largest_values_of_every_scale_round_trip() {
    let limit = 10_i128.pow(38) - 1;
    for scale in 0..=MAX_PRECISION {
        for value in [limit, -limit, limit / 10, 10_i128.pow(37), 1, -1] {
            assert_eq!(
                decode(&encoded(value, scale), MAX_PRECISION, scale),
                Ok(value)
            );
        }
    }
}

#[test]
fn long_format_is_read() {
    assert_eq!(decode(&long(false, 2, 0, &[12, 5000]), 10, 2), Ok(1250));
    assert_eq!(decode(&long(true, 0, 1, &[1]), 10, 0), Ok(-10_000));
    assert_eq!(decode(&long(false, 100, 0, &[7]), 10, 2), Ok(700));
}

#[test]
fn special_values_are_named() {
    assert_eq!(
        decode(&words(&[0xC000]), 10, 2),
        Err(ValueError::NumericSpecial("NaN"))
    );
    assert_eq!(
        decode(&words(&[0xD000]), 10, 2),
        Err(ValueError::NumericSpecial("Infinity"))
    );
    assert_eq!(
        decode(&words(&[0xF000]), 10, 2),
        Err(ValueError::NumericSpecial("-Infinity"))
    );
    // NaN as it was stored before version 9.1, with a weight word.
    assert_eq!(
        decode(&words(&[0xC000, 0]), 10, 2),
        Err(ValueError::NumericSpecial("NaN"))
    );
}

#[test]
fn digits_beyond_precision_or_scale_are_refused_not_rounded() {
    let overflow = |precision, scale| Err(ValueError::NumericOverflow { precision, scale });
    assert_eq!(
        decode(&short(false, 3, 0, &[1, 2340]), 10, 2),
        overflow(10, 2)
    );
    assert_eq!(
        decode(&short(false, 6, 0, &[1, 0, 100]), 10, 2),
        overflow(10, 2)
    );
    assert_eq!(decode(&short(false, 0, 0, &[1000]), 3, 0), overflow(3, 0));
    assert_eq!(decode(&short(false, 0, 0, &[999]), 3, 0), Ok(999));
    assert_eq!(
        decode(&long(false, 0, 32_767, &[1]), 38, 0),
        overflow(38, 0)
    );
    assert_eq!(
        decode(&short(false, 0, 9, &[9999; 10]), 38, 0),
        overflow(38, 0)
    );
    assert_eq!(decode(&short(false, 0, 9, &[100]), 38, 0), overflow(38, 0));
    assert_eq!(
        decode(&long(false, 0, -32_768, &[1]), 38, 38),
        overflow(38, 38)
    );
}

#[test]
fn unstripped_digits_are_read() {
    assert_eq!(decode(&short(false, 4, 1, &[0, 5, 0, 0]), 10, 2), Ok(500));
    assert_eq!(decode(&short(false, 0, 63, &[0, 0]), 10, 2), Ok(0));
}

#[test]
fn malformed_bodies_are_refused() {
    let corrupt = Err(ValueError::Corrupt("numeric"));
    assert_eq!(decode(&[], 10, 2), corrupt);
    assert_eq!(decode(&[0], 10, 2), corrupt);
    assert_eq!(decode(&words(&[0x0000]), 10, 2), corrupt);
    assert_eq!(decode(&short(false, 0, 0, &[10_000]), 10, 2), corrupt);
    let mut odd = short(false, 0, 0, &[1]);
    odd.push(0);
    assert_eq!(decode(&odd, 10, 2), corrupt);
}

proptest! {
    #[test]
    fn values_round_trip(
        value in -(10_i128.pow(38) - 1)..10_i128.pow(38),
        shift in 0_u32..38,
        scale in 0_u8..=MAX_PRECISION,
    ) {
        let value = value / 10_i128.pow(shift);
        prop_assert_eq!(decode(&encoded(value, scale), MAX_PRECISION, scale), Ok(value));
    }

    #[test]
    fn encoded_digits_are_stripped(value in any::<i64>(), scale in 0_u8..=MAX_PRECISION) {
        let body = encoded(i128::from(value), scale);
        prop_assert!(!body.starts_with(&[0, 0]));
        prop_assert!(body.len() == 2 || !body[2..].starts_with(&[0, 0]) && !body.ends_with(&[0, 0]));
    }

    #[test]
    fn trailing_zeros_go_and_nothing_else(
        digits in -(10_i128.pow(20))..10_i128.pow(20),
        zeros in 0_u32..18,
        scale in 0_u8..=18,
    ) {
        let value = digits * 10_i128.pow(zeros);
        let (stripped, left) = without_trailing_zeros(value, scale);
        prop_assert_eq!(stripped * 10_i128.pow(u32::from(scale - left)), value);
        prop_assert!(left == 0 || stripped % 10 != 0);
    }

    #[test]
    fn any_bytes_are_read_without_panicking(
        body in proptest::collection::vec(any::<u8>(), 0..40),
        precision in 1_u8..=MAX_PRECISION,
        scale in 0_u8..=MAX_PRECISION,
    ) {
        if let Ok(value) = decode(&body, precision, scale.min(precision)) {
            prop_assert!(fits_precision(value, precision));
        }
    }
}
