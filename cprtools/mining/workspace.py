"""A DuckDB database in a temporary folder: intermediate tables on disk, memory bounded."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.errors import UsageError
from cprtools.mining.rules import size_bytes
from cprtools.tables import explain, scan_sql
from cprtools.tables.duck import is_disk_full, no_room
from cprtools.tables.leftovers import temporary_folder
from cprtools.tables.source import Source

IntArray = npt.NDArray[np.int64]

_PARAMETER = re.compile(r"\$(\w+)")


class Workspace:
    """One connection, parameters that its statements may name, a folder, and what may be used."""

    def __init__(self, connection: Any, folder: Path, memory_limit: str, threads: int) -> None:
        self.connection = connection
        self.folder = folder
        self.memory_limit = memory_limit
        self.threads = threads
        self.values: dict[str, Any] = {}

    @property
    def share(self) -> int:
        """Bytes that each thread may use while the database makes room."""
        return size_bytes(self.memory_limit) // 2 // self.threads

    @contextlib.contextmanager
    def making_room(self) -> Iterator[None]:
        """Inside, the database keeps to half of the memory and leaves `share` to each thread."""
        half = f"{size_bytes(self.memory_limit) // 2}B"
        self._execute(f"SET memory_limit = '{half}'")
        yield
        self._execute(f"SET memory_limit = '{self.memory_limit}'")

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute one statement; returns its rows. Raises UsageError where memory is too small."""
        with _translated(self.memory_limit):
            return list(self._execute(statement).fetchall())

    def record(self, statement: str) -> dict[str, int]:
        """The one row of a statement, by column name."""
        with _translated(self.memory_limit):
            result = self._execute(statement)
            names = [column[0] for column in result.description]
            return dict(zip(names, result.fetchone(), strict=True))

    def table(self, query: str) -> pa.Table:
        """The rows of a query as an Arrow table."""
        with _translated(self.memory_limit):
            return self.connection.sql(query, params=self._named(query)).to_arrow_table()

    def columns(self, query: str, *, shared: bool = True) -> list[IntArray]:
        """The columns of a query as int64 arrays, no nulls.

        shared: may be called from several threads at once, but sees no temporary tables and nothing
        of a transaction that has not ended.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(_translated(self.memory_limit))
            run = self.connection
            if shared:
                run = stack.enter_context(self.connection.cursor())
            found = run.execute(query, self._named(query)).fetchnumpy()
        return [np.ascontiguousarray(column, np.int64) for column in found.values()]

    def insert(self, table: str, columns: Sequence[IntArray]) -> None:
        """Add rows, given as the table's columns in order."""
        rows = pa.table({f"c{number}": column for number, column in enumerate(columns)})
        with _translated(self.memory_limit):
            self.connection.register("rows_to_insert", rows)
            self.connection.execute(f"INSERT INTO {table} SELECT * FROM rows_to_insert")
            self.connection.unregister("rows_to_insert")

    def _execute(self, statement: str) -> Any:
        return self.connection.execute(statement, self._named(statement))

    def _named(self, statement: str) -> dict[str, Any]:
        return {name: self.values[name] for name in _PARAMETER.findall(statement)}

    @contextlib.contextmanager
    def reading(self, source: Source) -> Iterator[None]:
        """Name the source's rows `log` for the statements inside, which scan it.

        Raises SchemaError for values that are not what their column holds, DataError for damage.
        """
        import duckdb

        try:
            self.connection.execute(f"CREATE TEMP VIEW log AS {scan_sql(source)}")
            yield
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            raise explain(source, error, self.connection) from error


@contextlib.contextmanager
def _translated(memory_limit: str) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        if is_disk_full(error):
            raise no_room() from error
        if isinstance(error, duckdb.OutOfMemoryException):
            raise UsageError(f"--memory-limit {memory_limit} is too small here") from error
        raise


@contextlib.contextmanager
def open_workspace(
    memory_limit: str, threads: int | None, database: Path | None = None
) -> Iterator[Workspace]:
    """A workspace whose folder is removed at the end; a database named by the caller stays.

    Raises UsageError for a limit of no size.
    """
    import duckdb

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        # a database file: its tables are compressed and leave memory without a copy to a swap file
        place = database or folder / "mining.duckdb"
        # the file is written to when it is made and when it is closed, too
        stack.enter_context(_translated(memory_limit))
        connection = stack.enter_context(duckdb.connect(str(place)))
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET temp_directory = $1", [str(folder / "spilled")])
        threads = threads or len(os.sched_getaffinity(0))
        connection.execute("SET threads = $1", [threads])
        try:
            connection.execute("SET memory_limit = $1", [memory_limit])
        except duckdb.Error as error:
            raise UsageError(f"--memory-limit {memory_limit} is too small") from error
        yield Workspace(connection, folder, memory_limit, threads)
