"""Write Parquet whole or not at all: to a file by rename, or to standard output."""

import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cprtools.errors import CLOSED_PIPE, DataError, SchemaError, UsageError, quote, reason
from cprtools.tables.formats import refuse_text_name
from cprtools.tables.leftovers import claimed
from cprtools.tables.piping import STDIN
from cprtools.tables.provenance import Footer, with_metadata

STDOUT = STDIN
# an id that may name a file: no separators, no leading dot, of a length every system takes
_LONGEST_NAME = 200
_PIPED_AT_A_TIME = 1 << 20
_FILE_NAME = re.compile(r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,199}")


def write(
    table: pa.Table | pa.RecordBatchReader, target: str, footer: Footer | None = None
) -> None:
    """Write a table, or a stream of batches, with its footer; `-` is standard output.

    Raises DataError where the place cannot be written, UsageError for a terminal and for the name
    of a text file.
    """
    metadata = (footer or Footer()).metadata()
    if target == STDOUT and isinstance(table, pa.Table):
        write_stdout(parquet_bytes(table, metadata))
        return
    if target == STDOUT:
        _stream_stdout(table, metadata)
        return
    refuse_text_name(target)
    with replacing(target) as out:
        write_parquet(table, out, metadata)


def _stream_stdout(table: pa.RecordBatchReader, metadata: Mapping[bytes, bytes]) -> None:
    """Write a stream that may be larger than memory: whole on disk before the first byte goes."""
    refuse_terminal()
    try:
        with tempfile.TemporaryFile() as spool:
            write_parquet(table, spool, metadata)
            spool.seek(0)
            while part := spool.read(_PIPED_AT_A_TIME):
                write_stdout(part)
    except OSError as error:
        raise no_room(error) from error


def no_room(error: OSError) -> DataError:
    """What to raise where the temporary folder took no more."""
    return DataError(f"the temporary folder: {reason(error)}; TMPDIR names another")


def write_all(parts: Sequence[tuple[pa.Table, str, Footer]]) -> None:
    """Write several tables, all of them or none: every file is complete before the first rename.

    At most one target is `-`; it is written before the renames, so a closed pipe leaves no file.
    Raises as `write` does.
    """
    with contextlib.ExitStack() as stack:
        for table, target, footer in sorted(parts, key=lambda part: part[1] == STDOUT):
            if target == STDOUT:
                write_stdout(parquet_bytes(table, footer.metadata()))
                continue
            out = stack.enter_context(replacing(target))
            write_parquet(table, out, footer.metadata())
            # a full disk shows here, while no file has taken its place yet
            _to_disk(out)


def write_with_text(
    table: pa.Table | pa.RecordBatchReader | str,
    target: str,
    footer: Footer,
    text: str,
    text_target: str,
) -> None:
    """Write a table and a text about it, both or neither; one of the targets at most is `-`.

    table: or its text, such as CSV, which has no footer. Raises as `write` does.
    """
    with contextlib.ExitStack() as stack:
        if text_target != STDOUT:
            out = stack.enter_context(replacing(text_target))
            out.write(text.encode())
            # a full disk shows here, before the table takes its place
            _to_disk(out)
        if isinstance(table, str):
            write_text(table, target)
        else:
            write(table, target, footer)
    if text_target == STDOUT:
        write_text(text, text_target)


def write_text(text: str, target: str) -> None:
    """Write a text file (a report) atomically; `-` is standard output."""
    if target == STDOUT:
        write_stdout(text.encode(), binary=False)
        return
    with replacing(target) as out:
        out.write(text.encode())


def write_partitions(table: pa.Table, target: str, key: str, footer: Footer) -> int:
    """One file per value of `key`, `target/VALUE.parquet`, each written whole or not at all.

    Returns how many other tables, of an earlier run perhaps, stay beside them.
    Raises DataError where the folder cannot be written, SchemaError for values that name no file.
    """
    keys = table.column(key).combine_chunks().dictionary_encode()
    values = keys.dictionary.to_pylist()
    for value in [*values, *([None] if keys.null_count else [])]:
        name = value if isinstance(value, str) else ""
        if not _FILE_NAME.fullmatch(name) or len(os.fsencode(name)) > _LONGEST_NAME:
            raise SchemaError(f"{key} {quote(value)} cannot be the name of a file")
    try:
        Path(target).mkdir(exist_ok=True)
    except OSError as error:
        raise DataError(f"{target}: {reason(error)}") from error
    metadata = footer.metadata()
    codes = keys.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(values) + 1))
    for number, value in enumerate(values):
        rows = table.take(pa.array(order[starts[number] : starts[number + 1]]))
        with replacing(os.path.join(target, f"{value}.parquet")) as out:
            write_parquet(rows, out, metadata)
    written = {f"{value}.parquet" for value in values}
    return len({path.name for path in Path(target).glob("*.parquet")} - written)


def write_parquet(
    table: pa.Table | pa.RecordBatchReader, out: IO[bytes] | str, metadata: Mapping[bytes, bytes]
) -> None:
    """Write one Parquet file: zstd, footer keys in the schema's metadata."""
    schema = with_metadata(table.schema, metadata)
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        if isinstance(table, pa.Table):
            writer.write_table(table.cast(schema))
            return
        for batch in table:
            writer.write_batch(batch.cast(schema) if batch.schema != schema else batch)


def parquet_bytes(table: pa.Table | pa.RecordBatchReader, metadata: Mapping[bytes, bytes]) -> bytes:
    """One Parquet file in memory, for a pipe."""
    buffer = io.BytesIO()
    write_parquet(table, buffer, metadata)
    return buffer.getvalue()


def refuse_terminal() -> None:
    """Raise UsageError when standard output is a terminal: Parquet would garble it."""
    _refuse_closed()
    if sys.stdout.isatty():
        raise UsageError("Parquet is not written to a terminal; use -o FILE or a pipe")


def _refuse_closed() -> None:
    if sys.stdout is None:
        raise DataError("standard output: closed; use -o FILE or a pipe")


def write_stdout(data: bytes, *, binary: bool = True) -> None:
    """Write bytes to standard output; a reader that has gone ends the program quietly with 141."""
    _refuse_closed()
    if binary:
        refuse_terminal()
    try:
        sys.stdout.flush()
        left = memoryview(data)
        while left:
            # under PYTHONUNBUFFERED the buffer is the bare file, which may take only a part
            left = left[sys.stdout.buffer.write(left) :]
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # the interpreter flushes stdout again at exit: give it somewhere harmless to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(CLOSED_PIPE) from None
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise DataError(f"standard output: {reason(error)}") from error


@contextlib.contextmanager
def replacing(target: str) -> Iterator[IO[bytes]]:
    """A file that takes the target's place once the block ends well; otherwise nothing changes.

    A device or a named pipe is written to, not replaced; a link stays one.
    """
    if os.path.isdir(target):
        raise DataError(f"{target}: is a folder; name a file")
    # realpath: /dev/stdout is a link to a pipe that has no place in a folder
    if is_device(target):
        with _device(target) as out:
            yield out
        return
    path = Path(os.path.realpath(target))
    try:
        with claimed(path) as part:
            with open(part, "wb") as out:
                yield out
                _to_disk(out)
            os.replace(part, path)
    except OSError as error:
        raise DataError(f"{target}: {reason(error)}") from error


def _to_disk(out: IO[bytes]) -> None:
    out.flush()
    os.fsync(out.fileno())


def check_writable(target: str) -> None:
    """Refuse what cannot be written before hours are spent. Raises DataError, UsageError."""
    check_place(target)
    if target != STDOUT and os.path.isdir(target):
        raise DataError(f"{target}: is a folder; name a file")


@contextlib.contextmanager
def _device(target: str) -> Iterator[IO[bytes]]:
    # whole before the first byte goes; it may be larger than memory
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(tempfile.TemporaryFile())
            yield held
            held.seek(0)
        except OSError as error:
            raise no_room(error) from error
        try:
            with open(target, "wb") as out:
                shutil.copyfileobj(held, out, _PIPED_AT_A_TIME)
        except BrokenPipeError:
            raise SystemExit(CLOSED_PIPE) from None
        except OSError as error:
            raise DataError(f"{target}: {reason(error)}") from error


def check_place(target: str) -> None:
    """As `check_writable`, whether a file or a folder is to be written there."""
    if target == STDOUT:
        refuse_terminal()
        return
    if not target:
        raise UsageError("the name of the output is empty; - is standard output")
    path = os.path.realpath(target)
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        raise DataError(f"{target}: the folder {Path(target).parent} does not exist")
    # realpath leads from a descriptor of the shell's to no path at all
    if not os.access(target if is_device(target) else parent, os.W_OK):
        raise DataError(f"{target}: permission denied")


def is_device(path: str) -> bool:
    """Whether a pipe or a device is there, which is written to and never replaced."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def check_tables_writable(targets: Sequence[str], texts: Sequence[str] = ()) -> None:
    """As `check_all_writable` where the targets become tables, which are Parquet.

    texts: further targets of the command, that do not.
    """
    for target in targets:
        refuse_text_name(target)
    check_all_writable([*targets, *texts])


def check_all_writable(targets: Sequence[str]) -> None:
    """As `check_writable` for the targets of one command, which must be different places."""
    if len({os.path.realpath(t) if t != STDOUT else t for t in targets}) < len(targets):
        raise UsageError(f"two outputs go to {targets[0]!r}; name a different place for each")
    for target in targets:
        check_writable(target)
