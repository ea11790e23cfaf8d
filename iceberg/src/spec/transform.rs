//! Partition and sort transforms, their names and result types.

use std::fmt;

use super::primitive::PrimitiveType;

/// How a source value becomes a partition or sort value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Transform {
    /// `identity`
    Identity,
    /// `bucket[N]`
    Bucket(u32),
    /// `truncate[W]`
    Truncate(u32),
    /// `year`
    Year,
    /// `month`
    Month,
    /// `day`
    Day,
    /// `hour`
    Hour,
    /// `void`: always null
    Void,
    /// A transform that this library does not know, as written
    Unknown(String),
}

impl Transform {
    /// Reads a transform's name; one that is not known is kept.
    pub fn parse(text: &str) -> Self {
        let argument = |name: &str| -> Option<u32> {
            let rest = text
                .strip_prefix(name)?
                .strip_prefix('[')?
                .strip_suffix(']')?;
            rest.parse().ok().filter(|&number| number > 0)
        };
        match text {
            "identity" => Self::Identity,
            "year" => Self::Year,
            "month" => Self::Month,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "void" => Self::Void,
            _ => argument("bucket")
                .map(Self::Bucket)
                .or_else(|| argument("truncate").map(Self::Truncate))
                .unwrap_or_else(|| Self::Unknown(text.to_owned())),
        }
    }

    /// The type of the values it gives for a source of this type.
    pub fn result_type(&self, source: &PrimitiveType) -> PrimitiveType {
        match self {
            Self::Identity | Self::Truncate(_) | Self::Void => source.clone(),
            Self::Bucket(_) | Self::Year | Self::Month | Self::Hour => PrimitiveType::Int,
            Self::Day => PrimitiveType::Date,
            Self::Unknown(_) => PrimitiveType::String,
        }
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity",
            Self::Bucket(number) => return write!(f, "bucket[{number}]"),
            Self::Truncate(width) => return write!(f, "truncate[{width}]"),
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Void => "void",
            Self::Unknown(text) => text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_written() {
        let names = [
            "identity",
            "bucket[16]",
            "truncate[4]",
            "year",
            "month",
            "day",
            "hour",
            "void",
            "zorder[2]",
            "bucket[0]",
            "bucket[x]",
        ];
        for name in names {
            assert_eq!(Transform::parse(name).to_string(), name);
        }
        assert!(matches!(
            Transform::parse("bucket[0]"),
            Transform::Unknown(_)
        ));
    }
}
