//! The order of constants across types that SQL compares with one another.

use std::cmp::Ordering;

use crate::spec::Datum;

/// How `a` stands to `b`; `None` where their types are not comparable here, which callers take as
/// "anything is possible".
///
/// Integers and decimals of any scale compare by value, and so do floats and doubles; strings
/// compare byte by byte, as PostgreSQL does under collation `C`.
pub fn compare(a: &Datum, b: &Datum) -> Option<Ordering> {
    if let (Some(a), Some(b)) = (as_decimal(a), as_decimal(b)) {
        return compare_decimals(a, b);
    }
    if let (Some(a), Some(b)) = (as_double(a), as_double(b)) {
        return Some(compare_floats(a, b));
    }
    match (a, b) {
        (Datum::Fixed(a) | Datum::Binary(a), Datum::Fixed(b) | Datum::Binary(b)) => Some(a.cmp(b)),
        _ => a.compare(b),
    }
}

/// The value as an unscaled number and its scale, for the exact numeric types.
fn as_decimal(datum: &Datum) -> Option<(i128, u32)> {
    match datum {
        Datum::Int(value) => Some((i128::from(*value), 0)),
        Datum::Long(value) => Some((i128::from(*value), 0)),
        Datum::Decimal {
            unscaled, scale, ..
        } => Some((*unscaled, *scale)),
        _ => None,
    }
}

fn as_double(datum: &Datum) -> Option<f64> {
    match datum {
        Datum::Float(value) => Some(f64::from(*value)),
        Datum::Double(value) => Some(*value),
        _ => None,
    }
}

/// PostgreSQL's order of floating-point numbers: NaN last and equal to itself, one zero.
fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn compare_decimals(a: (i128, u32), b: (i128, u32)) -> Option<Ordering> {
    if a.0.signum() != b.0.signum() {
        return Some(a.0.signum().cmp(&b.0.signum()));
    }
    let scale = a.1.max(b.1);
    let rescale = |(value, from): (i128, u32)| {
        10_i128
            .checked_pow(scale - from)
            .and_then(|factor| value.checked_mul(factor))
    };
    match (rescale(a), rescale(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        // Only the one that was scaled up can overflow: it is the larger in magnitude.
        (None, Some(b)) => Some(if b < 0 {
            Ordering::Less
        } else {
            Ordering::Greater
        }),
        (Some(a), None) => Some(if a < 0 {
            Ordering::Greater
        } else {
            Ordering::Less
        }),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(unscaled: i128, scale: u32) -> Datum {
        Datum::Decimal {
            unscaled,
            precision: 38,
            scale,
        }
    }

    #[test]
    fn decimals_compare_across_scales_and_with_integers() {
        let order = |a: Datum, b: Datum| compare(&a, &b);
        assert_eq!(
            order(decimal(150, 2), decimal(15, 1)),
            Some(Ordering::Equal)
        );
        assert_eq!(
            order(decimal(151, 2), decimal(15, 1)),
            Some(Ordering::Greater)
        );
        assert_eq!(
            order(Datum::Int(2), decimal(199, 2)),
            Some(Ordering::Greater)
        );
        assert_eq!(
            order(decimal(i128::MAX, 0), decimal(1, 38)),
            Some(Ordering::Greater)
        );
        assert_eq!(
            order(decimal(-i128::MAX, 0), decimal(-1, 38)),
            Some(Ordering::Less)
        );
        assert_eq!(
            order(decimal(1, 38), decimal(i128::MAX, 0)),
            Some(Ordering::Less)
        );
        assert_eq!(order(decimal(-1, 38), decimal(0, 0)), Some(Ordering::Less));
    }

    #[test]
    fn nan_is_the_greatest_and_zeros_are_equal() {
        let nan = Datum::Double(f64::NAN);
        assert_eq!(
            compare(&nan, &Datum::Float(f32::NAN)),
            Some(Ordering::Equal)
        );
        assert_eq!(
            compare(&nan, &Datum::Double(f64::INFINITY)),
            Some(Ordering::Greater)
        );
        assert_eq!(
            compare(&Datum::Float(-0.0), &Datum::Double(0.0)),
            Some(Ordering::Equal)
        );
    }

    #[test]
    fn unlike_types_are_not_comparable() {
        assert_eq!(compare(&Datum::Date(1), &Datum::Int(1)), None);
        assert_eq!(compare(&Datum::Double(1.0), &Datum::Int(1)), None);
    }
}
