//! The text of a `tsquery` (`tsearch/ts_type.h`), written so that reading it gives the same query.
//!
//! `tsqueryout` leaves out the parentheses of `a & (b & c)`, which reading would then take for another
//! query: `=` tells it from `a & b & c`.

use crate::error::ValueError;

/// `HDRSIZETQ`: the varlena header and the number of items.
const HEADER: usize = 8;
/// `sizeof(QueryItem)`.
const ITEM: usize = 12;

const QI_VAL: u8 = 1;
const QI_OPR: u8 = 2;
const OP_NOT: u8 = 1;
const OP_AND: u8 = 2;
const OP_OR: u8 = 3;
const OP_PHRASE: u8 = 4;

/// So many `!` come one after the other at most, without a parenthesis between them: `makepol` has room for
/// 32 operators that wait for their operands (`STACKDEPTH`).
const MAX_NOTS: u8 = 16;

/// What is still to be written, the last first: queries can be nested deeper than the stack bears.
enum Rest {
    Item { index: usize, parent: Parent },
    Text(&'static str),
    Phrase(u16),
}

/// What an item is an operand of.
#[derive(Clone, Copy)]
struct Parent {
    priority: u8,
    /// Whether the item is its right operand.
    on_the_right: bool,
    /// How many `!` stand right before the item.
    nots: u8,
}

/// Appends the text of a detoasted `tsquery` datum, its header included.
pub(crate) fn print(datum: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let count = word(datum, 4)? as usize;
    let operands = count
        .checked_mul(ITEM)
        .and_then(|items| datum.get(HEADER + items..))
        .ok_or_else(corrupt)?;
    if count == 0 {
        return Ok(());
    }
    let outermost = Parent {
        priority: 0,
        on_the_right: false,
        nots: 0,
    };
    let mut rest = vec![Rest::Item {
        index: 0,
        parent: outermost,
    }];
    let mut visited = 0;
    while let Some(next) = rest.pop() {
        let (index, parent) = match next {
            Rest::Text(text) => {
                out.extend_from_slice(text.as_bytes());
                continue;
            }
            Rest::Phrase(1) => {
                out.extend_from_slice(b" <-> ");
                continue;
            }
            Rest::Phrase(distance) => {
                out.extend_from_slice(format!(" <{distance}> ").as_bytes());
                continue;
            }
            Rest::Item { index, parent } => (index, parent),
        };
        visited += 1;
        let item = datum
            .get(HEADER + index * ITEM..HEADER + (index + 1) * ITEM)
            .filter(|_| index < count && visited <= count)
            .ok_or_else(corrupt)?;
        match item[0] {
            QI_VAL => print_operand(item, operands, out)?,
            QI_OPR => {
                let operator = item[1];
                let priority = priority(operator)?;
                let is_nested = priority < parent.priority
                    || (parent.on_the_right && priority == parent.priority)
                    || parent.nots == MAX_NOTS;
                let nots = match operator {
                    OP_NOT if is_nested => 1,
                    OP_NOT => parent.nots + 1,
                    _ => 0,
                };
                if is_nested {
                    out.extend_from_slice(b"( ");
                    rest.push(Rest::Text(" )"));
                }
                let operand = |index, on_the_right| Rest::Item {
                    index,
                    parent: Parent {
                        priority,
                        on_the_right,
                        nots,
                    },
                };
                // The right operand, or the only one, comes first.
                rest.push(operand(index + 1, operator != OP_NOT));
                if operator == OP_NOT {
                    out.push(b'!');
                    continue;
                }
                let left = index
                    .checked_add(word(item, 4)? as usize)
                    .ok_or_else(corrupt)?;
                rest.push(match operator {
                    OP_AND => Rest::Text(" & "),
                    OP_OR => Rest::Text(" | "),
                    _ => Rest::Phrase(u16::from_ne_bytes([item[2], item[3]])),
                });
                rest.push(operand(left, false));
            }
            _ => return Err(corrupt()),
        }
    }
    Ok(())
}

/// A lexeme in quotes, with what is wanted of its positions.
fn print_operand(item: &[u8], operands: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let (weight, is_prefix) = (item[1], item[2] != 0);
    let place = word(item, 8)?;
    // The bit fields `length:12` and `distance:20`.
    let (length, distance) = if cfg!(target_endian = "little") {
        (place & 0xFFF, place >> 12)
    } else {
        (place >> 20, place & 0xF_FFFF)
    };
    let lexeme = operands
        .get(distance as usize..(distance + length) as usize)
        .ok_or_else(corrupt)?;
    out.push(b'\'');
    for byte in lexeme {
        if matches!(byte, b'\'' | b'\\') {
            out.push(*byte);
        }
        out.push(*byte);
    }
    out.push(b'\'');
    if weight != 0 || is_prefix {
        out.push(b':');
    }
    if is_prefix {
        out.push(b'*');
    }
    for (bit, letter) in [(8, b'A'), (4, b'B'), (2, b'C'), (1, b'D')] {
        if weight & bit != 0 {
            out.push(letter);
        }
    }
    Ok(())
}

/// `tsearch_op_priority`.
fn priority(operator: u8) -> Result<u8, ValueError> {
    match operator {
        OP_NOT => Ok(4),
        OP_AND => Ok(2),
        OP_OR => Ok(1),
        OP_PHRASE => Ok(3),
        _ => Err(corrupt()),
    }
}

fn word(bytes: &[u8], offset: usize) -> Result<u32, ValueError> {
    bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk::<4>())
        .map(|word| u32::from_ne_bytes(*word))
        .ok_or_else(corrupt)
}

#[cold]
fn corrupt() -> ValueError {
    ValueError::Corrupt("tsquery")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Items with the operand "a" each, and operators with the offset of their left operand.
    fn query(items: &[[u8; 3]]) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        bytes.extend((items.len() as u32).to_ne_bytes());
        for [kind, operator, left] in items {
            bytes.extend([*kind, *operator, 0, 0]);
            bytes.extend(u32::from(*left).to_ne_bytes());
            // One byte at the operands' beginning.
            bytes.extend(1_u32.to_ne_bytes());
        }
        bytes.extend(b"a\0");
        bytes
    }

    fn text(items: &[[u8; 3]]) -> String {
        let mut out = Vec::new();
        print(&query(items), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const A: [u8; 3] = [QI_VAL, 0, 0];

    #[test]
    #[cfg(target_endian = "little")]
    fn operands_on_the_right_keep_their_parentheses() {
        let and = |left| [QI_OPR, OP_AND, left];
        let or = |left| [QI_OPR, OP_OR, left];
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[and(2), A, A]), "'a' & 'a'");
        assert_eq!(text(&[and(2), A, and(2), A, A]), "'a' & 'a' & 'a'");
        assert_eq!(text(&[and(4), and(2), A, A, A]), "'a' & ( 'a' & 'a' )");
        assert_eq!(text(&[or(4), and(2), A, A, A]), "'a' | 'a' & 'a'");
        assert_eq!(text(&[and(4), or(2), A, A, A]), "'a' & ( 'a' | 'a' )");
        assert_eq!(text(&[[QI_OPR, OP_NOT, 0], or(2), A, A]), "!( 'a' | 'a' )");
    }

    #[test]
    fn deep_queries_are_printed() {
        let depth = 1_000_000;
        let mut items = vec![[QI_OPR, OP_NOT, 0]; depth];
        items.push(A);
        let parentheses = depth.div_ceil(usize::from(MAX_NOTS)) - 1;
        assert_eq!(text(&items).len(), depth + 3 + 4 * parentheses);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panicking(
            count in 0_u32..5,
            items in proptest::collection::vec(0_u8..6, 0..80),
        ) {
            let mut bytes = vec![0; 4];
            bytes.extend(count.to_ne_bytes());
            bytes.extend(items);
            let _ = print(&bytes, &mut Vec::new());
        }
    }
}
