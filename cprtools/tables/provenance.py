"""Footers: what a file was made from, with which command, so that a number can be traced."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cprtools import __version__
from cprtools.tables.reading import files_sql
from cprtools.tables.source import Source

PREFIX = "cprtools."


@dataclass(frozen=True)
class Footer:
    """Everything that decides a file's rows, and nothing else (no clock, no absolute path)."""

    command: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    inputs: Sequence[Any] = ()

    def metadata(self) -> dict[bytes, bytes]:
        """The key-value pairs of the Parquet footer."""
        inputs = [describe_input(source) for source in self.inputs]
        values = {
            "version": __version__,
            "command": self.command,
            "params": json.dumps(self.params, sort_keys=True, default=str),
            "seed": str(self.seed),
            "inputs": json.dumps(inputs, sort_keys=True),
        }
        return {(PREFIX + key).encode(): value.encode() for key, value in values.items()}


def describe_input(source: Any) -> dict[str, Any]:
    """Name, row count and digest of a Source or a Folder."""
    if isinstance(source, Source):
        rows, digest = digest_rows(source)
        return {"name": source.label, "rows": rows, "digest": digest}
    return dict(source.describe())


def digest_rows(source: Source) -> tuple[int, str]:
    """Row count, and a digest of the rows that neither their order nor the file layout changes.

    The sum of DuckDB's 64-bit row hashes, so a file and a pipe of the same rows agree.
    """
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        query = f"SELECT count(*), sum(hash(t)::HUGEINT) FROM {files_sql(source)} t"
        row = connection.execute(query).fetchone()
    rows, total = row if row is not None else (0, 0)
    return int(rows), f"{int(total or 0) % (1 << 64):016x}"


def read_footer(path: str) -> dict[str, str]:
    """Our keys of a Parquet file's footer, without the prefix; empty for foreign files."""
    metadata: Mapping[bytes, bytes] = pq.read_schema(path).metadata or {}
    return {
        key.decode()[len(PREFIX) :]: value.decode(errors="replace")
        for key, value in metadata.items()
        if key.startswith(PREFIX.encode())
    }


def with_metadata(schema: pa.Schema, metadata: Mapping[bytes, bytes]) -> pa.Schema:
    """The schema with these footer keys in place of any it had."""
    return schema.with_metadata(dict(metadata))
