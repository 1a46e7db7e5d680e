"""Hand-made files in the formats of public originals, and what examples/originals makes of them."""

import gzip
import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cprtools import tables

ROOT = Path(__file__).resolve().parents[2]
ORIGINALS = ROOT / "examples" / "originals"
SPECS = {
    "products": tables.PRODUCTS,
    "relations": tables.RELATIONS,
    "events": tables.EVENTS,
    "listings": tables.LISTINGS,
    "page_views": tables.PAGE_VIEWS,
    "high_demand": tables.HIGH_DEMAND,
}


def run(*words):
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def try_convert(name, folder, *options):
    return run(ORIGINALS / "convert.py", name, folder, "-o", folder / "out", *options)


def convert(name, folder, *options):
    """The tables that the script leaves in FOLDER/out, as tuples; cprtools takes each as it is."""
    done = try_convert(name, folder, *options)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    written = {path.stem: path for path in sorted((folder / "out").iterdir())}
    for table, path in written.items():
        schema = pq.read_schema(path)
        stored = [(f.name, schema.field(f.name).type) for f in SPECS[table].fields
                  if f.type is not None and f.name in schema.names]  # fmt: skip
        assert stored == [(f.name, f.type) for f in SPECS[table].schema if f.name in schema.names]
        # missing columns, null ids or two rows of one product would be refused here
        accepted = tables.read(tables.open_table(str(path), SPECS[table]))
        assert f"{path}: {accepted.num_rows} rows\n" in done.stderr
    return {table: rows_of(path) for table, path in written.items()}


def rows_of(path):
    """The table's column names, then its rows, in the file's order."""
    table = pq.read_table(path)
    return [tuple(table.column_names), *(tuple(row.values()) for row in table.to_pylist())]


def mine(folder, *words):
    """{(query_id, candidate_id): (co_purchase, co_view, purchase_after_view)}, and the report."""
    target = folder / "pairs.parquet"
    done = run("-m", "cprtools", "mine-pairs", *words, "--min-count", "1", "-o", target)
    assert done.returncode == 0, done.stderr
    counts = ("co_purchase", "co_view", "purchase_after_view")
    pairs = {
        (row["query_id"], row["candidate_id"]): tuple(row[name] for name in counts)
        for row in pq.read_table(target).to_pylist()
    }
    return pairs, done.stderr


def write(path, text, encoding="utf-8"):
    """A text file; gzipped where its name says so."""
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_parquet(path, **columns):
    pq.write_table(pa.table(columns), path)


def write_json_lines(path, *objects):
    write(path, "".join(json.dumps(each) + "\n" for each in objects))


def at(text):
    return datetime.fromisoformat(text)
