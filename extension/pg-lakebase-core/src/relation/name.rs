//! Names in messages.

use std::ffi::CStr;

/// A name as text. In a database of another encoding, bytes that are no UTF-8 are spelled as in `\xe8`, so that names
/// stay different and messages are right in every encoding.
pub fn name_text(name: &CStr) -> String {
    let mut text = String::new();
    for chunk in name.to_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}
