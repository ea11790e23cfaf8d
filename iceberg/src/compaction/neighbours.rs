//! Merging files with their neighbours, so that rows stay in their order.
//!
//! Neighbours are merged if what comes of it is in a higher tier than each of them: so a row is written again once a
//! tier at the most, as when files of a tier are merged wherever they are. How few files that leaves depends on how
//! large and small ones follow one another, which is why it is not all that is done.

use super::plan::{Candidate, CompactionGroup, CompactionRules, Extent, chunks, group};

/// Merges small files that nothing stands between. Returns those that are left.
pub(super) fn merge_neighbours(
    run: Vec<Candidate>,
    rules: &CompactionRules,
    groups: &mut Vec<CompactionGroup>,
) -> Vec<Candidate> {
    let tier_of = |file: &Candidate| rules.tier(file.live_rows);
    let highest = run.iter().map(tier_of).max().unwrap_or(0);
    let mut run: Vec<Option<Candidate>> = run.into_iter().map(Some).collect();
    let lowest = match rules.extent {
        Extent::FullTiers => 0,
        Extent::Everything => highest,
    };
    for tier in lowest..=highest {
        let is_wanted = |file: &Option<Candidate>| file.is_some_and(|file| tier_of(&file) <= tier);
        for stretch in run.chunk_by_mut(|a, b| is_wanted(a) == is_wanted(b)) {
            if !stretch.first().is_some_and(is_wanted) {
                continue;
            }
            let files: Vec<Candidate> = stretch.iter().copied().flatten().collect();
            let mut start = 0;
            for (chunk, is_cut) in chunks(&files, rules) {
                let merged = group(chunk, rules);
                let is_enough = match rules.extent {
                    Extent::Everything => true,
                    Extent::FullTiers => {
                        let is_risen = rules.tier(merged.rows) > tier;
                        chunk.len() >= rules.fan_in().div_ceil(2) && (is_risen || is_cut)
                    }
                };
                if is_enough && merged.outputs < chunk.len() {
                    groups.push(merged);
                    stretch[start..start + chunk.len()].fill(None);
                }
                start += chunk.len();
            }
        }
    }
    run.into_iter().flatten().collect()
}
