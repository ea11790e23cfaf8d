//! Random values, as text, of types that Arrow has no counterpart of.

use proptest::prelude::*;

/// Texts of values.
pub(super) type Texts = BoxedStrategy<String>;

fn texts(strategy: impl Strategy<Value = impl ToString + 'static> + 'static) -> Texts {
    strategy.prop_map(|value| value.to_string()).boxed()
}

fn float() -> Texts {
    any::<f64>()
        .prop_map(|value| match value {
            value if value.is_nan() => "NaN".to_owned(),
            value if value.is_infinite() && value > 0.0 => "Infinity".to_owned(),
            value if value.is_infinite() => "-Infinity".to_owned(),
            value => format!("{value:e}"),
        })
        .boxed()
}

/// Up to `whole` digits before the point and `fraction` after it.
fn number(whole: usize, fraction: usize) -> Texts {
    (
        proptest::string::string_regex(&format!("[0-9]{{1,{whole}}}")).unwrap(),
        proptest::string::string_regex(&format!("[0-9]{{0,{fraction}}}")).unwrap(),
        any::<bool>(),
    )
        .prop_map(|(whole, fraction, negative)| {
            format!("{}{whole}.{fraction}", if negative { "-" } else { "" })
        })
        .boxed()
}

fn timestamp() -> Texts {
    let date = (1..9999, 1..=12, 1..=28);
    let time = (0..24, 0..60, 0..60, 0..1_000_000);
    (date, time)
        .prop_map(|((y, m, d), (h, min, s, us))| {
            format!("{y:04}-{m:02}-{d:02} {h:02}:{min:02}:{s:02}.{us:06}+00")
        })
        .boxed()
}

/// Ranges of values that the subtype orders as they come.
fn range<T: ToString + Ord + std::fmt::Debug + 'static>(
    bounds: impl Strategy<Value = T> + 'static,
) -> Texts {
    let pair = proptest::collection::vec(bounds, 2);
    (pair, 0..6)
        .prop_map(|(mut bounds, kind)| {
            bounds.sort();
            let [low, high] = &bounds[..] else {
                return "empty".to_owned();
            };
            let (low, high) = (low.to_string(), high.to_string());
            match kind {
                0 => "empty".to_owned(),
                1 => "(,)".to_owned(),
                2 => format!("[\"{low}\",)"),
                3 => format!("(,\"{high}\"]"),
                4 => format!("(\"{low}\",\"{high}\")"),
                _ => format!("[\"{low}\",\"{high}\"]"),
            }
        })
        .boxed()
}

/// Any characters but the zero byte, in double quotes with backslashes.
fn quoted() -> Texts {
    proptest::string::string_regex("[^\0]{0,6}")
        .unwrap()
        .prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
        .boxed()
}

fn lexeme() -> Texts {
    proptest::string::string_regex("[a-zé'\\\\ :*&|!()<>-]{1,6}")
        .unwrap()
        .prop_map(|text| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''")))
        .boxed()
}

fn pattern(regex: &str) -> Texts {
    proptest::string::string_regex(regex).unwrap().boxed()
}

/// SQL types, and texts that their input functions accept.
///
/// `mood`, `floats` and `blobs` are made by the test.
pub(super) fn types() -> Vec<(&'static str, Texts)> {
    let mac = |bytes: usize| {
        proptest::collection::vec(any::<u8>(), bytes)
            .prop_map(|bytes| {
                let bytes: Vec<_> = bytes.iter().map(|b| format!("{b:02x}")).collect();
                bytes.join(":")
            })
            .boxed()
    };
    let address = prop_oneof![
        (any::<std::net::Ipv4Addr>(), 0..=32).prop_map(|(a, bits)| format!("{a}/{bits}")),
        (any::<std::net::Ipv6Addr>(), 0..=128).prop_map(|(a, bits)| format!("{a}/{bits}")),
    ];
    let interval = prop_oneof![
        9 => (any::<i32>(), any::<i32>(), any::<i64>()).prop_map(|(months, days, micros)| {
            format!("{months} months {days} days {micros} microseconds")
        }),
        9 => (-100..100, -100..100, -100_000_000..100_000_000_i64).prop_map(|(months, days, micros)| {
            format!("{months} months {days} days {micros} microseconds")
        }),
        1 => Just("infinity".to_owned()),
        1 => Just("-infinity".to_owned()),
    ];
    let timetz = (0..=23, 0..60, 0..60, 0..1_000_000, -15..=15, 0..60, 0..60)
        .prop_map(|(h, m, s, us, zh, zm, zs)| {
            format!("{h:02}:{m:02}:{s:02}.{us:06}{zh:+03}:{zm:02}:{zs:02}")
        })
        .boxed();
    let point = || (float(), float()).prop_map(|(x, y)| format!("({x},{y})"));
    let points = |first: &'static str, last: &'static str| {
        proptest::collection::vec(point(), 1..5)
            .prop_map(move |points| format!("{first}{}{last}", points.join(",")))
            .boxed()
    };
    let vector = proptest::collection::vec((lexeme(), 1..16_383, "[A-D]?"), 0..5)
        .prop_map(|words| {
            let words: Vec<_> = words
                .iter()
                .map(|(word, at, weight)| format!("{word}:{at}{weight}"))
                .collect();
            words.join(" ")
        })
        .boxed();
    let query = (
        lexeme(),
        "( & | \\| | <-> | <3> | & !)",
        lexeme(),
        "( & | \\| )",
        lexeme(),
    )
        .prop_map(|(a, op, b, op2, c)| format!("({a}:*A{op}({b}{op2}{c})){op2}!({c}{op2}{a})"))
        .boxed();
    let store =
        proptest::collection::vec((quoted(), prop_oneof![quoted(), Just("NULL".into())]), 0..4)
            .prop_map(|pairs| {
                let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}=>{v}")).collect();
                pairs.join(", ")
            })
            .boxed();
    vec![
        ("numeric", number(20, 18)),
        ("numeric(60,30)", number(30, 30)),
        ("numeric(5,-3)", number(7, 0)),
        ("numeric(3,6)", pattern("0\\.000[0-9]{3}")),
        ("interval", interval.boxed()),
        ("mood", pattern("(sad|ok|very \"happy\"|it's)")),
        ("inet", address.boxed()),
        ("macaddr", mac(6)),
        ("macaddr8", mac(8)),
        ("bit(7)", pattern("[01]{7}")),
        ("varbit(40)", pattern("[01]{0,40}")),
        ("bit varying", pattern("[01]{0,40}")),
        ("int4range", range(-1_000_000..1_000_000)),
        (
            "int8multirange",
            range(-1_000_000..1_000_000)
                .prop_map(|r| format!("{{{r}}}"))
                .boxed(),
        ),
        (
            "numrange",
            range((0..10_000_i64).prop_map(|n| format!("{:09}.{:03}0", n / 7, n % 1000))),
        ),
        (
            "daterange",
            range(timestamp().prop_map(|t| t[..10].to_owned())),
        ),
        (
            "tsrange",
            range(timestamp().prop_map(|t| t[..26].to_owned())),
        ),
        ("tstzrange", range(timestamp())),
        (
            "tstzmultirange",
            range(timestamp()).prop_map(|r| format!("{{{r}}}")).boxed(),
        ),
        (
            "floats",
            range((0..10_000).prop_map(|n| format!("{:05}.{:03}", n, n % 997))),
        ),
        (
            "blobs",
            range(pattern("[a-f]{2}").prop_map(|hex| format!("\\\\x{hex}"))),
        ),
        ("point", point().boxed()),
        (
            "lseg",
            (point(), point())
                .prop_map(|(a, b)| format!("[{a},{b}]"))
                .boxed(),
        ),
        (
            "box",
            (point(), point())
                .prop_map(|(a, b)| format!("{a},{b}"))
                .boxed(),
        ),
        (
            "line",
            pattern("\\{-?[1-9]\\.[0-9]{1,15},[0-9],-?[0-9]e-?[1-9]{2}\\}"),
        ),
        (
            "path",
            prop_oneof![points("[", "]"), points("(", ")")].boxed(),
        ),
        ("polygon", points("(", ")")),
        (
            "circle",
            (point(), texts(0.0..1e300_f64))
                .prop_map(|(p, r)| format!("<{p},{r}>"))
                .boxed(),
        ),
        ("timetz", timetz),
        ("tsvector", vector),
        ("tsquery", query),
        ("\"char\"", pattern("([ -~]|\\\\[0-3][0-7][0-7]|)")),
        (
            "pg_lsn",
            (any::<u32>(), any::<u32>())
                .prop_map(|(a, b)| format!("{a:X}/{b:X}"))
                .boxed(),
        ),
        (
            "jsonpath",
            pattern("(strict )?\\$\\.\"[a-z é]{1,3}\"\\[\\*\\] \\? \\(@ > [1-9]\\.[0-9]\\)"),
        ),
        ("oid", texts(any::<u32>())),
        ("xid", texts(any::<u32>())),
        ("cid", texts(any::<u32>())),
        ("xid8", texts(any::<u64>())),
        ("regtype", texts(100_000..u32::MAX)),
        (
            "tid",
            (any::<u32>(), any::<u16>())
                .prop_map(|(b, o)| format!("({b},{o})"))
                .boxed(),
        ),
        ("int2vector", pattern("-?[1-9]{1,4}( [0-9]{1,4}){0,5}")),
        ("oidvector", pattern("[1-9]{1,9}( [0-9]{1,9}){0,5}")),
        ("txid_snapshot", pattern("1[0-9]:2[0-9]:")),
        ("hstore", store),
        ("citext", pattern("[^\0]{0,10}")),
        (
            "ltree",
            pattern("[A-Za-z0-9_]{1,5}(\\.[A-Za-z0-9_]{1,5}){0,4}"),
        ),
        ("cube", pattern("\\([1-9]\\.[0-9]{1,16},-[0-9]e[1-9]{2}\\)")),
    ]
}
