//! The text of a credentials file: `[name]` begins an entry, `key = value` belongs to it, `#` and `;` begin lines that say
//! nothing. A value reaches to the end of its line, and may stand between double quotes.

use std::collections::BTreeMap;

use super::entry::{Entry, Secret};

/// A line that cannot be read: its number, and why.
pub(super) type Wrong = (usize, String);

pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Entry>, Wrong> {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    let mut name: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let wrong = |reason: String| Err((number, reason));
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let Some(inner) = rest.strip_suffix(']') else {
                return wrong("a name stands between [ and ]".to_owned());
            };
            let inner = unquoted(inner.trim());
            if inner.is_empty() {
                return wrong("the name is empty".to_owned());
            }
            if entries.insert(inner.to_owned(), Entry::default()).is_some() {
                return wrong(format!("entry \"{inner}\" is there twice"));
            }
            name = Some(inner.to_owned());
            continue;
        }
        // What stands in the line may be a secret, so it is not repeated unless it is a key.
        let Some((key, value)) = line.split_once('=') else {
            return wrong("neither [name] nor key = value".to_owned());
        };
        let Some(key) = Entry::known_key(key.trim()) else {
            return wrong(format!("no key of this name; keys are {}", Entry::keys()));
        };
        let Some(entry) = name.as_ref().and_then(|name| entries.get_mut(name)) else {
            return wrong(format!(
                "\"{key}\" belongs to no entry; write [name] before it"
            ));
        };
        let value = unquoted(value.trim());
        if value.is_empty() {
            return wrong(format!("\"{key}\" is empty"));
        }
        if entry.values.insert(key, Secret::new(value)).is_some() {
            return wrong(format!("\"{key}\" is there twice"));
        }
    }
    Ok(entries)
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::protocol::StoreProtocol;

    #[test]
    fn entries_have_their_values_as_they_are_written() {
        let text = "# keys\n[reader]\naccess_key_id = AKIA\nsecret_access_key = \"a=b # c\"\n\n; another\n\
                    [ \"writer\" ]\r\n service_account_key={\"private_key\": \"x\\n\"}\n";
        let entries = parse(text).unwrap();
        assert_eq!(entries.keys().collect::<Vec<_>>(), ["reader", "writer"]);
        let reader = entries["reader"].of(StoreProtocol::S3).unwrap();
        assert_eq!(reader["access_key_id"].expose(), "AKIA");
        assert_eq!(reader["secret_access_key"].expose(), "a=b # c");
        let writer = entries["writer"].of(StoreProtocol::Gcs).unwrap();
        assert_eq!(
            writer["service_account_key"].expose(),
            "{\"private_key\": \"x\\n\"}"
        );
        let error = entries["writer"].of(StoreProtocol::S3).unwrap_err();
        assert!(error.contains("service_account_key"), "{error}");
    }

    #[test]
    fn errors_name_the_line_and_no_secret() {
        for (text, line) in [
            ("access_key = HIDDEN", 1),
            ("[a]\nHIDDEN", 2),
            ("[a]\nHIDDEN = x", 2),
            ("[a]\naccess_key = HIDDEN\naccess_key = HIDDEN", 3),
            ("[a]\naccess_key =", 2),
            ("[a]\n[a]", 2),
            ("[a", 1),
            ("[]", 1),
        ] {
            let (number, reason) = parse(text).unwrap_err();
            assert_eq!(number, line, "{text}");
            assert!(!reason.contains("HIDDEN"), "{reason}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_one_of_its_lines_is_named(text in "([a-z_\\[\\]=\"#; ]{0,12}(\n|\r\n)){0,8}") {
            if let Err((line, _)) = parse(&text) {
                proptest::prop_assert!((1..=text.lines().count()).contains(&line));
            }
        }
    }

    #[test]
    fn what_an_entry_shows_of_itself_is_no_secret() {
        let entries = parse("[a]\naccess_key = HIDDEN").unwrap();
        let shown = format!("{entries:?}");
        assert!(
            shown.contains("access_key") && !shown.contains("HIDDEN"),
            "{shown}"
        );
    }
}
