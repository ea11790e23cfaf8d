//! What rows a reader wants.

use std::collections::BTreeSet;

use super::Literal;

/// A comparison between a column and a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    /// `<`
    Lt,
    /// `<=`
    LtEq,
    /// `>`
    Gt,
    /// `>=`
    GtEq,
    /// `=`
    Eq,
    /// `<>`
    NotEq,
}

impl CompareOp {
    /// The operator that is true exactly where this one is false (NULL stays NULL).
    pub fn negate(self) -> CompareOp {
        match self {
            CompareOp::Lt => CompareOp::GtEq,
            CompareOp::LtEq => CompareOp::Gt,
            CompareOp::Gt => CompareOp::LtEq,
            CompareOp::GtEq => CompareOp::Lt,
            CompareOp::Eq => CompareOp::NotEq,
            CompareOp::NotEq => CompareOp::Eq,
        }
    }

    /// The operator with its sides exchanged: `5 < x` is `x > 5`.
    pub fn commute(self) -> CompareOp {
        match self {
            CompareOp::Lt => CompareOp::Gt,
            CompareOp::LtEq => CompareOp::GtEq,
            CompareOp::Gt => CompareOp::Lt,
            CompareOp::GtEq => CompareOp::LtEq,
            CompareOp::Eq | CompareOp::NotEq => self,
        }
    }
}

/// A condition on a row, in SQL's three-valued logic.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// True of every row.
    AlwaysTrue,
    /// True of no row.
    AlwaysFalse,
    /// True if all parts are; of no parts, true.
    And(Vec<Predicate>),
    /// True if any part is; of no parts, false.
    Or(Vec<Predicate>),
    /// True where the other is false.
    Not(Box<Predicate>),
    /// The column, on the left, compared with a constant.
    Compare {
        /// A top-level column.
        field_id: i32,
        /// The comparison.
        op: CompareOp,
        /// The right side.
        value: Literal,
    },
    /// The column is equal to one of the constants.
    In {
        /// A top-level column.
        field_id: i32,
        /// The constants.
        values: Vec<Literal>,
    },
    /// The column is not NULL and equal to none of the constants; of no constants, true.
    NotIn {
        /// A top-level column.
        field_id: i32,
        /// The constants.
        values: Vec<Literal>,
    },
    /// The column is NULL.
    IsNull {
        /// A top-level column.
        field_id: i32,
    },
    /// The column is not NULL.
    NotNull {
        /// A top-level column.
        field_id: i32,
    },
}

impl Predicate {
    /// The ids of the columns the predicate looks at.
    pub fn field_ids(&self) -> BTreeSet<i32> {
        let mut ids = BTreeSet::new();
        self.collect_field_ids(&mut ids);
        ids
    }

    fn collect_field_ids(&self, ids: &mut BTreeSet<i32>) {
        match self {
            Predicate::AlwaysTrue | Predicate::AlwaysFalse => {}
            Predicate::And(parts) | Predicate::Or(parts) => {
                for part in parts {
                    part.collect_field_ids(ids);
                }
            }
            Predicate::Not(inner) => inner.collect_field_ids(ids),
            Predicate::Compare { field_id, .. }
            | Predicate::In { field_id, .. }
            | Predicate::NotIn { field_id, .. }
            | Predicate::IsNull { field_id }
            | Predicate::NotNull { field_id } => {
                ids.insert(*field_id);
            }
        }
    }

    /// An equivalent predicate without [`Predicate::Not`] and with constants folded.
    ///
    /// Negation moves down to the leaves by De Morgan's laws, which hold in three-valued logic.
    /// Without negation above it a leaf may be taken for false where it is NULL, and for true
    /// where it cannot be decided, and the whole still keeps every row that matches: what
    /// evaluates predicates relies on that.
    pub fn normalize(&self) -> Predicate {
        self.push_down(false)
    }

    fn push_down(&self, negated: bool) -> Predicate {
        match self {
            Predicate::AlwaysTrue if negated => Predicate::AlwaysFalse,
            Predicate::AlwaysFalse if negated => Predicate::AlwaysTrue,
            Predicate::AlwaysTrue | Predicate::AlwaysFalse => self.clone(),
            Predicate::Not(inner) => inner.push_down(!negated),
            Predicate::And(parts) | Predicate::Or(parts) => {
                let conjunction = matches!(self, Predicate::And(_)) != negated;
                combine(
                    conjunction,
                    parts.iter().map(|part| part.push_down(negated)),
                )
            }
            Predicate::Compare {
                field_id,
                op,
                value,
            } => Predicate::Compare {
                field_id: *field_id,
                op: if negated { op.negate() } else { *op },
                value: value.clone(),
            },
            Predicate::In { field_id, values } | Predicate::NotIn { field_id, values } => {
                let positive = matches!(self, Predicate::In { .. }) != negated;
                let (field_id, values) = (*field_id, values.clone());
                match (positive, values.is_empty()) {
                    (true, true) => Predicate::AlwaysFalse,
                    (false, true) => Predicate::AlwaysTrue,
                    (true, false) => Predicate::In { field_id, values },
                    (false, false) => Predicate::NotIn { field_id, values },
                }
            }
            Predicate::IsNull { field_id } | Predicate::NotNull { field_id } => {
                let field_id = *field_id;
                if matches!(self, Predicate::IsNull { .. }) != negated {
                    Predicate::IsNull { field_id }
                } else {
                    Predicate::NotNull { field_id }
                }
            }
        }
    }
}

/// Joins `parts` by AND or OR, flattening and folding constants.
fn combine(conjunction: bool, parts: impl Iterator<Item = Predicate>) -> Predicate {
    let (neutral, absorbing) = if conjunction {
        (Predicate::AlwaysTrue, Predicate::AlwaysFalse)
    } else {
        (Predicate::AlwaysFalse, Predicate::AlwaysTrue)
    };
    let mut kept = Vec::new();
    for part in parts {
        match part {
            part if part == absorbing => return absorbing,
            part if part == neutral => {}
            Predicate::And(inner) if conjunction => kept.extend(inner),
            Predicate::Or(inner) if !conjunction => kept.extend(inner),
            part => kept.push(part),
        }
    }
    match kept.len() {
        0 => neutral,
        1 => kept.remove(0),
        _ if conjunction => Predicate::And(kept),
        _ => Predicate::Or(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(field_id: i32, op: CompareOp) -> Predicate {
        Predicate::Compare {
            field_id,
            op,
            value: Literal::Int(1),
        }
    }

    #[test]
    fn normalize_moves_negation_to_the_leaves() {
        let predicate = Predicate::Not(Box::new(Predicate::And(vec![
            compare(1, CompareOp::Lt),
            Predicate::Not(Box::new(Predicate::Or(vec![
                compare(2, CompareOp::Eq),
                Predicate::IsNull { field_id: 3 },
            ]))),
        ])));
        assert_eq!(
            predicate.normalize(),
            Predicate::Or(vec![
                compare(1, CompareOp::GtEq),
                compare(2, CompareOp::Eq),
                Predicate::IsNull { field_id: 3 },
            ])
        );
    }

    #[test]
    fn normalize_folds_constants_and_empty_lists() {
        let empty = Predicate::In {
            field_id: 1,
            values: vec![],
        };
        assert_eq!(empty.normalize(), Predicate::AlwaysFalse);
        assert_eq!(
            Predicate::Not(Box::new(empty)).normalize(),
            Predicate::AlwaysTrue
        );
        assert_eq!(
            Predicate::And(vec![Predicate::AlwaysTrue, compare(1, CompareOp::Lt)]).normalize(),
            compare(1, CompareOp::Lt)
        );
        assert_eq!(Predicate::And(vec![]).normalize(), Predicate::AlwaysTrue);
        assert_eq!(Predicate::Or(vec![]).normalize(), Predicate::AlwaysFalse);
    }

    #[test]
    fn field_ids_are_collected_from_every_level() {
        let predicate = Predicate::And(vec![
            compare(4, CompareOp::Lt),
            Predicate::Not(Box::new(Predicate::NotNull { field_id: 2 })),
        ]);
        assert_eq!(
            predicate.field_ids().into_iter().collect::<Vec<_>>(),
            [2, 4]
        );
    }
}
