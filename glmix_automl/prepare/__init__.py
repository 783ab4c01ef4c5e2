"""Spark in, Parquet shards out: raw tables become a dataset, see `docs/data.md`."""
