"""The core's own formats: a project folder and Parquet predictions."""
