//! Predicates as people read them: in the manner of SQL.

use std::fmt::{self, Display as _};

use super::{CompareOp, Literal, Predicate};

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// A predicate as text: see [`Predicate::display`].
pub struct DisplayPredicate<'a, N> {
    predicate: &'a Predicate,
    name: &'a N,
}

impl Predicate {
    /// The predicate in the manner of SQL, with the name that `name` has for each column.
    pub fn display<'a, N: Fn(i32) -> String>(&'a self, name: &'a N) -> DisplayPredicate<'a, N> {
        DisplayPredicate {
            predicate: self,
            name,
        }
    }
}

impl<N: Fn(i32) -> String> DisplayPredicate<'_, N> {
    fn list<T>(
        f: &mut fmt::Formatter<'_>,
        separator: &str,
        parts: &[T],
        write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
    ) -> fmt::Result {
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                f.write_str(separator)?;
            }
            write(f, part)?;
        }
        Ok(())
    }

    fn part(&self, f: &mut fmt::Formatter<'_>, part: &Predicate) -> fmt::Result {
        let inner = part.display(self.name);
        match part {
            Predicate::And(parts) | Predicate::Or(parts) if !parts.is_empty() => {
                write!(f, "({inner})")
            }
            _ => inner.fmt(f),
        }
    }

    fn in_list(
        &self,
        f: &mut fmt::Formatter<'_>,
        field_id: i32,
        operator: &str,
        values: &[Literal],
    ) -> fmt::Result {
        write!(f, "{} {operator} (", (self.name)(field_id))?;
        Self::list(f, ", ", values, literal)?;
        f.write_str(")")
    }
}

impl<N: Fn(i32) -> String> fmt::Display for DisplayPredicate<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.predicate {
            Predicate::AlwaysTrue => f.write_str("true"),
            Predicate::AlwaysFalse => f.write_str("false"),
            Predicate::And(parts) if parts.is_empty() => f.write_str("true"),
            Predicate::Or(parts) if parts.is_empty() => f.write_str("false"),
            Predicate::And(parts) => Self::list(f, " AND ", parts, |f, part| self.part(f, part)),
            Predicate::Or(parts) => Self::list(f, " OR ", parts, |f, part| self.part(f, part)),
            Predicate::Not(inner) => write!(f, "NOT ({})", inner.display(self.name)),
            Predicate::Compare {
                field_id,
                op,
                value,
            } => {
                write!(f, "{} {} ", (self.name)(*field_id), operator(*op))?;
                literal(f, value)
            }
            Predicate::In { field_id, values } => self.in_list(f, *field_id, "IN", values),
            Predicate::NotIn { field_id, values } => self.in_list(f, *field_id, "NOT IN", values),
            Predicate::IsNull { field_id } => write!(f, "{} IS NULL", (self.name)(*field_id)),
            Predicate::NotNull { field_id } => write!(f, "{} IS NOT NULL", (self.name)(*field_id)),
        }
    }
}

fn operator(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Lt => "<",
        CompareOp::LtEq => "<=",
        CompareOp::Gt => ">",
        CompareOp::GtEq => ">=",
        CompareOp::Eq => "=",
        CompareOp::NotEq => "<>",
    }
}

fn literal(f: &mut fmt::Formatter<'_>, value: &Literal) -> fmt::Result {
    match value {
        Literal::Boolean(value) => value.fmt(f),
        Literal::Int(value) => value.fmt(f),
        Literal::Long(value) => value.fmt(f),
        Literal::Float(value) => float(f, f64::from(*value), value),
        Literal::Double(value) => float(f, *value, value),
        Literal::Decimal {
            unscaled, scale, ..
        } => decimal(f, *unscaled, *scale as usize),
        Literal::Date(days) => {
            f.write_str("'")?;
            date(f, i64::from(*days))?;
            f.write_str("'")
        }
        Literal::Time(us) => {
            f.write_str("'")?;
            time(f, us * 1000, 6)?;
            f.write_str("'")
        }
        Literal::Timestamp(us) => timestamp(f, i128::from(*us) * 1000, 6, ""),
        Literal::Timestamptz(us) => timestamp(f, i128::from(*us) * 1000, 6, "+00"),
        Literal::TimestampNs(ns) => timestamp(f, i128::from(*ns), 9, ""),
        Literal::TimestamptzNs(ns) => timestamp(f, i128::from(*ns), 9, "+00"),
        Literal::String(value) => write!(f, "'{}'", value.replace('\'', "''")),
        Literal::Uuid(value) => write!(f, "'{value}'"),
        Literal::Fixed(bytes) | Literal::Binary(bytes) => {
            f.write_str("'\\x")?;
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str("'")
        }
    }
}

fn float(f: &mut fmt::Formatter<'_>, value: f64, shortest: &dyn fmt::Debug) -> fmt::Result {
    if value.is_finite() {
        write!(f, "{shortest:?}")
    } else if value.is_nan() {
        f.write_str("'NaN'")
    } else {
        write!(f, "'{}Infinity'", if value < 0.0 { "-" } else { "" })
    }
}

fn decimal(f: &mut fmt::Formatter<'_>, unscaled: i128, scale: usize) -> fmt::Result {
    let sign = if unscaled < 0 { "-" } else { "" };
    // At least one digit stands before the point.
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    write!(f, "{sign}{whole}")?;
    if scale > 0 {
        write!(f, ".{fraction}")?;
    }
    Ok(())
}

/// A day of the proleptic Gregorian calendar, counted from 1970-01-01; years before 1 in the manner of
/// ISO 8601, with a sign.
fn date(f: &mut fmt::Formatter<'_>, days: i64) -> fmt::Result {
    // Years of 400 are alike, and each is counted from the first of March, so that a leap day is the last.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    let sign = if year < 0 { "-" } else { "" };
    write!(f, "{sign}{:04}-{month:02}-{day:02}", year.abs())
}

/// A time of day, with a fraction of up to `places` digits where it has one.
fn time(f: &mut fmt::Formatter<'_>, nanoseconds: i64, places: usize) -> fmt::Result {
    let (seconds, fraction) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(f, "{hour:02}:{minute:02}:{second:02}")?;
    if fraction > 0 {
        let fraction = format!("{fraction:09}");
        write!(f, ".{}", fraction[..places].trim_end_matches('0'))?;
    }
    Ok(())
}

fn timestamp(
    f: &mut fmt::Formatter<'_>,
    nanoseconds: i128,
    places: usize,
    zone: &str,
) -> fmt::Result {
    let day = i128::from(MICROSECONDS_PER_DAY) * 1000;
    f.write_str("'")?;
    date(
        f,
        i64::try_from(nanoseconds.div_euclid(day)).unwrap_or_default(),
    )?;
    f.write_str(" ")?;
    time(
        f,
        i64::try_from(nanoseconds.rem_euclid(day)).unwrap_or_default(),
        places,
    )?;
    write!(f, "{zone}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(predicate: &Predicate) -> String {
        predicate.display(&|id| format!("c{id}")).to_string()
    }

    fn equal(value: Literal) -> String {
        let predicate = Predicate::Compare {
            field_id: 1,
            op: CompareOp::Eq,
            value,
        };
        text(&predicate)
    }

    #[test]
    fn conditions_read_as_in_sql() {
        let (one, two) = (Literal::Int(1), Literal::Int(2));
        let values = vec![one.clone(), two];
        let predicate = Predicate::And(vec![
            Predicate::Compare {
                field_id: 1,
                op: CompareOp::LtEq,
                value: one,
            },
            Predicate::Or(vec![
                Predicate::IsNull { field_id: 2 },
                Predicate::NotIn {
                    field_id: 3,
                    values: values.clone(),
                },
                Predicate::Not(Box::new(Predicate::In {
                    field_id: 3,
                    values,
                })),
                Predicate::NotNull { field_id: 4 },
            ]),
            Predicate::And(vec![]),
            Predicate::Or(vec![]),
        ]);
        assert_eq!(
            text(&predicate),
            "c1 <= 1 AND (c2 IS NULL OR c3 NOT IN (1, 2) OR NOT (c3 IN (1, 2)) OR c4 IS NOT NULL) \
             AND true AND false"
        );
    }

    #[test]
    fn constants_read_as_postgresql_prints_them() {
        let decimal = |unscaled, scale| Literal::Decimal {
            unscaled,
            precision: 38,
            scale,
        };
        for (value, expected) in [
            (Literal::Boolean(true), "true"),
            (Literal::Double(1.5), "1.5"),
            (Literal::Float(0.1), "0.1"),
            (Literal::Float(f32::NAN), "'NaN'"),
            (Literal::Double(f64::NEG_INFINITY), "'-Infinity'"),
            (decimal(-5, 2), "-0.05"),
            (decimal(12345, 2), "123.45"),
            (decimal(7, 0), "7"),
            (Literal::String("it's".into()), "'it''s'"),
            (Literal::Binary(vec![0, 255]), "'\\x00ff'"),
            (Literal::Date(0), "'1970-01-01'"),
            (Literal::Date(-1), "'1969-12-31'"),
            (Literal::Date(19_782), "'2024-02-29'"),
            (Literal::Date(-719_528), "'0000-01-01'"),
            (Literal::Time(1_500_000), "'00:00:01.5'"),
            (Literal::Timestamp(-1), "'1969-12-31 23:59:59.999999'"),
            (Literal::Timestamptz(0), "'1970-01-01 00:00:00+00'"),
            (
                Literal::TimestampNs(1_000_000_001),
                "'1970-01-01 00:00:01.000000001'",
            ),
        ] {
            assert_eq!(equal(value), format!("c1 = {expected}"));
        }
    }
}
