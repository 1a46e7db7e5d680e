"""Where the strings of a table lie, so that single rows of it are read in place, found by id."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.baselines.stored import Stored
from cprtools.tables.mapped import text_ends

PLACES = "_places"
_END, _ORDER = "end_", "order_"


def places_of(table: pa.Table, key: str, codes: dict[str, npt.NDArray[Any]]) -> pa.Table:
    """Member `NAME_places` of a table: one row for each of its rows.

    `end_COLUMN` of every string column, `order_KEY`, the rows in the order of their ids' bytes,
    and the codes that are given.
    """
    columns: dict[str, Any] = {
        _END + name: text_ends(table.column(name))
        for name in table.column_names
        if pa.types.is_string(table.schema.field(name).type)
    }
    ids = [value.encode() for value in table.column(key).to_pylist()]
    columns[_ORDER + key] = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int32)
    columns |= {name: values.astype(np.int32) for name, values in codes.items()}
    return pa.table(columns)


class TextTable:
    """The string columns of a member, by row, and its rows by id."""

    def __init__(self, stored: Stored, member: str):
        self._table = stored.table(member)
        self._places = stored.table(member + PLACES)
        self._read: dict[str, npt.NDArray[Any]] = {}
        found = self._places.names
        self.names = {name.removeprefix(_END) for name in found if name.startswith(_END)}

    def text(self, name: str, row: int) -> str | None:
        """One string, None for null."""
        return self._table.text(name, self._column(_END + name), int(row))

    def find(self, name: str, wanted: str) -> int:
        """The row of an id, -1 where there is none."""
        order = self._column(_ORDER + name)
        key = wanted.encode()
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            if (self.text(name, order[middle]) or "").encode() < key:
                low = middle + 1
            else:
                high = middle
        if low < len(order) and self.text(name, order[low]) == wanted:
            return int(order[low])
        return -1

    def _column(self, name: str) -> npt.NDArray[Any]:
        if name not in self._read:
            self._read[name] = self._places.numbers(name)
        return self._read[name]
