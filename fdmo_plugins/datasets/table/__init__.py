"""The data set ``table``: images that a CSV, TSV or Parquet file lists."""
