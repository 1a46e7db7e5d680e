"""Rows written as text, in each format that tables are read from."""

import csv
import gzip
import io
import json


def csv_text(columns, delimiter=","):
    """Columns of strings or None as CSV by Python's own writer; None is an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue()


def json_text(columns):
    rows = zip(*columns.values(), strict=True)
    lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    return "".join(line + "\n" for line in lines)


ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".json")


def write(path, columns):
    """Columns in the format of the path's ending; returns the path as text."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".csv"):
        text = csv_text(columns)
    else:
        text = csv_text(columns, "\t") if name.endswith(".tsv") else json_text(columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)
