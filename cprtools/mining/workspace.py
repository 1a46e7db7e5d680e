"""A DuckDB database in a temporary folder: intermediate tables on disk, memory bounded."""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from cprtools.errors import DataError, UsageError
from cprtools.tables import explain, scan_sql
from cprtools.tables.source import Source

_PARAMETER = re.compile(r"\$(\w+)")
# how DuckDB says that the file it spills to cannot grow: no space, a quota, a limit of the process
_DISK_FULL = re.compile(r"no space left|disk quota|file too large|disk full", re.IGNORECASE)


class Workspace:
    """One connection and the parameters that its statements may name."""

    def __init__(self, connection: Any, memory_limit: str) -> None:
        self.connection = connection
        self.memory_limit = memory_limit
        self.values: dict[str, Any] = {}

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute one statement; returns its rows. Raises UsageError where memory is too small."""
        with self._translated():
            return list(self._execute(statement).fetchall())

    def record(self, statement: str) -> dict[str, int]:
        """The one row of a statement, by column name."""
        with self._translated():
            result = self._execute(statement)
            names = [column[0] for column in result.description]
            return dict(zip(names, result.fetchone(), strict=True))

    def table(self, query: str) -> pa.Table:
        """The rows of a query as an Arrow table."""
        with self._translated():
            return self.connection.sql(query, params=self._named(query)).to_arrow_table()

    def _execute(self, statement: str) -> Any:
        return self.connection.execute(statement, self._named(statement))

    def _named(self, statement: str) -> dict[str, Any]:
        return {name: self.values[name] for name in _PARAMETER.findall(statement)}

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except duckdb.OutOfMemoryException as error:
            if "temp_directory" in str(error) or "disk" in str(error).lower():
                raise _no_room() from error
            raise UsageError(f"--memory-limit {self.memory_limit} is too small here") from error
        except duckdb.Error as error:
            if _DISK_FULL.search(str(error)):
                raise _no_room() from error
            raise

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


def _no_room() -> DataError:
    return DataError("the temporary folder is full; TMPDIR names another")


@contextlib.contextmanager
def open_workspace(memory_limit: str, threads: int | None) -> Iterator[Workspace]:
    """A workspace whose folder is removed at the end. Raises UsageError for a limit of no size."""
    import duckdb

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cprtools-")))
        # a database file: its tables are compressed and leave memory without a copy to a swap file
        connection = stack.enter_context(duckdb.connect(str(folder / "mining.duckdb")))
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET temp_directory = $1", [str(folder / "spilled")])
        if threads is not None:
            connection.execute("SET threads = $1", [threads])
        try:
            connection.execute("SET memory_limit = $1", [memory_limit])
        except duckdb.Error as error:
            raise UsageError(f"--memory-limit {memory_limit} is too small") from error
        yield Workspace(connection, memory_limit)
