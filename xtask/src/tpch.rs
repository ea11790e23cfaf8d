//! TPC-H: tables, rows by the generator `tpchgen`, and the queries shown.

use std::io::Write;
use tpchgen::csv::{
    CustomerCsv, LineItemCsv, NationCsv, OrderCsv, PartCsv, PartSuppCsv, RegionCsv, SupplierCsv,
};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};

/// A table of TPC-H.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Region,
    Nation,
    Supplier,
    Customer,
    Part,
    PartSupp,
    Orders,
    LineItem,
}

pub const TABLES: [Table; 8] = [
    Table::Region,
    Table::Nation,
    Table::Supplier,
    Table::Customer,
    Table::Part,
    Table::PartSupp,
    Table::Orders,
    Table::LineItem,
];

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Nation => "nation",
            Self::Supplier => "supplier",
            Self::Customer => "customer",
            Self::Part => "part",
            Self::PartSupp => "partsupp",
            Self::Orders => "orders",
            Self::LineItem => "lineitem",
        }
    }

    /// Column definitions as in the specification (section 1.4), without keys.
    pub fn columns(self) -> &'static str {
        match self {
            Self::Region => {
                "r_regionkey integer NOT NULL, r_name char(25) NOT NULL, r_comment varchar(152)"
            }
            Self::Nation => {
                "n_nationkey integer NOT NULL, n_name char(25) NOT NULL, \
                 n_regionkey integer NOT NULL, n_comment varchar(152)"
            }
            Self::Supplier => {
                "s_suppkey bigint NOT NULL, s_name char(25) NOT NULL, \
                 s_address varchar(40) NOT NULL, s_nationkey integer NOT NULL, \
                 s_phone char(15) NOT NULL, s_acctbal numeric(15,2) NOT NULL, \
                 s_comment varchar(101) NOT NULL"
            }
            Self::Customer => {
                "c_custkey bigint NOT NULL, c_name varchar(25) NOT NULL, \
                 c_address varchar(40) NOT NULL, c_nationkey integer NOT NULL, \
                 c_phone char(15) NOT NULL, c_acctbal numeric(15,2) NOT NULL, \
                 c_mktsegment char(10) NOT NULL, c_comment varchar(117) NOT NULL"
            }
            Self::Part => {
                "p_partkey bigint NOT NULL, p_name varchar(55) NOT NULL, p_mfgr char(25) NOT NULL, \
                 p_brand char(10) NOT NULL, p_type varchar(25) NOT NULL, p_size integer NOT NULL, \
                 p_container char(10) NOT NULL, p_retailprice numeric(15,2) NOT NULL, \
                 p_comment varchar(23) NOT NULL"
            }
            Self::PartSupp => {
                "ps_partkey bigint NOT NULL, ps_suppkey bigint NOT NULL, \
                 ps_availqty integer NOT NULL, ps_supplycost numeric(15,2) NOT NULL, \
                 ps_comment varchar(199) NOT NULL"
            }
            Self::Orders => {
                "o_orderkey bigint NOT NULL, o_custkey bigint NOT NULL, \
                 o_orderstatus char(1) NOT NULL, o_totalprice numeric(15,2) NOT NULL, \
                 o_orderdate date NOT NULL, o_orderpriority char(15) NOT NULL, \
                 o_clerk char(15) NOT NULL, o_shippriority integer NOT NULL, \
                 o_comment varchar(79) NOT NULL"
            }
            Self::LineItem => {
                "l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL, \
                 l_linenumber integer NOT NULL, l_quantity numeric(15,2) NOT NULL, \
                 l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL, \
                 l_tax numeric(15,2) NOT NULL, l_returnflag char(1) NOT NULL, \
                 l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, \
                 l_commitdate date NOT NULL, l_receiptdate date NOT NULL, \
                 l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL, \
                 l_comment varchar(44) NOT NULL"
            }
        }
    }

    /// Writes the table's rows at `scale_factor` as CSV without a header.
    pub fn write_csv(
        self,
        scale_factor: f64,
        out: &mut (impl Write + ?Sized),
    ) -> std::io::Result<()> {
        macro_rules! rows {
            ($generator:ident, $csv:ident) => {
                for row in $generator::new(scale_factor, 1, 1).iter() {
                    writeln!(out, "{}", $csv::new(row))?;
                }
            };
        }
        match self {
            Self::Region => rows!(RegionGenerator, RegionCsv),
            Self::Nation => rows!(NationGenerator, NationCsv),
            Self::Supplier => rows!(SupplierGenerator, SupplierCsv),
            Self::Customer => rows!(CustomerGenerator, CustomerCsv),
            Self::Part => rows!(PartGenerator, PartCsv),
            Self::PartSupp => rows!(PartSuppGenerator, PartSuppCsv),
            Self::Orders => rows!(OrderGenerator, OrderCsv),
            Self::LineItem => rows!(LineItemGenerator, LineItemCsv),
        }
        Ok(())
    }
}

pub const Q1: &str = "\
SELECT l_returnflag, l_linestatus, sum(l_quantity) AS sum_qty,
       sum(l_extendedprice) AS sum_base_price,
       sum(l_extendedprice * (1 - l_discount)) AS sum_disc_price,
       round(avg(l_quantity), 2) AS avg_qty, round(avg(l_discount), 4) AS avg_disc,
       count(*) AS count_order
FROM tpch.lineitem
WHERE l_shipdate <= date '1998-12-01' - interval '90 days'
GROUP BY l_returnflag, l_linestatus
ORDER BY l_returnflag, l_linestatus";

pub const Q3: &str = "\
SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
FROM tpch.customer
JOIN tpch.orders ON o_custkey = c_custkey
JOIN tpch.lineitem ON l_orderkey = o_orderkey
WHERE c_mktsegment = 'BUILDING' AND o_orderdate < date '1995-03-15'
  AND l_shipdate > date '1995-03-15'
GROUP BY l_orderkey, o_orderdate, o_shippriority
ORDER BY revenue DESC, o_orderdate
LIMIT 10";

pub const Q6: &str = "\
SELECT sum(l_extendedprice * l_discount) AS revenue
FROM tpch.lineitem
WHERE l_shipdate >= date '1994-01-01' AND l_shipdate < date '1995-01-01'
  AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24";

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn rows_have_as_many_fields_as_the_table_has_columns() {
        for table in TABLES {
            let mut csv = Vec::new();
            table.write_csv(0.001, &mut csv).unwrap();
            let text = String::from_utf8(csv).unwrap();
            let line = text.lines().next().unwrap();
            // Commas outside quotes, and outside the parentheses of types.
            let fields = line
                .split('"')
                .step_by(2)
                .collect::<String>()
                .split(',')
                .count();
            let columns = table.columns().replace("15,2", "").split(',').count();
            assert_eq!(fields, columns, "{}: {line}", table.name());
        }
    }

    #[test]
    fn the_generator_makes_the_specified_number_of_rows() {
        let mut csv = Vec::new();
        Table::Orders.write_csv(0.01, &mut csv).unwrap();
        assert_eq!(csv.iter().filter(|byte| **byte == b'\n').count(), 15_000);
    }
}
