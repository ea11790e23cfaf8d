//! The body of a `numeric` datum (what follows the varlena header) to and from a scaled `i128`.
//!
//! The format is that of `numeric.c`: a header word with sign, display scale and weight, then
//! base-10000 digits, most significant first, without leading or trailing zero digits. Words are
//! in the machine's byte order and may be unaligned.

use crate::error::ValueError;

/// Largest precision that fits `i128`.
pub(crate) const MAX_PRECISION: u8 = 38;
/// Bytes that [`encode`] writes at most: the header word and 11 digits.
pub(crate) const MAX_BODY: usize = 2 + 2 * MAX_GROUPS;

const MAX_GROUPS: usize = 11;
const DEC_DIGITS: i32 = 4;
const NBASE: u64 = 10_000;
/// `NBASE` to the fourth power: the most base-10000 digits whose sum of products fits `u64`.
const NBASE_4: u128 = 10_u128.pow(16);

const NUMERIC_SIGN_MASK: u16 = 0xC000;
const NUMERIC_NEG: u16 = 0x4000;
const NUMERIC_SHORT: u16 = 0x8000;
const NUMERIC_SPECIAL: u16 = 0xC000;
const NUMERIC_EXT_SIGN_MASK: u16 = 0xF000;
const NUMERIC_PINF: u16 = 0xD000;
const NUMERIC_NINF: u16 = 0xF000;
const NUMERIC_SHORT_SIGN_MASK: u16 = 0x2000;
const NUMERIC_SHORT_DSCALE_SHIFT: u16 = 7;
const NUMERIC_SHORT_WEIGHT_SIGN_MASK: u16 = 0x0040;
const NUMERIC_SHORT_WEIGHT_MASK: u16 = 0x003F;

const POW10: [u128; MAX_PRECISION as usize + 1] = {
    let mut table = [1; MAX_PRECISION as usize + 1];
    let mut exponent = 1;
    while exponent < table.len() {
        table[exponent] = table[exponent - 1] * 10;
        exponent += 1;
    }
    table
};

/// Whether `value` has at most `precision` decimal digits.
#[inline]
pub(crate) fn fits_precision(value: i128, precision: u8) -> bool {
    value.unsigned_abs() < POW10[usize::from(precision.min(MAX_PRECISION))]
}

/// Reads the body of a `numeric` as an integer scaled by `10^scale`.
///
/// Refuses NaN, infinities, and values that need more than `precision` digits or more than
/// `scale` digits after the point.
#[inline]
pub(crate) fn decode(body: &[u8], precision: u8, scale: u8) -> Result<i128, ValueError> {
    let (negative, mut weight, mut digits) = split_header(body)?;
    if !digits.len().is_multiple_of(2) {
        return Err(ValueError::Corrupt("numeric"));
    }
    // Stored values are stripped already; these loops make the bounds below certain.
    while let [0, 0, rest @ ..] = digits {
        digits = rest;
        weight -= 1;
    }
    while let [rest @ .., 0, 0] = digits {
        digits = rest;
    }
    if digits.is_empty() {
        return Ok(0);
    }

    let overflow = || ValueError::NumericOverflow { precision, scale };
    let count = digits.len() / 2;
    // Power of ten that the last digit is multiplied by.
    let exponent = DEC_DIGITS * (weight - (count as i32 - 1)) + i32::from(scale);
    if exponent <= -DEC_DIGITS || DEC_DIGITS * weight + i32::from(scale) >= i32::from(precision) {
        return Err(overflow());
    }

    let magnitude = if exponent >= 0 {
        // At most precision - 1, by the check of the first digit's power above.
        accumulate(digits)?.and_then(|sum| sum.checked_mul(POW10[exponent as usize]))
    } else {
        // The scale ends inside the last digit: only its upper decimal digits may be non-zero.
        let (upper, last) = digits.split_at(digits.len() - 2);
        let last = u128::from(digit(last)?);
        let kept = (DEC_DIGITS + exponent) as usize;
        let dropped = POW10[-exponent as usize] as u64;
        if !(last as u64).is_multiple_of(dropped) {
            return Err(overflow());
        }
        accumulate(upper)?
            .and_then(|sum| sum.checked_mul(POW10[kept]))
            .and_then(|sum| sum.checked_add(u128::from(last as u64 / dropped)))
    };
    match magnitude {
        Some(magnitude) if magnitude < POW10[usize::from(precision)] => {
            let value = magnitude as i128;
            Ok(if negative { -value } else { value })
        }
        _ => Err(overflow()),
    }
}

/// Sign, weight and digits.
#[inline]
fn split_header(body: &[u8]) -> Result<(bool, i32, &[u8]), ValueError> {
    let Some((header, rest)) = body.split_first_chunk::<2>() else {
        return Err(ValueError::Corrupt("numeric"));
    };
    let header = u16::from_ne_bytes(*header);
    match header & NUMERIC_SIGN_MASK {
        NUMERIC_SHORT => {
            let magnitude = i32::from(header & NUMERIC_SHORT_WEIGHT_MASK);
            let weight = if header & NUMERIC_SHORT_WEIGHT_SIGN_MASK != 0 {
                magnitude | !i32::from(NUMERIC_SHORT_WEIGHT_MASK)
            } else {
                magnitude
            };
            Ok((header & NUMERIC_SHORT_SIGN_MASK != 0, weight, rest))
        }
        NUMERIC_SPECIAL => Err(ValueError::NumericSpecial(
            match header & NUMERIC_EXT_SIGN_MASK {
                NUMERIC_PINF => "Infinity",
                NUMERIC_NINF => "-Infinity",
                _ => "NaN",
            },
        )),
        sign => match rest.split_first_chunk::<2>() {
            Some((weight, digits)) => Ok((
                sign == NUMERIC_NEG,
                i32::from(i16::from_ne_bytes(*weight)),
                digits,
            )),
            None => Err(ValueError::Corrupt("numeric")),
        },
    }
}

/// The digits as one integer; `None` when it does not fit.
#[inline]
fn accumulate(digits: &[u8]) -> Result<Option<u128>, ValueError> {
    if digits.len() <= 8 {
        let mut sum = 0_u64;
        for pair in digits.chunks_exact(2) {
            sum = sum * NBASE + u64::from(digit(pair)?);
        }
        return Ok(Some(u128::from(sum)));
    }
    let mut sum = Some(0_u128);
    for pair in digits.chunks_exact(2) {
        let next = u128::from(digit(pair)?);
        sum = sum
            .and_then(|sum| sum.checked_mul(u128::from(NBASE)))
            .and_then(|sum| sum.checked_add(next));
    }
    Ok(sum)
}

#[inline]
fn digit(pair: &[u8]) -> Result<u16, ValueError> {
    match pair {
        [low, high] => match u16::from_ne_bytes([*low, *high]) {
            digit if u64::from(digit) < NBASE => Ok(digit),
            _ => Err(ValueError::Corrupt("numeric")),
        },
        _ => Err(ValueError::Corrupt("numeric")),
    }
}

/// Writes `value / 10^scale` as `make_result` in `numeric.c` would: short header, display scale
/// `scale`, no leading or trailing zero digits, zero without digits, sign or weight.
///
/// Returns the number of bytes written. `value` must have at most [`MAX_PRECISION`] digits
/// ([`fits_precision`]) and `scale` be at most [`MAX_PRECISION`], so that display scale and weight
/// fit the short header.
#[inline]
pub(crate) fn encode(value: i128, scale: u8, out: &mut [u8; MAX_BODY]) -> usize {
    debug_assert!(fits_precision(value, MAX_PRECISION) && scale <= MAX_PRECISION);
    let mut groups = [0_u16; MAX_GROUPS + 4];
    let mut count = 0;
    let mut rest = value.unsigned_abs();

    // The lowest digit may hold fewer than four decimal digits of the scaled integer.
    let partial = usize::from(scale % 4);
    if partial != 0 {
        let (quotient, remainder) = div_rem(rest, POW10[partial] as u64);
        groups[0] = (remainder * POW10[4 - partial] as u64) as u16;
        rest = quotient;
        count = 1;
    }
    while rest > u128::from(u64::MAX) {
        let mut chunk = (rest % NBASE_4) as u64;
        rest /= NBASE_4;
        for group in &mut groups[count..count + 4] {
            *group = (chunk % NBASE) as u16;
            chunk /= NBASE;
        }
        count += 4;
    }
    let mut rest = rest as u64;
    while rest != 0 {
        groups[count] = (rest % NBASE) as u16;
        rest /= NBASE;
        count += 1;
    }
    while count > 0 && groups[count - 1] == 0 {
        count -= 1;
    }

    let header = NUMERIC_SHORT | u16::from(scale) << NUMERIC_SHORT_DSCALE_SHIFT;
    if count == 0 {
        out[..2].copy_from_slice(&header.to_ne_bytes());
        return 2;
    }
    let weight = count as i32 - 1 - i32::from(scale.div_ceil(4));
    let header = header
        | if value < 0 {
            NUMERIC_SHORT_SIGN_MASK
        } else {
            0
        }
        | if weight < 0 {
            NUMERIC_SHORT_WEIGHT_SIGN_MASK
        } else {
            0
        }
        | (weight as u16 & NUMERIC_SHORT_WEIGHT_MASK);
    out[..2].copy_from_slice(&header.to_ne_bytes());
    let lowest = groups.iter().position(|group| *group != 0).unwrap_or(0);
    let mut length = 2;
    for group in groups[lowest..count].iter().rev() {
        out[length..length + 2].copy_from_slice(&group.to_ne_bytes());
        length += 2;
    }
    length
}

/// The same number with the smallest scale, for a number of at most [`MAX_PRECISION`] digits.
pub(crate) fn without_trailing_zeros(value: i128, scale: u8) -> (i128, u8) {
    let (mut value, mut scale) = (value, scale);
    // Powers of ten, so that few divisions take off all zeros.
    for zeros in [16, 8, 4, 2, 1] {
        let power = POW10[usize::from(zeros)] as i128;
        while scale >= zeros && value % power == 0 {
            value /= power;
            scale -= zeros;
        }
    }
    (value, scale)
}

/// Division that avoids the 128-bit routine for the values that are common.
#[inline]
fn div_rem(value: u128, divisor: u64) -> (u128, u64) {
    match u64::try_from(value) {
        Ok(value) => (u128::from(value / divisor), value % divisor),
        Err(_) => (
            value / u128::from(divisor),
            (value % u128::from(divisor)) as u64,
        ),
    }
}
