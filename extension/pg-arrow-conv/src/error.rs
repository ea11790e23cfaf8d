//! What can be refused, and how it is reported: SQLSTATE, message, detail and hint.

use crate::types::MAX_NESTING;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use pgrx::PgSqlErrorCode;
use thiserror::Error;

/// A type or a value that has no exact counterpart on the other side.
///
/// `Display` is the primary message; [`sqlstate`](Self::sqlstate), [`detail`](Self::detail) and
/// [`hint`](Self::hint) are the rest of the report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConvError {
    /// The column's type cannot be kept.
    #[error("column \"{column}\" has type {type_name}, which is not supported")]
    UnsupportedType {
        /// Column as the caller named it; fields of composites follow after a dot.
        column: String,
        /// The type as `format_type` prints it.
        type_name: String,
        /// What to use instead.
        hint: String,
    },
    /// The column's type has arrays and composite types inside of one another that are too many.
    #[error(
        "column \"{column}\" has arrays and composite types nested more than {MAX_NESTING} levels deep"
    )]
    NestedTooDeep {
        /// Column as the caller named it.
        column: String,
    },
    /// Strings are kept as UTF-8, and the database's encoding is another.
    #[error(
        "column \"{column}\" has type {type_name}, which is not supported in a database with encoding {encoding}"
    )]
    UnsupportedEncoding {
        /// Column as the caller named it.
        column: String,
        /// The type as `format_type` prints it.
        type_name: String,
        /// Name of the database's encoding.
        encoding: String,
    },
    /// A single value cannot be converted.
    #[error("column \"{column}\": {source}")]
    Value {
        /// Column as the caller named it.
        column: String,
        /// What is wrong with the value.
        #[source]
        source: ValueError,
    },
    /// The Arrow data has another type than the column asks for.
    #[error("column \"{column}\" expects Arrow type {expected}, found {found}")]
    ArrowType {
        /// Column as the caller named it.
        column: String,
        /// What the column is kept as.
        expected: DataType,
        /// What the batch or schema has.
        found: DataType,
    },
    /// The caller's description of the batch does not fit the columns.
    #[error("invalid column mapping: {0}")]
    Mapping(String),
    /// Arrow refused to assemble the columns, for one because a field that is not nullable holds
    /// NULL.
    #[error("could not build an Arrow record batch")]
    Arrow(#[from] ArrowError),
}

/// What is wrong with one value. Knows neither its column nor PostgreSQL.
#[derive(Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ValueError {
    /// NaN or an infinity in a numeric column.
    #[error("numeric value {0} has no decimal form")]
    NumericSpecial(&'static str),
    /// The same in a column without a precision.
    #[error("numeric value {0} has no decimal form")]
    UnconstrainedNumericSpecial(&'static str),
    /// More digits than precision and scale allow.
    #[error("numeric value does not fit numeric({precision},{scale})")]
    NumericOverflow {
        /// Decimal digits in all.
        precision: u8,
        /// Decimal digits after the point.
        scale: u8,
    },
    /// More digits than the decimal that numerics without a precision are kept as.
    #[error("numeric value does not fit decimal({precision},{scale})")]
    UnconstrainedNumericOverflow {
        /// Decimal digits in all.
        precision: u8,
        /// Decimal digits after the point.
        scale: u8,
    },
    /// `infinity` or `-infinity` in a date or timestamp column.
    #[error("{type_name} value {value} has no finite form")]
    DatetimeInfinity {
        /// PostgreSQL's name of the type.
        type_name: &'static str,
        /// `infinity` or `-infinity`.
        value: &'static str,
    },
    /// Outside of what one of the two sides can express.
    #[error("{type_name} value is out of range")]
    DatetimeOverflow {
        /// PostgreSQL's name of the type.
        type_name: &'static str,
        /// The number that does not fit, with its unit.
        found: String,
    },
    /// A timestamp of PostgreSQL's after the last one that counts microseconds from 1970.
    #[error("{type_name} value is out of range")]
    TimestampTooLate {
        /// PostgreSQL's name of the type.
        type_name: &'static str,
    },
    /// `24:00:00`, which only PostgreSQL has.
    #[error("time value 24:00:00 is out of range")]
    TimeEndOfDay,
    /// An integer that is too large for the column.
    #[error("value {value} is out of range for type {type_name}")]
    IntegerOverflow {
        /// PostgreSQL's name of the type.
        type_name: &'static str,
        /// The integer read.
        value: i64,
    },
    /// Arrays of arrays.
    #[error("array value has {0} dimensions")]
    MultiDimensionalArray(i32),
    /// `'[5:6]={1,2}'::int[]`.
    #[error("array value has lower bound {0}")]
    ArrayLowerBound(i32),
    /// The array or row value is of another type than the column.
    #[error("value has type with OID {found}, expected OID {expected}")]
    TypeMismatch {
        /// OID resolved for the column.
        expected: u32,
        /// OID in the value.
        found: u32,
    },
    /// Bytes that are not UTF-8.
    #[error("invalid byte sequence for encoding \"UTF8\"")]
    InvalidUtf8,
    /// A zero byte, which PostgreSQL's strings cannot hold.
    #[error("string contains a zero byte")]
    ZeroByte,
    /// A string that is longer than the column's declared length.
    #[error("value too long for type {type_name}({limit})")]
    StringTooLong {
        /// PostgreSQL's name of the type.
        type_name: &'static str,
        /// Characters, or bytes for `name`.
        limit: usize,
    },
    /// More than PostgreSQL can keep in one datum.
    #[error("value of {size} bytes exceeds PostgreSQL's limit of 1 GB")]
    DatumTooLarge {
        /// Bytes needed.
        size: usize,
    },
    /// The column's part of one batch would pass 2 GB.
    #[error("values of one batch exceed 2 GB")]
    BatchTooLarge,
    /// Bytes that are no value of the type.
    #[error("invalid {0} value")]
    Corrupt(&'static str),
    /// The Arrow struct lacks a field of the composite type.
    #[error("field \"{0}\" is missing")]
    MissingField(String),
    /// Arrow data of a type that the column cannot be read from.
    #[error("expected Arrow type {expected}, found {found}")]
    ArrowType {
        /// What the column is kept as.
        expected: DataType,
        /// What the batch has.
        found: DataType,
    },
    /// The composite type has been altered since the column was resolved.
    #[error("composite type with OID {0} has changed")]
    CompositeChanged(u32),
    /// A value whose text the type's input function refuses.
    #[error("value cannot be kept, because its text cannot be read back")]
    NotReadBack {
        /// What the input function says.
        message: String,
    },
    /// `jsonb` that is nested so deep that reading it may come to the stack's end.
    #[error("jsonb value is nested more than {limit} levels deep")]
    JsonbTooDeep {
        /// Levels of arrays and objects.
        limit: usize,
    },
    /// A type that is kept as text now has functions that reading must not run.
    #[error("the type's functions have changed to ones that are not supported")]
    TextFormFunctions {
        /// What to do.
        hint: &'static str,
    },
    /// Inside a field of a composite value.
    #[error("field \"{field}\": {source}")]
    Field {
        /// Attribute of the composite type.
        field: String,
        /// What is wrong with its value.
        #[source]
        source: Box<ValueError>,
    },
}

impl ValueError {
    /// The error as seen from the composite value that holds the field.
    pub(crate) fn in_field(self, field: &str) -> Self {
        Self::Field {
            field: field.to_owned(),
            source: Box::new(self),
        }
    }

    /// The error as seen from the row.
    pub(crate) fn in_column(self, column: &str) -> ConvError {
        match self {
            Self::ArrowType { expected, found } => ConvError::ArrowType {
                column: column.to_owned(),
                expected,
                found,
            },
            source => ConvError::Value {
                column: column.to_owned(),
                source,
            },
        }
    }

    /// The error of the innermost field.
    pub fn innermost(&self) -> &Self {
        match self {
            Self::Field { source, .. } => source.innermost(),
            other => other,
        }
    }

    fn sqlstate(&self) -> PgSqlErrorCode {
        use PgSqlErrorCode as Code;
        match self.innermost() {
            Self::NumericSpecial(_)
            | Self::UnconstrainedNumericSpecial(_)
            | Self::NumericOverflow { .. }
            | Self::UnconstrainedNumericOverflow { .. }
            | Self::IntegerOverflow { .. } => Code::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            Self::DatetimeInfinity { .. }
            | Self::DatetimeOverflow { .. }
            | Self::TimestampTooLate { .. }
            | Self::TimeEndOfDay => Code::ERRCODE_DATETIME_FIELD_OVERFLOW,
            Self::MultiDimensionalArray(_)
            | Self::ArrayLowerBound(_)
            | Self::TextFormFunctions { .. } => Code::ERRCODE_FEATURE_NOT_SUPPORTED,
            Self::TypeMismatch { .. }
            | Self::ArrowType { .. }
            | Self::MissingField(_)
            | Self::CompositeChanged(_) => Code::ERRCODE_DATATYPE_MISMATCH,
            Self::NotReadBack { .. } | Self::JsonbTooDeep { .. } => {
                Code::ERRCODE_INVALID_PARAMETER_VALUE
            }
            Self::InvalidUtf8 | Self::ZeroByte => Code::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
            Self::StringTooLong { .. } => Code::ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
            Self::DatumTooLarge { .. } | Self::BatchTooLarge => {
                Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED
            }
            Self::Corrupt(_) => Code::ERRCODE_DATA_CORRUPTED,
            Self::Field { .. } => Code::ERRCODE_INTERNAL_ERROR,
        }
    }

    fn detail(&self) -> Option<String> {
        match self.innermost() {
            Self::UnconstrainedNumericOverflow { precision, scale } => Some(format!(
                "Values of type numeric without a precision are kept as decimal({precision},{scale})."
            )),
            Self::NumericSpecial(_) | Self::UnconstrainedNumericSpecial(_) => Some("Decimal columns hold finite values only.".to_owned()),
            Self::NotReadBack { message } => Some(format!("Reading it says: {message}.")),
            Self::DatetimeInfinity { .. } => Some(
                "Dates and timestamps are kept as counts from an epoch, which are finite."
                    .to_owned(),
            ),
            Self::DatetimeOverflow { found, .. } => Some(format!("The value is {found}.")),
            Self::TimestampTooLate { .. } => Some(
                "The last timestamp that can be kept is 294247-01-10 04:00:54.775807, in UTC where it has a time zone."
                    .to_owned(),
            ),
            Self::TimeEndOfDay => {
                Some("The last time of day that can be kept is 23:59:59.999999.".to_owned())
            }
            Self::MultiDimensionalArray(_) | Self::ArrayLowerBound(_) => Some(
                "Only one-dimensional arrays whose subscripts begin at 1 can be kept.".to_owned(),
            ),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self.innermost() {
            Self::NumericSpecial(_) | Self::UnconstrainedNumericSpecial(_) => {
                "Store NULL instead, or declare the column double precision."
            }
            Self::NumericOverflow { .. } => "Declare the column with a larger precision.",
            Self::UnconstrainedNumericOverflow { .. } => {
                "Round the value, or declare the column with a precision and scale."
            }
            Self::DatetimeInfinity { .. } => {
                "Store NULL, or a finite value that stands for it, instead."
            }
            Self::TimeEndOfDay => "Store 23:59:59.999999 or 00:00:00 instead.",
            Self::MultiDimensionalArray(_) => {
                "Store the elements as a flat array, or the whole as jsonb."
            }
            Self::ArrayLowerBound(_) => {
                "Renumber the elements from 1 by storing the slice value[:]."
            }
            Self::BatchTooLarge => "Insert the rows in smaller portions.",
            Self::CompositeChanged(_) => "Run the statement again.",
            Self::TextFormFunctions { hint } => hint,
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl ConvError {
    /// SQLSTATE of the report.
    pub fn sqlstate(&self) -> PgSqlErrorCode {
        use PgSqlErrorCode as Code;
        match self {
            Self::UnsupportedType { .. }
            | Self::NestedTooDeep { .. }
            | Self::UnsupportedEncoding { .. } => Code::ERRCODE_FEATURE_NOT_SUPPORTED,
            Self::Value { source, .. } => source.sqlstate(),
            Self::ArrowType { .. } => Code::ERRCODE_DATATYPE_MISMATCH,
            Self::Mapping(_) | Self::Arrow(_) => Code::ERRCODE_INTERNAL_ERROR,
        }
    }

    /// DETAIL of the report.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Value { source, .. } => source.detail(),
            Self::Arrow(source) => Some(source.to_string()),
            _ => None,
        }
    }

    /// HINT of the report.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnsupportedType { hint, .. } => Some(hint.clone()),
            Self::NestedTooDeep { .. } => Some("Keep what is deep inside as jsonb.".to_owned()),
            Self::UnsupportedEncoding { .. } => {
                Some("Use a database created with ENCODING 'UTF8'.".to_owned())
            }
            Self::Value { source, .. } => source.hint(),
            _ => None,
        }
    }
}
