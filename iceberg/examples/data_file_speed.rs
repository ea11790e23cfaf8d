//! Measures writing, reading and merging data files of rows like TPC-H's `lineitem`.
//!
//! `cargo run --release -p iceberg-lite --example data_file_speed [rows]`

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, AsArray, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow::datatypes::Decimal128Type;
use iceberg_lite::compaction::{Rewrite, RewriteInput, RewriteOptions};
use iceberg_lite::expr::{CompareOp, Literal, Predicate};
use iceberg_lite::io::{FileIo, InputFile, LocalFileIo};
use iceberg_lite::scan::{DataFileReader, FileMetadata, ReadOptions, RowRanges, ScanFile};
use iceberg_lite::spec::{NestedField, PartitionSpec, PrimitiveType as P, Schema, TableMetadata};
use iceberg_lite::write::{
    Compression, DataFileWriter, Encoder, EncoderThreads, Spawn, WriteOptions, arrow_schema,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const BATCH_ROWS: usize = 8192;
const REPEATS: usize = 3;

fn main() -> Outcome<()> {
    let rows = match std::env::args().nth(1) {
        Some(rows) => rows.parse()?,
        None => 1_000_000,
    };
    let schema = lineitem();
    let batches = generate(&schema, rows)?;
    let directory = std::env::temp_dir().join(format!("data_file_speed-{}", std::process::id()));
    let path = format!("{}/lineitem.parquet", directory.display());

    for (name, level, encoder) in [
        ("write inline, zstd 3", 3, Encoder::Inline),
        ("write inline, zstd 1", 1, Encoder::Inline),
        (
            "write 1 thread, zstd 3",
            3,
            Encoder::Threads(Arc::new(EncoderThreads::new(1, spawn))),
        ),
        (
            "write 2 threads, zstd 3",
            3,
            Encoder::Threads(Arc::new(EncoderThreads::new(2, spawn))),
        ),
    ] {
        let options = WriteOptions {
            compression: Compression::Zstd { level },
            encoder,
            ..WriteOptions::default()
        };
        let mut size = 0;
        let time = median(|| {
            LocalFileIo.delete(&path).ok();
            let output = LocalFileIo.create(&path)?;
            let mut writer = DataFileWriter::new(&schema, path.clone(), output, options.clone())?;
            for batch in &batches {
                writer.write(batch)?;
            }
            size = writer.finish()?.file_size_in_bytes;
            Ok(())
        })?;
        report(
            name,
            rows,
            time,
            &format!("{:.1} bytes a row", size as f64 / rows as f64),
        );
    }

    let file = LocalFileIo.open(&path, None)?;
    let time = median(|| FileMetadata::read(&file).map(drop).map_err(Into::into))?;
    report("read footer", 1, time, "");
    let metadata = FileMetadata::read(&file)?;
    let all: Vec<i32> = schema.columns().iter().map(|field| field.id).collect();
    let scan = |name: &str, options: ReadOptions| -> Outcome<()> {
        let mut returned = 0;
        let mut sum = 0;
        let time = median(|| {
            (returned, sum) = read(&file, &metadata, &schema, options.clone())?;
            Ok(())
        })?;
        report(
            name,
            rows,
            time,
            &format!("{returned} rows returned, sum {sum}"),
        );
        Ok(())
    };
    let projection = |ids: &[i32]| ReadOptions {
        projection: ids.to_vec(),
        ..ReadOptions::default()
    };
    scan("scan all columns", projection(&all))?;
    scan("scan 4 columns", projection(&[6, 5, 7, 8]))?;
    scan("count", projection(&[]))?;
    let date = |op, value| Predicate::Compare {
        field_id: 11,
        op,
        value: Literal::Date(value),
    };
    for (name, days) in [("1 day", 1), ("1 year", 365), ("4 years", 1460)] {
        let range = Predicate::And(vec![
            date(CompareOp::GtEq, 8766),
            date(CompareOp::Lt, 8766 + days),
        ]);
        let options = |ids: &[i32]| ReadOptions {
            predicate: Some(range.clone()),
            ..projection(ids)
        };
        scan(&format!("4 columns of {name}"), options(&[6, 5, 7, 8]))?;
        scan(&format!("all columns of {name}"), options(&all))?;
    }
    let fetches = 200_u64;
    let time = median(|| {
        for n in 0..fetches {
            let row = n.wrapping_mul(7_919_777) % rows as u64;
            let rows = Some(RowRanges::from_positions([row]));
            read(
                &file,
                &metadata,
                &schema,
                ReadOptions {
                    rows,
                    ..projection(&all)
                },
            )?;
        }
        Ok(())
    })?;
    report("fetch single rows", usize::try_from(fetches)?, time, "");
    rewrite(&schema, &batches, rows, &directory.to_string_lossy())?;
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

/// Merges a hundred files into one.
fn rewrite(schema: &Schema, batches: &[RecordBatch], rows: usize, directory: &str) -> Outcome<()> {
    let io = LocalFileIo;
    let mut files = Vec::new();
    for part in batches.chunks(batches.len().div_ceil(100)) {
        let path = format!("{directory}/part{}.parquet", files.len());
        let output = io.create(&path)?;
        let mut writer = DataFileWriter::new(schema, path, output, WriteOptions::default())?;
        for batch in part {
            writer.write(batch)?;
        }
        files.push(ScanFile {
            data_file: writer.finish()?.into(),
            data_sequence_number: 1,
            deletes: Vec::new(),
        });
    }
    let (spec, uuid) = (PartitionSpec::unpartitioned(), Default::default());
    let table =
        TableMetadata::new_table(schema.clone(), spec, directory, Default::default(), uuid, 0);
    let inputs: Vec<_> = files
        .iter()
        .map(|file| RewriteInput {
            file,
            fills: &[],
            deleted_rows: None,
        })
        .collect();
    let threads = |count| Encoder::Threads(Arc::new(EncoderThreads::new(count, spawn)));
    let ahead: Spawn = spawn;
    for (name, encoder, read_ahead) in [
        ("rewrite inline", Encoder::Inline, None),
        ("rewrite, reading ahead", Encoder::Inline, Some(ahead)),
        ("rewrite, 2 encoder threads", threads(2), Some(ahead)),
    ] {
        let path = format!("{directory}/merged.parquet");
        let time = median(|| {
            io.delete(&path).ok();
            let write = WriteOptions {
                encoder: encoder.clone(),
                ..WriteOptions::default()
            };
            let options = RewriteOptions {
                write,
                read_ahead,
                ..RewriteOptions::default()
            };
            let mut create = || Ok((path.clone(), io.create(&path)?));
            let mut rewrite = Rewrite::new(&inputs, &table, schema, &io, options)?;
            while rewrite.step(&mut create)? {}
            rewrite.finish()?;
            Ok(())
        })?;
        report(name, rows, time, &format!("{} files", files.len()));
    }
    Ok(())
}

fn spawn(run: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().spawn(run)
}

fn median(mut run: impl FnMut() -> Outcome<()>) -> Outcome<Duration> {
    let mut times = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[REPEATS / 2])
}

fn report(name: &str, rows: usize, time: Duration, detail: &str) {
    let rate = rows as f64 / time.as_secs_f64();
    println!(
        "{name:28} {:9.1} ms  {rate:12.0} rows/s  {detail}",
        time.as_secs_f64() * 1e3
    );
}

/// Reads the file: rows returned, and the sum of the first column if it is a decimal.
fn read(
    file: &Arc<dyn InputFile>,
    metadata: &FileMetadata,
    schema: &Schema,
    options: ReadOptions,
) -> Outcome<(usize, i128)> {
    let (mut rows, mut sum) = (0, 0);
    for batch in DataFileReader::with_metadata(Arc::clone(file), metadata, schema, options)? {
        let batch = batch?.batch;
        rows += batch.num_rows();
        if let Some(column) = batch.columns().first()
            && let Some(column) = column.as_primitive_opt::<Decimal128Type>()
        {
            sum += column.values().iter().sum::<i128>();
        }
    }
    Ok((rows, sum))
}

fn lineitem() -> Schema {
    let decimal = P::Decimal {
        precision: 15,
        scale: 2,
    };
    let columns = [
        ("l_orderkey", P::Long),
        ("l_partkey", P::Long),
        ("l_suppkey", P::Long),
        ("l_linenumber", P::Int),
        ("l_quantity", decimal.clone()),
        ("l_extendedprice", decimal.clone()),
        ("l_discount", decimal.clone()),
        ("l_tax", decimal),
        ("l_returnflag", P::String),
        ("l_linestatus", P::String),
        ("l_shipdate", P::Date),
        ("l_commitdate", P::Date),
        ("l_receiptdate", P::Date),
        ("l_shipinstruct", P::String),
        ("l_shipmode", P::String),
        ("l_comment", P::String),
    ];
    let fields = (1..)
        .zip(columns)
        .map(|(id, (name, t))| NestedField::required(id, name, t));
    Schema::new(0, fields.collect())
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn generate(schema: &Schema, rows: usize) -> Outcome<Vec<RecordBatch>> {
    let arrow = arrow_schema(schema)?;
    let mut numbers = Numbers(42);
    let mut batches = Vec::new();
    let mut order = 0_i64;
    for start in (0..rows).step_by(BATCH_ROWS) {
        let count = BATCH_ROWS.min(rows - start);
        let mut below = |limit: u64| numbers.below(limit) as i64;
        let orders: Vec<i64> = (0..count)
            .map(|_| {
                order += i64::from(below(4) == 0) * (1 + below(8));
                order
            })
            .collect();
        let mut longs = |limit: u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(
                (0..count).map(|_| 1 + below(limit)),
            ))
        };
        let (parts, suppliers) = (longs(200_000), longs(10_000));
        let lines = Int32Array::from_iter_values((0..count).map(|_| 1 + below(7) as i32));
        let mut decimals = |first: i64, limit: u64, step: i64| -> Outcome<ArrayRef> {
            let values = (0..count).map(|_| i128::from(first + below(limit) * step));
            let array =
                Decimal128Array::from_iter_values(values).with_precision_and_scale(15, 2)?;
            Ok(Arc::new(array))
        };
        let quantity = decimals(100, 50, 100)?;
        let price = decimals(90_000, 10_400_000, 1)?;
        let (discount, tax) = (decimals(0, 11, 1)?, decimals(0, 9, 1)?);
        let mut words = |words: &[&'static str]| -> ArrayRef {
            let word = (0..count).map(|_| words[below(words.len() as u64) as usize]);
            Arc::new(StringArray::from_iter_values(word))
        };
        let (flag, status) = (words(&["A", "N", "R"]), words(&["O", "F"]));
        let instruct = words(&[
            "DELIVER IN PERSON",
            "COLLECT COD",
            "NONE",
            "TAKE BACK RETURN",
        ]);
        let mode = words(&["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"]);
        let ship: Vec<i32> = (0..count).map(|_| 8036 + below(2526) as i32).collect();
        let mut after = |limit: u64| -> ArrayRef {
            let days = ship.iter().map(|day| day + below(limit) as i32);
            Arc::new(Date32Array::from_iter_values(days))
        };
        let (commit, receipt) = (after(60), after(30));
        let comment = (0..count).map(|_| {
            let words = [
                "furiously",
                "regular",
                "deposits",
                "sleep",
                "carefully",
                "across",
                "the",
            ];
            let length = 2 + below(5);
            let words = (0..length)
                .map(|_| words[below(7) as usize])
                .collect::<Vec<_>>();
            format!("{} {:x}", words.join(" "), below(1 << 20))
        });
        let comment = StringArray::from_iter_values(comment);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(orders)),
            parts,
            suppliers,
            Arc::new(lines),
            quantity,
            price,
            discount,
            tax,
            flag,
            status,
            Arc::new(Date32Array::from(ship)),
            commit,
            receipt,
            instruct,
            mode,
            Arc::new(comment),
        ];
        batches.push(RecordBatch::try_new(Arc::clone(&arrow), columns)?);
    }
    Ok(batches)
}
