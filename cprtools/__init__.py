"""Complementary-product and seller-product recommendations from Parquet files."""

__version__ = "0.1.0"
