//! Values without an exact Arrow form are refused with the right SQLSTATE, detail and hint.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use super::super::round_trip::{assert_refused, conversion_error};
    use pgrx::PgSqlErrorCode;
    use pgrx::prelude::*;

    #[pg_test]
    fn special_numerics_are_refused() {
        let sqlstate = PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
        assert_refused(
            "SELECT 'NaN'::numeric(5,2) AS c",
            sqlstate,
            "column \"c\": numeric value NaN has no decimal form",
        );
        let error = conversion_error("SELECT 'NaN'::numeric(5,2) AS c");
        assert!(error.detail().is_some());
        assert!(error.hint().unwrap().contains("double precision"));
    }

    #[pg_test]
    fn infinite_dates_and_timestamps_are_refused() {
        let sqlstate = PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW;
        for (sql_type, printed) in [
            ("date", "date"),
            ("timestamp", "timestamp"),
            ("timestamptz", "timestamp with time zone"),
        ] {
            for value in ["infinity", "-infinity"] {
                assert_refused(
                    &format!("SELECT '{value}'::{sql_type} AS c"),
                    sqlstate,
                    &format!("column \"c\": {printed} value {value} has no finite form"),
                );
            }
        }
    }

    #[pg_test]
    fn timestamps_past_the_unix_range_are_refused() {
        let sqlstate = PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW;
        assert_refused(
            "SELECT '294247-01-10 04:00:54.775808'::timestamp AS c",
            sqlstate,
            "column \"c\": timestamp value is out of range",
        );
        assert_refused(
            "SELECT '294276-12-31 23:59:59.999999+00'::timestamptz AS c",
            sqlstate,
            "column \"c\": timestamp with time zone value is out of range",
        );
    }

    #[pg_test]
    fn midnight_at_the_end_of_the_day_is_refused() {
        assert_refused(
            "SELECT '24:00:00'::time AS c",
            PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
            "column \"c\": time value 24:00:00 is out of range",
        );
    }
}
