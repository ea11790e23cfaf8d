//! Lower and upper bounds as manifests store them.

use crate::spec::Datum;

/// The most code points of a string, or bytes of a binary value, in a bound.
const TRUNCATE_LENGTH: usize = 16;

/// The lower bound for a column whose least value is `least`, or begins with it.
pub(super) fn lower_bound(least: Datum) -> Vec<u8> {
    match least {
        Datum::String(value) => match value.char_indices().nth(TRUNCATE_LENGTH) {
            Some((end, _)) => value.as_bytes()[..end].to_vec(),
            None => value.into_bytes(),
        },
        Datum::Binary(mut value) => {
            value.truncate(TRUNCATE_LENGTH);
            value
        }
        other => other.to_bytes(),
    }
}

/// The upper bound for a column that holds nothing greater than `greatest`; `None` where no short
/// value is great enough.
pub(super) fn upper_bound(greatest: Datum) -> Option<Vec<u8>> {
    match greatest {
        Datum::String(value) => match value.char_indices().nth(TRUNCATE_LENGTH) {
            Some((end, _)) => increment_string(&value[..end]).map(String::into_bytes),
            None => Some(value.into_bytes()),
        },
        Datum::Binary(value) if value.len() > TRUNCATE_LENGTH => {
            increment_binary(&value[..TRUNCATE_LENGTH])
        }
        other => Some(other.to_bytes()),
    }
}

/// The least string of no more code points that is greater than all that begin with `prefix`.
fn increment_string(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let next = match u32::from(last) + 1 {
            // Surrogates are no characters.
            0xd800 => char::from_u32(0xe000),
            code => char::from_u32(code),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

/// The least value of no more bytes that is greater than all that begin with `prefix`.
fn increment_binary(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut bytes = prefix[..=kept].to_vec();
    bytes[kept] += 1;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upper(text: &str) -> Option<String> {
        upper_bound(Datum::String(text.into())).map(|b| String::from_utf8_lossy(&b).into_owned())
    }

    #[test]
    fn short_values_are_their_own_bounds() {
        assert_eq!(lower_bound(Datum::String("abc".into())), b"abc");
        assert_eq!(upper("abc").as_deref(), Some("abc"));
        assert_eq!(
            upper("éééééééééééééééé").as_deref(),
            Some("éééééééééééééééé")
        );
        assert_eq!(
            upper_bound(Datum::Binary(vec![0xff; 16])),
            Some(vec![0xff; 16])
        );
    }

    #[test]
    fn long_strings_are_cut_between_code_points_and_the_upper_one_is_incremented() {
        let long = "é".repeat(20);
        assert_eq!(
            lower_bound(Datum::String(long.clone())),
            "é".repeat(16).into_bytes()
        );
        assert_eq!(upper(&long), Some(format!("{}ê", "é".repeat(15))));
        let carry = format!("a{}", "\u{10ffff}".repeat(20));
        assert_eq!(upper(&carry).as_deref(), Some("b"));
        assert_eq!(upper(&"\u{10ffff}".repeat(20)), None);
        assert_eq!(
            upper(&"\u{d7ff}".repeat(17)),
            Some(format!("{}\u{e000}", "\u{d7ff}".repeat(15)))
        );
    }

    #[test]
    fn long_binaries_carry_or_have_no_upper_bound() {
        let mut bytes = vec![1; 15];
        bytes.extend([0xff; 5]);
        let mut expected = vec![1; 15];
        expected[14] = 2;
        assert_eq!(upper_bound(Datum::Binary(bytes.clone())), Some(expected));
        bytes.truncate(16);
        assert_eq!(upper_bound(Datum::Binary(bytes.clone())), Some(bytes));
        assert_eq!(upper_bound(Datum::Binary(vec![0xff; 17])), None);
    }
}
