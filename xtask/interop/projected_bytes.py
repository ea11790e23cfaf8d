"""Bytes that a scan of some columns needs of Parquet files: of their column chunks, and of the footers.

Arguments: the columns, joined by commas, and the files. Writes the two numbers."""

import os
import struct
import sys

import pyarrow.parquet

columns = set(sys.argv[1].split(","))
chunks = footers = 0
for path in sys.argv[2:]:
    with open(path, "rb") as file:
        file.seek(-8, os.SEEK_END)
        footers += 8 + struct.unpack("<I", file.read(4))[0]
    metadata = pyarrow.parquet.ParquetFile(path).metadata
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            if column.path_in_schema in columns:
                chunks += column.total_compressed_size
print(chunks, footers)
