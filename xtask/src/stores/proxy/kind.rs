//! What a request asks for, in the dialects of S3, GCS and Azure.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Get,
    Head,
    List,
    Put,
    /// One part of an upload.
    Part,
    /// The parts of an upload become an object.
    Join,
    Delete,
    Other,
}

pub const KINDS: [Kind; 8] = [
    Kind::Get,
    Kind::Head,
    Kind::List,
    Kind::Put,
    Kind::Part,
    Kind::Join,
    Kind::Delete,
    Kind::Other,
];

impl Kind {
    /// Of a request with this method and target.
    pub fn of(method: &str, target: &str) -> Self {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let has = |name: &str| {
            query
                .split('&')
                .any(|pair| pair.split('=').next() == Some(name))
        };
        let says = |wanted: &str| query.split('&').any(|pair| pair == wanted);
        match method {
            "GET" if has("list-type") || says("comp=list") => Self::List,
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "PUT" if has("partNumber") || says("comp=block") => Self::Part,
            "PUT" if says("comp=blocklist") => Self::Join,
            "PUT" => Self::Put,
            "POST" if has("uploadId") => Self::Join,
            "POST" if has("delete") || says("comp=batch") => Self::Delete,
            "DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::List => "LIST",
            Self::Put => "PUT",
            Self::Part => "PART",
            Self::Join => "JOIN",
            Self::Delete => "DELETE",
            Self::Other => "OTHER",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_the_three_dialects_are_told_apart() {
        for (method, target, kind) in [
            ("GET", "/lakebase?list-type=2&prefix=a", Kind::List),
            (
                "GET",
                "/account/lakebase?restype=container&comp=list",
                Kind::List,
            ),
            ("GET", "/lakebase/list-type=2", Kind::Get),
            ("HEAD", "/lakebase/a", Kind::Head),
            ("PUT", "/lakebase/a", Kind::Put),
            ("PUT", "/lakebase/a?partNumber=3&uploadId=x", Kind::Part),
            (
                "PUT",
                "/account/lakebase/a?comp=block&blockid=x",
                Kind::Part,
            ),
            ("PUT", "/account/lakebase/a?comp=blocklist", Kind::Join),
            ("POST", "/lakebase/a?uploads", Kind::Other),
            ("POST", "/lakebase/a?uploadId=x", Kind::Join),
            ("POST", "/lakebase?delete", Kind::Delete),
            ("DELETE", "/lakebase/a?uploadId=x", Kind::Delete),
        ] {
            assert_eq!(Kind::of(method, target), kind, "{method} {target}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for kind in KINDS {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("get"), None);
    }
}
