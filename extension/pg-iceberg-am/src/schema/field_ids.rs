//! Which Iceberg field holds which attribute.
//!
//! Attribute numbers are given once, in tables as in composite types, and so are field ids. The map between
//! them is what stays when attributes are renamed or dropped; it is kept with the table's metadata, in
//! the property [`PROPERTY`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use iceberg_lite::BoundedCache;
use iceberg_lite::spec::TableMetadata;
use pg_arrow_conv::types::ColumnType;
use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::PgSqlErrorCode;
use serde::{Deserialize, Serialize};

use super::TableColumns;

/// The table property that holds a table's [`FieldIds`], in JSON.
pub const PROPERTY: &str = "pg-lakebase.columns";

/// Bytes of properties kept with what they say.
const PARSED_BYTES: usize = 1 << 20;

thread_local! {
    /// What properties say, by their text: every scan needs it.
    static PARSED: RefCell<BoundedCache<String, Arc<FieldIds>>> =
        RefCell::new(BoundedCache::new(PARSED_BYTES));
}

/// The field ids of a table's columns, by attribute number. Dropped columns may be among them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FieldIds(BTreeMap<usize, FieldId>);

/// The field that holds a value, and those that hold its parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldId {
    /// The field.
    pub id: i32,
    /// Of an array, that of the elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<Box<FieldId>>,
    /// Of a composite value, those of the attributes, by attribute number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<usize, FieldId>,
}

impl FieldIds {
    /// Those that a table's metadata hold.
    pub fn of_metadata(metadata: &TableMetadata) -> PgResult<Arc<Self>> {
        let invalid = |detail: String| {
            PgError::new(
                PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                format!(
                    "the metadata at \"{}\" do not tell which fields hold the table's columns",
                    metadata.location
                ),
            )
            .with_detail(detail)
        };
        let json = metadata
            .properties
            .get(PROPERTY)
            .ok_or_else(|| invalid(format!("There is no property \"{PROPERTY}\".")))?;
        if let Some(known) = PARSED.with_borrow_mut(|cache| cache.get(json.as_str())) {
            return Ok(known);
        }
        let ids = Self::of_property(json)
            .map_err(|error| invalid(format!("Property \"{PROPERTY}\": {error}.")))?;
        let ids = Arc::new(ids);
        PARSED.with_borrow_mut(|cache| cache.put(json.clone(), Arc::clone(&ids), json.len()));
        Ok(ids)
    }

    /// As a table property's value.
    pub fn to_property(&self) -> PgResult<String> {
        serde_json::to_string(self).map_err(|error| PgError::internal(error.to_string()))
    }

    /// What [`Self::to_property`] has made.
    pub fn of_property(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    /// That of the column with this attribute number alone.
    pub fn only(&self, number: usize) -> Self {
        let id = self.0.get(&number).cloned();
        Self(id.map(|id| (number, id)).into_iter().collect())
    }

    /// These and others.
    pub fn with(&self, others: &Self) -> Self {
        let mut ids = self.0.clone();
        ids.extend(others.0.iter().map(|(number, id)| (*number, id.clone())));
        Self(ids)
    }

    /// The highest of all, nested ones included; 0 if there are none.
    pub fn highest(&self) -> i32 {
        self.0.values().map(FieldId::highest).max().unwrap_or(0)
    }

    /// That of the column with this attribute number.
    pub fn get(&self, number: usize) -> Option<&FieldId> {
        self.0.get(&number)
    }

    /// Whether all columns, and all attributes in them, have ids.
    pub fn are_complete(&self, columns: &TableColumns) -> bool {
        columns.columns.iter().all(|column| {
            let id = self.0.get(&column.number());
            id.is_some_and(|id| id.is_complete(&column.column_type))
        })
    }

    /// Gives ids, above `last_id` and above all that it has, to the attributes that lack one, as the specification's examples
    /// have them: to the columns first, then to the fields nested in them. Returns the dotted name of the first of those, if
    /// any.
    pub fn add_missing(&mut self, columns: &TableColumns, last_id: i32) -> Option<String> {
        let mut added = Added {
            last_id: last_id.max(self.highest()),
            first: None,
        };
        let attributes = columns
            .columns
            .iter()
            .map(|column| (column.number(), column.name.as_str(), &column.column_type));
        added.add_attributes(&mut self.0, &attributes.collect::<Vec<_>>(), "");
        added.first
    }
}

impl FieldId {
    fn new(id: i32) -> Self {
        Self {
            id,
            element: None,
            attributes: BTreeMap::new(),
        }
    }

    fn is_complete(&self, column_type: &ColumnType) -> bool {
        let element = column_type.element().is_none_or(|element| {
            let id = self.element.as_deref();
            id.is_some_and(|id| id.is_complete(element))
        });
        let attributes = column_type.attributes().is_none_or(|mut attributes| {
            attributes.all(|(position, attribute)| {
                let id = self.attributes.get(&(position + 1));
                id.is_some_and(|id| id.is_complete(attribute))
            })
        });
        element && attributes
    }

    fn highest(&self) -> i32 {
        let nested = self
            .element
            .as_deref()
            .into_iter()
            .chain(self.attributes.values());
        nested.map(Self::highest).fold(self.id, i32::max)
    }
}

/// Ids being given.
struct Added {
    last_id: i32,
    first: Option<String>,
}

impl Added {
    fn next(&mut self, name: impl FnOnce() -> String) -> FieldId {
        self.first.get_or_insert_with(name);
        self.last_id += 1;
        FieldId::new(self.last_id)
    }

    fn add_attributes(
        &mut self,
        ids: &mut BTreeMap<usize, FieldId>,
        attributes: &[(usize, &str, &ColumnType)],
        path: &str,
    ) {
        for (number, name, _) in attributes {
            ids.entry(*number)
                .or_insert_with(|| self.next(|| format!("{path}{name}")));
        }
        for (number, name, column_type) in attributes {
            if let Some(id) = ids.get_mut(number) {
                self.add_nested(id, column_type, &format!("{path}{name}"));
            }
        }
    }

    fn add_nested(&mut self, id: &mut FieldId, column_type: &ColumnType, path: &str) {
        if let Some(element) = column_type.element() {
            let mut element_id = match id.element.take() {
                Some(known) => known,
                None => Box::new(self.next(|| path.to_owned())),
            };
            self.add_nested(&mut element_id, element, path);
            id.element = Some(element_id);
        }
        if let Some(attributes) = column_type.attributes() {
            let attributes: Vec<_> = attributes
                .map(|(position, attribute)| (position + 1, attribute.name(), attribute))
                .collect();
            self.add_attributes(&mut id.attributes, &attributes, &format!("{path}."));
        }
    }
}
