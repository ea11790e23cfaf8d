//! A text as the difference from another one.
//!
//! A metadata file, which is JSON, repeats its predecessor but for some numbers and one snapshot. What is
//! looked for are long equal runs in the same order; a text that has been rearranged is simply given
//! whole.

/// The shortest run that is worth an edit of its own, in bytes.
const RUN: usize = 32;
/// How far apart, in bytes, equal runs of the two texts are looked for after a difference.
const REACH: usize = 4096;

/// The length, in bytes, of an equal run that is no coincidence.
const LONG: usize = 1024;

const COPY: u8 = 0;
const INSERT: u8 = 1;

/// The edits that make `new` of `base`; `None` if they would not be less than half of `new`.
///
/// Each is a tag with, little-endian, offset in the base and length (u32 both) to copy, or a length
/// and that many bytes to insert.
pub fn diff(base: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    if u32::try_from(base.len()).is_err() || u32::try_from(new.len()).is_err() {
        return None;
    }
    let mut edits = Vec::new();
    let (mut at_base, mut at_new) = (0, 0);
    loop {
        let run = common_prefix(&base[at_base..], &new[at_new..]);
        if run > 0 {
            push_copy(&mut edits, at_base, run);
            at_base += run;
            at_new += run;
        }
        if at_new == new.len() {
            return (edits.len() < new.len() / 2).then_some(edits);
        }
        let (skip_base, skip_new) = resume(&base[at_base..], &new[at_new..])?;
        push_insert(&mut edits, &new[at_new..at_new + skip_new]);
        at_base += skip_base;
        at_new += skip_new;
        if edits.len() >= new.len() / 2 {
            return None;
        }
    }
}

/// Does the edits to `base`; `None` if they do not fit it.
pub fn apply(base: &[u8], edits: &[u8]) -> Option<Vec<u8>> {
    let mut new = Vec::with_capacity(base.len() + edits.len());
    let mut rest = edits;
    while let Some((&tag, after)) = rest.split_first() {
        let (first, after) = take_u32(after)?;
        if tag == COPY {
            let (length, after) = take_u32(after)?;
            new.extend_from_slice(base.get(first..first.checked_add(length)?)?);
            rest = after;
        } else if tag == INSERT {
            new.extend_from_slice(after.get(..first)?);
            rest = &after[first..];
        } else {
            return None;
        }
    }
    Some(new)
}

fn take_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number) as usize, rest))
}

fn push_copy(edits: &mut Vec<u8>, offset: usize, length: usize) {
    edits.push(COPY);
    edits.extend_from_slice(&(offset as u32).to_le_bytes());
    edits.extend_from_slice(&(length as u32).to_le_bytes());
}

fn push_insert(edits: &mut Vec<u8>, bytes: &[u8]) {
    edits.push(INSERT);
    edits.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    edits.extend_from_slice(bytes);
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 64;
    let mut same = 0;
    for (a, b) in a.chunks(STEP).zip(b.chunks(STEP)) {
        if a == b {
            same += a.len();
        } else {
            return same + a.iter().zip(b).take_while(|(a, b)| a == b).count();
        }
    }
    same
}

/// How much to leave out of the base, and to insert of the new text, until they are equal again; at
/// the end of the new text, all that is left of it. `None` if no equal run is near.
///
/// Ids come again elsewhere in the text, and neighbours are alike: what counts is for how long the
/// texts stay equal.
fn resume(base: &[u8], new: &[u8]) -> Option<(usize, usize)> {
    let near = &base[..base.len().min(REACH)];
    let mut best = None;
    let mut longest = 0;
    for skip in 0..new.len().min(REACH) {
        let Some(wanted) = new.get(skip..skip + RUN) else {
            break;
        };
        // Where one member or element ends and the next begins is often enough.
        if skip > 0 && !matches!(wanted[0], b',' | b'}' | b']') {
            continue;
        }
        if let Some(found) = memchr::memmem::find(near, wanted) {
            let end = |text: &[u8], from: usize| text.len().min(from + LONG);
            let run = common_prefix(&base[found..end(base, found)], &new[skip..end(new, skip)]);
            if run > longest {
                longest = run;
                best = Some((found, skip));
            }
            if run >= LONG {
                break;
            }
        }
    }
    best.or_else(|| (new.len() <= REACH).then_some((base.len(), new.len())))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "tests fail by panicking")]

    use super::{apply, diff};

    /// Like a metadata file: ids of snapshots come again in their children and in the log.
    fn metadata(snapshots: u64) -> Vec<u8> {
        let id = |number: u64| number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
        let list: Vec<String> = (0..snapshots)
            .map(|number| {
                format!(
                    r#"{{"sequence-number":{number},"snapshot-id":{},"parent-snapshot-id":{},"timestamp-ms":{},"summary":{{"operation":"append","total-records":"{number}"}},"manifest-list":"/var/lib/base/5/iceberg_16384/metadata/snap-{}-{:016x}.avro"}}"#,
                    id(number),
                    id(number.wrapping_sub(1)),
                    1_795_533_948_222 + number,
                    id(number),
                    id(number + 7),
                )
            })
            .collect();
        let log: Vec<String> = (0..snapshots)
            .map(|number| {
                let timestamp = 1_795_533_948_222 + number;
                format!(
                    r#"{{"timestamp-ms":{timestamp},"snapshot-id":{}}}"#,
                    id(number)
                )
            })
            .collect();
        let files: Vec<String> = (snapshots.saturating_sub(100)..snapshots)
            .map(|number| {
                let unique = id(number + 99);
                format!(r#"{{"metadata-file":"/var/lib/base/5/iceberg_16384/metadata/{number:05}-{unique:016x}.metadata.json"}}"#)
            })
            .collect();
        format!(
            r#"{{"last-sequence-number":{snapshots},"current-snapshot-id":{current},"refs":{{"main":{{"snapshot-id":{current}}}}},"snapshots":[{}],"snapshot-log":[{}],"metadata-log":[{}]}}"#,
            list.join(","),
            log.join(","),
            files.join(","),
            current = id(snapshots),
        )
        .into_bytes()
    }

    #[test]
    fn a_snapshot_more_takes_few_bytes() {
        for snapshots in [10, 99, 100, 1000, 5000] {
            let (base, new) = (metadata(snapshots), metadata(snapshots + 1));
            let edits = diff(&base, &new).expect("near equal");
            assert!(edits.len() < 1500, "{snapshots}: {}", edits.len());
            assert_eq!(apply(&base, &edits).expect("fits"), new);
        }
    }

    #[test]
    fn what_has_nothing_in_common_is_given_whole() {
        assert_eq!(diff(b"", &[7; 100]), None);
        assert_eq!(
            diff(
                &[1; 10_000],
                &(0..10_000).map(|n| (n * n % 251) as u8).collect::<Vec<_>>()
            ),
            None
        );
        assert_eq!(diff(b"abc", b""), None);
    }

    #[test]
    fn any_change_can_be_done_again_or_is_refused() {
        let base = metadata(300);
        for seed in 0..2000_usize {
            let mut new = base.clone();
            for step in 0..seed % 7 {
                let at = seed.wrapping_mul(7919).wrapping_add(step * 104_729) % new.len();
                match (seed + step) % 4 {
                    0 => new[at] = new[at].wrapping_add(1),
                    1 => new.insert(at, b'x'),
                    2 => drop(new.drain(at..(at + seed % 600).min(new.len()))),
                    _ => new.truncate(at.max(1)),
                }
            }
            if let Some(edits) = diff(&base, &new) {
                assert_eq!(apply(&base, &edits).as_deref(), Some(&*new), "seed {seed}");
            }
        }
    }

    #[test]
    fn edits_that_do_not_fit_are_refused() {
        assert_eq!(apply(b"abc", &[0, 2, 0, 0, 0, 2, 0, 0, 0]), None);
        assert_eq!(apply(b"abc", &[1, 9, 0, 0, 0, 1]), None);
        assert_eq!(apply(b"abc", &[2, 0, 0, 0, 0]), None);
        assert_eq!(
            apply(b"abc", &[0, 255, 255, 255, 255, 255, 255, 255, 255]),
            None
        );
    }
}
