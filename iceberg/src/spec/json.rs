//! JSON objects read field by field: every error names the field's path, and what no reader took
//! is kept.

/// JSON members in their order.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;
