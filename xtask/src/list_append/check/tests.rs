//! Histories by hand: each anomaly is found by its name, and what a level allows is not.

use super::anomaly::Kind;
use super::{Findings, check, notation};

fn findings(text: &str) -> Findings {
    check(&mut notation::history(text))
}

/// The kinds of a history's anomalies.
fn kinds(text: &str) -> Vec<Kind> {
    let found = findings(text).anomalies;
    found.iter().map(|anomaly| anomaly.kind).collect()
}

#[test]
fn a_clean_history_passes_at_every_level() {
    for level in ["rc", "rr", "ser"] {
        let text = format!(
            "1 {level} read a.1= b.2=
             1 append a.1+10
             2 {level} read a.1= b.2=
             1 append b.2+11=11
             2 commit
             1 read a.1=10 b.2=11
             1 commit
             3 {level} append a.1+12=10,12
             3 commit
             4 {level} last a.1=10,12 b.2=11"
        );
        let found = findings(&text);
        assert!(found.anomalies.is_empty(), "{level}: {found:?}");
        assert_eq!(found.overwritten, 2);
    }
}

#[test]
fn lists_that_are_no_beginnings_of_one_another_are_found() {
    let text = "1 rc append a.1+10
                2 rc append a.1+11
                1 commit
                2 commit
                3 rc read a.1=10,11
                4 rc read a.1=11";
    assert!(kinds(text).contains(&Kind::IncompatibleOrder));
}

#[test]
fn an_update_that_wrote_over_another_is_found_at_read_committed_too() {
    // Each returned what it made of the row; one of them is gone.
    let text = "1 rc append a.1+10=10
                2 rc append a.1+11=11
                1 commit
                2 commit
                3 rc last a.1=11";
    let kinds = kinds(text);
    assert!(kinds.contains(&Kind::IncompatibleOrder));
    assert!(kinds.contains(&Kind::LostAppend));
}

#[test]
fn what_was_committed_and_is_gone_is_found() {
    let text = "1 rc append a.1+10
                1 commit
                2 rr last a.1=";
    assert!(kinds(text).contains(&Kind::LostAppend));
}

#[test]
fn a_commit_without_an_answer_counts_if_somebody_has_read_it_and_then_altogether() {
    let all = "1 rc append a.1+10
               1 append b.1+11
               1 lost
               2 rr last a.1=10 b.1=11";
    assert_eq!(kinds(all), []);
    assert_eq!(kinds(&all.replace("=10", "=").replace("=11", "=")), []);
    assert!(kinds(&all.replace("=11", "=")).contains(&Kind::LostAppend));
}

#[test]
fn an_element_twice_and_one_of_nobody_are_found() {
    let text = "1 rc append a.1+10
                1 commit
                2 rc read a.1=10,10
                3 rc read a.2=77";
    assert_eq!(kinds(text), [Kind::DoubleElement, Kind::UnknownElement]);
}

#[test]
fn a_row_that_is_missing_or_there_twice_is_found() {
    assert_eq!(kinds("1 rr read a.1"), [Kind::MissingRow]);
    assert_eq!(kinds("1 rr miss a.4+10"), [Kind::MissingRow]);
    assert_eq!(kinds("1 rc miss a.1+10"), [Kind::MissingRow]);
    // It may have been deleted while the statement waited, and be there again, unless the transaction has locked it.
    assert_eq!(kinds("1 rc miss a.4+10"), []);
    assert_eq!(kinds("1 rc lock a.4=\n1 miss a.4+10"), [Kind::MissingRow]);
    assert_eq!(
        kinds("1 rr read a.1= a.1="),
        [Kind::DoubleRow, Kind::DoubleRow]
    );
}

#[test]
fn g1a_reads_of_what_was_rolled_back() {
    let text = "1 rc append a.1+10
                2 rc read a.1=10
                1 abort
                2 commit";
    assert_eq!(kinds(text), [Kind::G1a]);
    let savepoint = "1 rc savepoint
                     1 append a.1+10
                     1 back
                     1 commit
                     2 rc read a.1=10";
    assert_eq!(kinds(savepoint), [Kind::G1a]);
    let own = "1 rc savepoint
               1 append a.1+10
               1 back
               1 read a.1=10
               1 commit";
    assert_eq!(kinds(own), [Kind::G1a]);
    let failed = "1 rc savepoint
                  1 fail a.1+10
                  1 back
                  1 commit
                  2 rc read a.1=10";
    assert_eq!(kinds(failed), [Kind::G1a]);
    let released = "1 rc savepoint
                    1 append a.1+10
                    1 release
                    1 read a.1=10
                    1 commit
                    2 rc read a.1=10";
    assert_eq!(kinds(released), []);
}

#[test]
fn g1b_reads_of_what_was_not_the_last_version() {
    let text = "1 rc append a.1+10
                2 rc read a.1=10
                1 append a.1+11
                1 commit
                2 commit
                3 rc read a.1=10,11";
    assert!(kinds(text).contains(&Kind::G1b));
}

#[test]
fn internal_inconsistencies_are_found() {
    let own = "1 rc append a.1+10
               1 read a.1=
               1 commit";
    assert_eq!(kinds(own), [Kind::Internal]);
    let again = "1 LEVEL read a.1=
                 2 rc append a.1+10
                 2 commit
                 1 read a.1=10
                 1 commit";
    assert!(kinds(&again.replace("LEVEL", "rr")).contains(&Kind::Internal));
    assert_eq!(kinds(&again.replace("LEVEL", "rc")), []);
    // Nobody may change what is locked.
    let locked = again.replace("LEVEL read", "rc lock");
    assert!(kinds(&locked).contains(&Kind::Internal));
    let released = "1 rc savepoint
                    1 lock a.1=
                    1 back
                    2 rc append a.1+10
                    2 commit
                    1 read a.1=10
                    1 commit";
    assert_eq!(kinds(released), []);
}

#[test]
fn g0_writes_in_two_orders() {
    for level in ["rc", "rr", "ser"] {
        let text = format!(
            "1 {level} append a.1+10
             2 {level} append a.1+20
             2 append a.2+21
             1 append a.2+11
             1 commit
             2 commit
             3 rr last a.1=10,20 a.2=21,11"
        );
        assert!(kinds(&text).contains(&Kind::G0), "{level}");
    }
}

#[test]
fn g1c_each_has_read_what_the_other_wrote() {
    for level in ["rc", "rr", "ser"] {
        let text = format!(
            "1 {level} append a.1+10
             2 {level} append b.1+20
             1 read b.1=20
             2 read a.1=10
             1 commit
             2 commit"
        );
        assert!(kinds(&text).contains(&Kind::G1c), "{level}");
    }
}

/// One reads a row of the time before the other's commit, and a row of the time after.
const READ_SKEW: &str = "1 LEVEL read a.1=
                         2 rc append a.1+20
                         2 append a.2+21
                         2 commit
                         1 read a.2=21
                         1 commit
                         3 rr read a.1=20";

#[test]
fn read_skew_is_allowed_at_read_committed_between_statements_only() {
    assert_eq!(kinds(&READ_SKEW.replace("LEVEL", "rr")), [Kind::GSingle]);
    let serializable = kinds(&READ_SKEW.replace("LEVEL", "ser"));
    assert_eq!(serializable, [Kind::GSingle]);
    assert_eq!(kinds(&READ_SKEW.replace("LEVEL", "rc")), []);
    let one_statement = "2 rc append a.1+20
                         2 append a.2+21
                         1 rc read a.1= a.2=21
                         2 commit
                         1 commit
                         3 rr read a.1=20";
    assert!(kinds(one_statement).contains(&Kind::GSingle));
    // Rows that are locked are the latest ones, each by itself.
    let locked = one_statement.replace("rc read", "rc lock");
    assert!(!kinds(&locked).contains(&Kind::GSingle));
}

#[test]
fn read_skew_of_a_transaction_that_is_rolled_back_is_found() {
    let text = READ_SKEW
        .replace("LEVEL", "rr")
        .replace("1 commit", "1 abort");
    assert_eq!(kinds(&text), [Kind::GSingle]);
}

#[test]
fn lost_updates_are_allowed_at_read_committed_only() {
    let text = "1 LEVEL read a.1=
                2 LEVEL read a.1=
                1 append a.1+10
                1 commit
                2 append a.1+20
                2 commit
                3 rr last a.1=10,20";
    assert_eq!(kinds(&text.replace("LEVEL", "rc")), []);
    assert_eq!(kinds(&text.replace("LEVEL", "rr")), [Kind::LostUpdate]);
    assert!(kinds(&text.replace("LEVEL", "ser")).contains(&Kind::LostUpdate));
}

#[test]
fn snapshots_in_two_orders_are_found() {
    // Long fork: two readers see two writers in opposite orders.
    let text = "1 rc append a.1+10
                2 rc append b.1+20
                3 rr read a.1= b.1=20
                4 rr read a.1=10 b.1=
                1 commit
                2 commit
                3 commit
                4 commit
                5 rr last a.1=10 b.1=20";
    let found = kinds(text);
    assert!(found.contains(&Kind::GNonadjacent), "{found:?}");
}

/// Each reads what the other writes.
const WRITE_SKEW: &str = "1 ONE read a.1= a.2=
                          2 OTHER read a.1= a.2=
                          1 append a.1+10
                          2 append a.2+20
                          1 commit
                          2 commit
                          3 rr last a.1=10 a.2=20";

#[test]
fn g2_is_forbidden_among_serializable_transactions_only() {
    let of =
        |one: &str, other: &str| kinds(&WRITE_SKEW.replace("ONE", one).replace("OTHER", other));
    assert_eq!(of("ser", "ser"), [Kind::G2]);
    assert_eq!(of("ser", "rr"), []);
    assert_eq!(of("rr", "rr"), []);
    assert_eq!(of("rc", "ser"), []);
}

#[test]
fn the_read_only_anomaly_is_found() {
    // Fekete, O'Neil and O'Neil: the reader sees the second without the first, which misses the second.
    let text = "1 ser read a.1= a.2=
                2 ser read a.2=
                2 append a.2+20
                2 commit
                3 ser read a.1= a.2=20
                3 commit
                1 append a.1+10
                1 commit
                4 ser last a.1=10 a.2=20";
    assert_eq!(kinds(text), [Kind::G2]);
    // Without the reader, the first is before the second.
    let lines = text.lines().filter(|line| !line.trim().starts_with('3'));
    assert_eq!(kinds(&lines.collect::<Vec<_>>().join("\n")), []);
}

#[test]
fn what_was_answered_before_is_seen() {
    for level in ["rc", "rr", "ser"] {
        let text = format!(
            "1 {level} append a.1+10
             1 commit
             2 {level} read a.1=
             2 commit
             3 {level} last a.1=10"
        );
        let found = findings(&text).anomalies;
        assert!(!found.is_empty(), "{level}");
        assert!(found.iter().all(|anomaly| anomaly.needs_real_time));
        assert!(found.iter().any(|anomaly| anomaly.kind == Kind::GSingle));
    }
}

#[test]
fn nothing_is_read_before_its_commit_is_sent() {
    let text = "1 rc append a.1+10
                2 rc read a.1=10
                2 commit
                1 commit";
    let found = findings(text).anomalies;
    assert_eq!(found.len(), 1);
    assert!(found[0].needs_real_time && found[0].kind == Kind::EarlyRead);
}

#[test]
fn the_first_committer_has_to_win() {
    let text = "1 LEVEL read b.1=
                2 rc append a.1+20
                2 commit
                1 append a.1+10
                1 commit
                3 rr last a.1=20,10";
    assert_eq!(kinds(&text.replace("LEVEL", "rr")), [Kind::EarlyWrite]);
    assert_eq!(kinds(&text.replace("LEVEL", "rc")), []);
}

#[test]
fn a_report_names_transactions_with_their_statements() {
    let mut history = notation::history(&READ_SKEW.replace("LEVEL", "rr"));
    let found = check(&mut history);
    let report = found.anomalies[0].report(&history);
    for wanted in [
        "G-single (read skew): ",
        "T0 has read a.1 without 20, which T1 appended",
        "T0 has read 21 in a.2, which T1 appended",
        "  T0, session 0, REPEATABLE READ, committed\n",
        "1 read a.2=21\n",
        "-> a.2 [21]",
    ] {
        assert!(report.contains(wanted), "{wanted} in:\n{report}");
    }
}
