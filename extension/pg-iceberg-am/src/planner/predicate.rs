//! WHERE clauses as Iceberg predicates.
//!
//! A predicate may let more rows through than its clause, never fewer: PostgreSQL checks the clause
//! again on every row. What cannot be said exactly is left out of a conjunction, and nowhere else.

use iceberg_lite::expr::{CompareOp, Literal, Predicate};
use iceberg_lite::spec::{PrimitiveType, Type};
use pgrx::{FromDatum, pg_sys};

use crate::bindings;
use crate::scan::TableView;

/// Microseconds between the epochs of Unix and PostgreSQL.
const EPOCH_DIFFERENCE_US: i64 = 946_684_800_000_000;
/// Days between the epochs of Unix and PostgreSQL.
const EPOCH_DIFFERENCE_DAYS: i32 = 10_957;
const US_PER_DAY: i64 = 86_400_000_000;

/// What is needed to read the clauses of one scan.
pub struct Clauses<'a> {
    /// The table's range table index.
    pub scanrelid: i32,
    /// The columns.
    pub view: &'a TableView,
    /// Values of the query's external parameters, or null.
    pub params: pg_sys::ParamListInfo,
}

/// A column that a clause compares.
struct ColumnRef<'a> {
    field_id: i32,
    field_type: &'a PrimitiveType,
    type_oid: pg_sys::Oid,
}

impl Clauses<'_> {
    /// The predicate of a list of clauses that must all hold; `None` if none of them can be said.
    ///
    /// # Safety
    ///
    /// `clauses` is a list of expressions over the scan's table, or NIL.
    pub unsafe fn conjunction(&self, clauses: *mut pg_sys::List) -> Option<Predicate> {
        // SAFETY: the caller's promise.
        let parts: Vec<_> = unsafe { nodes(clauses) }
            .into_iter()
            .filter_map(|clause| unsafe { self.translate(clause, true) })
            .collect();
        (!parts.is_empty()).then_some(Predicate::And(parts))
    }

    /// The predicate of `node`; with `weaker`, one that holds at least where `node` does.
    unsafe fn translate(&self, node: *mut pg_sys::Node, weaker: bool) -> Option<Predicate> {
        // SAFETY: nodes are cast to the types that their tags name.
        unsafe {
            match (*node).type_ {
                pg_sys::NodeTag::T_BoolExpr => self.boolean(node.cast(), weaker),
                pg_sys::NodeTag::T_OpExpr => self.comparison(node.cast()),
                pg_sys::NodeTag::T_ScalarArrayOpExpr => self.in_list(node.cast()),
                pg_sys::NodeTag::T_NullTest => {
                    let test = node.cast::<pg_sys::NullTest>();
                    let field_id = self.column((*test).arg.cast())?.field_id;
                    Some(match (*test).nulltesttype {
                        pg_sys::NullTestType::IS_NULL => Predicate::IsNull { field_id },
                        _ => Predicate::NotNull { field_id },
                    })
                }
                pg_sys::NodeTag::T_Var => {
                    let column = self.column(node)?;
                    matches!(column.field_type, PrimitiveType::Boolean).then_some(
                        Predicate::Compare {
                            field_id: column.field_id,
                            op: CompareOp::Eq,
                            value: Literal::Boolean(true),
                        },
                    )
                }
                _ => None,
            }
        }
    }

    unsafe fn boolean(&self, node: *mut pg_sys::BoolExpr, weaker: bool) -> Option<Predicate> {
        // SAFETY: a BoolExpr has a list of argument expressions.
        unsafe {
            let args = nodes((*node).args);
            match (*node).boolop {
                pg_sys::BoolExprType::AND_EXPR if weaker => self.conjunction((*node).args),
                pg_sys::BoolExprType::AND_EXPR => {
                    let parts = args.into_iter().map(|arg| self.translate(arg, false));
                    parts.collect::<Option<Vec<_>>>().map(Predicate::And)
                }
                pg_sys::BoolExprType::OR_EXPR => {
                    let parts = args.into_iter().map(|arg| self.translate(arg, weaker));
                    parts.collect::<Option<Vec<_>>>().map(Predicate::Or)
                }
                _ => {
                    let inner = self.translate(*args.first()?, false)?;
                    Some(Predicate::Not(Box::new(inner)))
                }
            }
        }
    }

    unsafe fn comparison(&self, node: *mut pg_sys::OpExpr) -> Option<Predicate> {
        // SAFETY: an OpExpr has a list of argument expressions.
        unsafe {
            let args = nodes((*node).args);
            let [left, right] = args.as_slice() else {
                return None;
            };
            let (column, constant, swapped) = match self.column(*left) {
                Some(column) => (column, *right, false),
                None => (self.column(*right)?, *left, true),
            };
            let op = self.operator((*node).opno, (*node).inputcollid, &column)?;
            let (value, type_oid) = self.constant(constant)?;
            Some(Predicate::Compare {
                field_id: column.field_id,
                op: if swapped { op.commute() } else { op },
                value: literal(&column, value, type_oid)?,
            })
        }
    }

    /// `column = ANY (array)`.
    unsafe fn in_list(&self, node: *mut pg_sys::ScalarArrayOpExpr) -> Option<Predicate> {
        // SAFETY: the node has two arguments, the second an array; the array is deconstructed as its
        // element type's storage says.
        unsafe {
            let args = nodes((*node).args);
            let [left, right] = args.as_slice() else {
                return None;
            };
            let column = self.column(*left)?;
            let op = self.operator((*node).opno, (*node).inputcollid, &column)?;
            if !(*node).useOr || op != CompareOp::Eq {
                return None;
            }
            let (array, array_type) = self.constant(*right)?;
            let element_type = pg_sys::get_element_type(array_type);
            if element_type == pg_sys::InvalidOid {
                return None;
            }
            let (mut length, mut by_value, mut align) = (0, false, 0);
            pg_sys::get_typlenbyvalalign(element_type, &mut length, &mut by_value, &mut align);
            let (mut elements, mut nulls, mut count) =
                (std::ptr::null_mut(), std::ptr::null_mut(), 0);
            pg_sys::deconstruct_array(
                pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast(),
                element_type,
                length.into(),
                by_value,
                align,
                &mut elements,
                &mut nulls,
                &mut count,
            );
            let values = (0..count as usize)
                // A NULL element makes no row match that did not match before.
                .filter(|&i| !*nulls.add(i))
                .map(|i| literal(&column, *elements.add(i), element_type))
                .collect::<Option<Vec<_>>>()?;
            Some(Predicate::In {
                field_id: column.field_id,
                values,
            })
        }
    }

    /// The column that `node` names, binary-compatible casts looked through.
    unsafe fn column(&self, node: *mut pg_sys::Node) -> Option<ColumnRef<'_>> {
        // SAFETY: nodes are cast to the types that their tags name.
        unsafe {
            if (*node).type_ == pg_sys::NodeTag::T_RelabelType {
                return self.column((*node.cast::<pg_sys::RelabelType>()).arg.cast());
            }
            if (*node).type_ != pg_sys::NodeTag::T_Var {
                return None;
            }
            let var = node.cast::<pg_sys::Var>();
            if (*var).varno != self.scanrelid || (*var).varlevelsup != 0 || (*var).varattno <= 0 {
                return None;
            }
            let attribute = (*var).varattno as usize - 1;
            let column = self
                .view
                .columns
                .columns
                .iter()
                .find(|column| column.attribute == attribute)?;
            let field = self.view.schema.fields.field_by_name(&column.name)?;
            let Type::Primitive(field_type) = &field.field_type else {
                return None;
            };
            Some(ColumnRef {
                field_id: field.id,
                field_type,
                type_oid: (*var).vartype,
            })
        }
    }

    /// The value and type of a constant or of an external parameter; `None` for NULL too.
    unsafe fn constant(&self, node: *mut pg_sys::Node) -> Option<(pg_sys::Datum, pg_sys::Oid)> {
        // SAFETY: nodes are cast to the types that their tags name; the parameter list has numParams
        // entries, and one with a fetch hook is left alone.
        unsafe {
            match (*node).type_ {
                pg_sys::NodeTag::T_RelabelType => {
                    self.constant((*node.cast::<pg_sys::RelabelType>()).arg.cast())
                }
                pg_sys::NodeTag::T_Const => {
                    let constant = node.cast::<pg_sys::Const>();
                    (!(*constant).constisnull)
                        .then_some(((*constant).constvalue, (*constant).consttype))
                }
                pg_sys::NodeTag::T_Param => {
                    let param = node.cast::<pg_sys::Param>();
                    if (*param).paramkind != pg_sys::ParamKind::PARAM_EXTERN
                        || self.params.is_null()
                        || (*self.params).paramFetch.is_some()
                        || (*param).paramid > (*self.params).numParams
                    {
                        return None;
                    }
                    let values = (*self.params).params.as_ptr();
                    let value = values.add((*param).paramid as usize - 1);
                    (!(*value).isnull && (*value).ptype == (*param).paramtype)
                        .then_some(((*value).value, (*value).ptype))
                }
                _ => None,
            }
        }
    }

    /// The comparison that an operator makes on the column, in the order that Iceberg has too.
    unsafe fn operator(
        &self,
        opno: pg_sys::Oid,
        collation: pg_sys::Oid,
        column: &ColumnRef<'_>,
    ) -> Option<CompareOp> {
        // SAFETY: look-ups in the system caches; the list holds OpBtreeInterpretation.
        unsafe {
            let base = pg_sys::getBaseType(column.type_oid);
            let compared = if base == pg_sys::VARCHAROID {
                pg_sys::TEXTOID
            } else {
                base
            };
            let class = pg_sys::GetDefaultOpClass(compared, pg_sys::BTREE_AM_OID);
            if class == pg_sys::InvalidOid {
                return None;
            }
            let family = pg_sys::get_opclass_family(class);
            let strategy = nodes(pg_sys::get_op_btree_interpretation(opno))
                .into_iter()
                .map(|node| node.cast::<pg_sys::OpBtreeInterpretation>())
                .find(|&meaning| (*meaning).opfamily_id == family)
                .map(|meaning| (*meaning).strategy as u32)?;
            let op = match strategy {
                pg_sys::BTLessStrategyNumber => CompareOp::Lt,
                pg_sys::BTLessEqualStrategyNumber => CompareOp::LtEq,
                pg_sys::BTEqualStrategyNumber => CompareOp::Eq,
                pg_sys::BTGreaterEqualStrategyNumber => CompareOp::GtEq,
                pg_sys::BTGreaterStrategyNumber => CompareOp::Gt,
                // ROWCOMPARE_NE, which get_op_btree_interpretation reports for a negator of "=".
                6 => CompareOp::NotEq,
                _ => return None,
            };
            // Only types whose values are kept in the order, or at least with the equality, that
            // PostgreSQL has. Not among them: text forms, char(n), whose trailing blanks do not count,
            // name, whose rest is padding, and jsonb.
            let is_kept_in_order = match compared {
                pg_sys::TEXTOID => match op {
                    CompareOp::Eq | CompareOp::NotEq => {
                        pg_sys::get_collation_isdeterministic(collation)
                    }
                    _ => bindings::lc_collate_is_c(collation),
                },
                pg_sys::BOOLOID
                | pg_sys::INT2OID
                | pg_sys::INT4OID
                | pg_sys::INT8OID
                | pg_sys::OIDOID
                | pg_sys::FLOAT4OID
                | pg_sys::FLOAT8OID
                | pg_sys::NUMERICOID
                | pg_sys::BYTEAOID
                | pg_sys::DATEOID
                | pg_sys::TIMEOID
                | pg_sys::TIMESTAMPOID
                | pg_sys::TIMESTAMPTZOID
                | pg_sys::UUIDOID => true,
                _ => false,
            };
            is_kept_in_order.then_some(op)
        }
    }
}

/// A constant as a value of the column's Iceberg type; `None` unless it is exactly one.
unsafe fn literal(
    column: &ColumnRef<'_>,
    value: pg_sys::Datum,
    type_oid: pg_sys::Oid,
) -> Option<Literal> {
    // SAFETY: the datum is a value of `type_oid` and not NULL, so each conversion reads what is there.
    unsafe {
        let integer = || match type_oid {
            pg_sys::INT2OID => i16::from_datum(value, false).map(i64::from),
            pg_sys::INT4OID => i32::from_datum(value, false).map(i64::from),
            pg_sys::INT8OID => i64::from_datum(value, false),
            pg_sys::OIDOID => pg_sys::Oid::from_datum(value, false).map(|oid| oid.to_u32().into()),
            _ => None,
        };
        match column.field_type {
            PrimitiveType::Boolean if type_oid == pg_sys::BOOLOID => {
                bool::from_datum(value, false).map(Literal::Boolean)
            }
            PrimitiveType::Int => i32::try_from(integer()?).ok().map(Literal::Int),
            PrimitiveType::Long => integer().map(Literal::Long),
            PrimitiveType::Float if type_oid == pg_sys::FLOAT4OID => {
                f32::from_datum(value, false).map(Literal::Float)
            }
            PrimitiveType::Double if type_oid == pg_sys::FLOAT8OID => {
                f64::from_datum(value, false).map(Literal::Double)
            }
            PrimitiveType::Decimal { precision, scale } if type_oid == pg_sys::NUMERICOID => {
                let text = pgrx::AnyNumeric::from_datum(value, false)?.to_string();
                decimal(&text, *precision, *scale)
            }
            PrimitiveType::Date => match type_oid {
                pg_sys::DATEOID => (value.value() as i32)
                    .checked_add(EPOCH_DIFFERENCE_DAYS)
                    .map(Literal::Date),
                pg_sys::TIMESTAMPOID => {
                    let us = unix_us(value)?;
                    let days = i32::try_from(us / US_PER_DAY).ok()?;
                    (us % US_PER_DAY == 0).then_some(Literal::Date(days))
                }
                _ => None,
            },
            PrimitiveType::Time if type_oid == pg_sys::TIMEOID => {
                Some(Literal::Time(value.value() as i64))
            }
            PrimitiveType::Timestamp if type_oid == pg_sys::TIMESTAMPOID => {
                unix_us(value).map(Literal::Timestamp)
            }
            PrimitiveType::Timestamptz if type_oid == pg_sys::TIMESTAMPTZOID => {
                unix_us(value).map(Literal::Timestamptz)
            }
            PrimitiveType::String if matches!(type_oid, pg_sys::TEXTOID | pg_sys::VARCHAROID) => {
                String::from_datum(value, false).map(Literal::String)
            }
            PrimitiveType::Binary if type_oid == pg_sys::BYTEAOID => {
                Vec::<u8>::from_datum(value, false).map(Literal::Binary)
            }
            PrimitiveType::Uuid if type_oid == pg_sys::UUIDOID => {
                pgrx::Uuid::from_datum(value, false)
                    .map(|uuid| Literal::Uuid(uuid::Uuid::from_bytes(*uuid.as_bytes())))
            }
            _ => None,
        }
    }
}

/// A finite timestamp in microseconds since the Unix epoch.
fn unix_us(value: pg_sys::Datum) -> Option<i64> {
    let us = value.value() as i64;
    if us == i64::MIN || us == i64::MAX {
        return None;
    }
    us.checked_add(EPOCH_DIFFERENCE_US)
}

/// A decimal number written out, as a value of `decimal(precision, scale)`, if it is exactly one.
fn decimal(text: &str, precision: u32, scale: u32) -> Option<Literal> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale as usize || whole.len() + scale as usize > 38 {
        return None;
    }
    let written: i128 = format!("{whole}{fraction}").parse().ok()?;
    let unscaled = written.checked_mul(10_i128.checked_pow(scale - fraction.len() as u32)?)?;
    Some(Literal::Decimal {
        unscaled: sign * unscaled,
        precision,
        scale,
    })
}

unsafe fn nodes(list: *mut pg_sys::List) -> Vec<*mut pg_sys::Node> {
    // SAFETY: the caller passes a list of nodes, or NIL, which is null.
    unsafe {
        let length = if list.is_null() { 0 } else { (*list).length };
        (0..length)
            .map(|index| pg_sys::list_nth(list, index).cast())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unscaled(text: &str, scale: u32) -> Option<i128> {
        match decimal(text, 15, scale)? {
            Literal::Decimal { unscaled, .. } => Some(unscaled),
            _ => None,
        }
    }

    #[test]
    fn decimals_are_taken_only_if_exact() {
        assert_eq!(unscaled("0.05", 2), Some(5));
        assert_eq!(unscaled("-12.5", 2), Some(-1250));
        assert_eq!(unscaled("24", 2), Some(2400));
        assert_eq!(unscaled("1.500", 1), Some(15));
        assert_eq!(unscaled("0.055", 2), None);
        assert_eq!(unscaled("NaN", 2), None);
        assert_eq!(unscaled("Infinity", 2), None);
    }
}
