//! Field ids for files that carry none (table property `schema.name-mapping.default`).

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::spec::json_text::json_value;

/// Which field id a column without one has, by its name; section "Name Mapping Serialization" of
/// the specification.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct NameMapping {
    fields: Vec<MappedField>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MappedField {
    field_id: Option<i32>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    fields: NameMapping,
}

impl NameMapping {
    /// The table property that holds it.
    pub const PROPERTY: &str = "schema.name-mapping.default";

    /// Reads the property's value.
    pub fn parse(json: &str) -> Result<Self> {
        let invalid = |reason: String| Error::invalid_metadata("", Self::PROPERTY, reason);
        let value = json_value(json.as_bytes()).map_err(invalid)?;
        serde_json::from_value(value).map_err(|e| invalid(e.to_string()))
    }

    /// The id of a column of this level, and the mapping for its own fields.
    pub(super) fn get(&self, name: &str) -> Option<(Option<i32>, &NameMapping)> {
        self.fields
            .iter()
            .find(|field| field.names.iter().any(|known| known == name))
            .map(|field| (field.field_id, &field.fields))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_level_are_found() {
        let mapping = NameMapping::parse(
            r#"[{"field-id": 1, "names": ["id", "record_id"]},
                {"field-id": 2, "names": ["location"], "fields": [
                    {"field-id": 3, "names": ["latitude", "lat"]}, {"names": ["x"]}]}]"#,
        )
        .unwrap();
        assert_eq!(mapping.get("record_id").unwrap().0, Some(1));
        let (_, location) = mapping.get("location").unwrap();
        assert_eq!(location.get("lat").unwrap().0, Some(3));
        assert_eq!(location.get("x").unwrap().0, None);
        assert!(mapping.get("lat").is_none());
        assert!(NameMapping::parse("{}").is_err());
    }
}
