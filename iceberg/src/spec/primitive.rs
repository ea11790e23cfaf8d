//! Primitive types and their names in metadata.

use std::fmt;
use std::str::FromStr;

/// A type without fields of its own: section "Primitive Types" of the specification, v1 to v3.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PrimitiveType {
    /// `boolean`
    Boolean,
    /// `int`, 32 bits
    Int,
    /// `long`, 64 bits
    Long,
    /// `float`, IEEE 754, 32 bits
    Float,
    /// `double`, IEEE 754, 64 bits
    Double,
    /// `decimal(P,S)`
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u32,
        /// Digits after the point, at most `precision`.
        scale: u32,
    },
    /// `date`, days from 1970-01-01
    Date,
    /// `time`, microseconds from midnight
    Time,
    /// `timestamp`, microseconds from 1970-01-01 without zone
    Timestamp,
    /// `timestamptz`, microseconds from 1970-01-01 UTC
    Timestamptz,
    /// `timestamp_ns` (v3)
    TimestampNs,
    /// `timestamptz_ns` (v3)
    TimestamptzNs,
    /// `string`, UTF-8
    String,
    /// `uuid`
    Uuid,
    /// `fixed[L]`
    Fixed(u64),
    /// `binary`
    Binary,
    /// `unknown` (v3): always null
    Unknown,
    /// `variant` (v3)
    Variant,
    /// `geometry` or `geometry(C)` (v3), the whole text
    Geometry(String),
    /// `geography` or `geography(C, A)` (v3), the whole text
    Geography(String),
    /// A type that this library does not know, as written
    Other(String),
}

/// The largest precision of a decimal.
pub const MAX_DECIMAL_PRECISION: u32 = 38;

impl PrimitiveType {
    /// Whether a column of this type may become one of type `other`, files staying as they are (specification, section
    /// "Schema Evolution"), or is one already.
    pub fn may_become(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int, Self::Long) | (Self::Float, Self::Double) => true,
            (
                Self::Decimal { precision, scale },
                Self::Decimal {
                    precision: wider,
                    scale: same,
                },
            ) => precision <= wider && scale == same,
            _ => self == other,
        }
    }
}

impl fmt::Display for PrimitiveType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Decimal { precision, scale } => {
                return write!(f, "decimal({precision}, {scale})");
            }
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::Timestamptz => "timestamptz",
            Self::TimestampNs => "timestamp_ns",
            Self::TimestamptzNs => "timestamptz_ns",
            Self::String => "string",
            Self::Uuid => "uuid",
            Self::Fixed(length) => return write!(f, "fixed[{length}]"),
            Self::Binary => "binary",
            Self::Unknown => "unknown",
            Self::Variant => "variant",
            Self::Geometry(text) | Self::Geography(text) | Self::Other(text) => text,
        })
    }
}

/// Reads a type's name; the error is a sentence for the user.
impl FromStr for PrimitiveType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "date" => Self::Date,
            "time" => Self::Time,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::Timestamptz,
            "timestamp_ns" => Self::TimestampNs,
            "timestamptz_ns" => Self::TimestamptzNs,
            "string" => Self::String,
            "uuid" => Self::Uuid,
            "binary" => Self::Binary,
            "unknown" => Self::Unknown,
            "variant" => Self::Variant,
            _ => return parse_with_arguments(text),
        })
    }
}

fn parse_with_arguments(text: &str) -> Result<PrimitiveType, String> {
    if let Some(arguments) = text
        .strip_prefix("decimal(")
        .and_then(|t| t.strip_suffix(')'))
    {
        let bad = || format!("\"{text}\" is not of the form decimal(precision, scale)");
        let (precision, scale) = arguments.split_once(',').ok_or_else(bad)?;
        let precision = precision.trim().parse().map_err(|_| bad())?;
        let scale = scale.trim().parse().map_err(|_| bad())?;
        if precision == 0 || precision > MAX_DECIMAL_PRECISION || scale > precision {
            return Err(format!("\"{text}\" has a precision or scale out of range"));
        }
        return Ok(PrimitiveType::Decimal { precision, scale });
    }
    if let Some(length) = text
        .strip_prefix("fixed[")
        .and_then(|t| t.strip_suffix(']'))
    {
        return match length.trim().parse() {
            Ok(length) => Ok(PrimitiveType::Fixed(length)),
            Err(_) => Err(format!("\"{text}\" is not of the form fixed[length]")),
        };
    }
    let named = |name: &str| {
        text.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('('))
    };
    if text.is_empty() {
        Err("a type's name is empty".to_owned())
    } else if named("geometry") {
        Ok(PrimitiveType::Geometry(text.to_owned()))
    } else if named("geography") {
        Ok(PrimitiveType::Geography(text.to_owned()))
    } else {
        Ok(PrimitiveType::Other(text.to_owned()))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_written() {
        for name in [
            "boolean",
            "int",
            "long",
            "float",
            "double",
            "decimal(9, 2)",
            "decimal(38, 0)",
            "date",
            "time",
            "timestamp",
            "timestamptz",
            "timestamp_ns",
            "timestamptz_ns",
            "string",
            "uuid",
            "fixed[16]",
            "binary",
            "unknown",
            "variant",
            "geometry",
            "geometry(srid:4326)",
            "geography(srid:4326, karney)",
            "hyperlog(7)",
        ] {
            assert_eq!(name.parse::<PrimitiveType>().unwrap().to_string(), name);
        }
        let compact: PrimitiveType = "decimal(9,2)".parse().unwrap();
        assert_eq!(
            compact,
            PrimitiveType::Decimal {
                precision: 9,
                scale: 2
            }
        );
        assert!(matches!(
            "hyperlog(7)".parse().unwrap(),
            PrimitiveType::Other(_)
        ));
    }

    #[test]
    fn impossible_arguments_are_refused() {
        for name in [
            "decimal(0,0)",
            "decimal(39,2)",
            "decimal(5,6)",
            "decimal(5)",
            "fixed[-1]",
            "",
        ] {
            assert!(name.parse::<PrimitiveType>().is_err(), "{name}");
        }
    }
}
