//! Tests of pg-arrow-conv: values made by SQL go to Arrow and come back.

mod appender;
mod foreign;
mod nested;
mod query;
mod refused_types;
mod refused_values;
mod round_trip;
mod scalars;
mod text_forms;
mod text_values;
mod toast;
