"""Segments by any column of the products or the sellers table: `brand=Acme`, `price=1 to 5`."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cprtools.errors import UsageError, list_names
from cprtools.evaluation.coding import BoolArray, FloatArray, IntArray, codes
from cprtools.tables import columns as c
from cprtools.tables import plain_text
from cprtools.tables.light import pc

MOST_VALUES = 20
OTHERS = "(others)"
NONE = "(none)"


@dataclass(frozen=True)
class Attribute:
    """One column as words: what each id is by it, null where that is not known."""

    name: str
    of: str
    """The id that it describes: `product_id` or `seller_id`."""
    ids: pa.Array
    words: pa.Array

    def codes_of(self, ids: pa.Array) -> tuple[IntArray, list[str]]:
        """The value of each id as a place among the values' names, (ids,) int64, -1 for none."""
        names = pc.drop_null(pc.unique(self.words)).sort()
        place = codes(ids, self.ids)
        return np.append(codes(self.words, names), -1)[place], names.to_pylist()

    def masks(self, ids: pa.Array) -> dict[str, BoolArray]:
        """Which of the ids have each value, by the segment's name: the most common ones and rest.

        MOST_VALUES values by the number of ids (ties by name), then all further ones together, and
        the ids without a value.
        """
        value, names = self.codes_of(ids)
        counts = np.bincount(value[value >= 0], minlength=len(names))
        order = [i for i in np.argsort(-counts, kind="stable") if counts[i]]
        shown = order[:MOST_VALUES]
        found = {f"{self.name}={names[i]}": value == i for i in shown}
        found[f"{self.name}={OTHERS}"] = (value >= 0) & ~np.isin(value, shown)
        found[f"{self.name}={NONE}"] = value < 0
        return {name: mask for name, mask in found.items() if mask.any()}


def attributes(wanted: Sequence[str], tables: Mapping[str, pa.Table]) -> list[Attribute]:
    """The columns of these names, a seller's own before a product's.

    tables: `sellers` and `products`, as far as there are any. Raises UsageError for a name that no
    table has.
    """
    keys = {"sellers": c.SELLER_ID, "products": c.PRODUCT_ID}
    given = {name: tables[name] for name in keys if name in tables}
    found = []
    for column in wanted:
        owner = next((name for name, t in given.items() if column in t.column_names), None)
        if owner is None or column in keys.values():
            known = [n for t in given.values() for n in t.column_names if n not in keys.values()]
            raise UsageError(
                f"--segment {column}: no such column of {' or '.join(given) or 'any table'}; "
                f"found {list_names(known) if known else 'none: give --products or --sellers'}"
            )
        table, key = given[owner], keys[owner]
        ids = table.column(key).combine_chunks()
        found.append(Attribute(column, key, ids, words_of(table.column(column))))
    return found


def words_of(column: pa.ChunkedArray) -> pa.Array:
    """The column as text: numbers of many values as quarters, of a list its first entry."""
    values = column.combine_chunks()
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return _number_words(values)
    if pa.types.is_boolean(values.type):
        return pc.if_else(values, "yes", "no")
    return plain_text(values)


def _number_words(values: pa.Array) -> pa.Array:
    known = pc.drop_null(values)
    known = known.filter(pc.is_finite(known)) if pa.types.is_floating(known.type) else known
    distinct = pc.unique(known)
    if len(distinct) <= MOST_VALUES:
        names = [str(v) if isinstance(v, int) else f"{v:.15g}" for v in distinct.to_pylist()]
        return pa.array(names, pa.string()).take(pc.index_in(values, value_set=distinct))
    numbers = np.asarray(known.to_numpy(zero_copy_only=False), dtype=np.float64)
    borders = np.unique(np.quantile(numbers, [0, 0.25, 0.5, 0.75, 1]))
    # whole numbers that differ in what a fraction does not hold are one part
    borders = np.repeat(borders, 2) if len(borders) == 1 else borders
    return _quarters(values, borders)


def _quarters(values: pa.Array, borders: FloatArray) -> pa.Array:
    """`low to high` of the border pair that holds each value; the lower border belongs to it."""
    names = [
        f"{part} ({low:.6g} to {high:.6g})"
        for part, (low, high) in enumerate(itertools.pairwise(borders.tolist()), 1)
    ]
    # not safe: of a whole number beyond 2^53 the nearest fraction will do
    filled = values.cast(pa.float64(), safe=False).fill_null(np.nan)
    numbers = np.asarray(filled.to_numpy(zero_copy_only=False), np.float64)
    place = np.clip(np.searchsorted(borders, numbers, side="right") - 1, 0, len(names) - 1)
    return pa.array(names).take(pa.array(place, mask=~np.isfinite(numbers)))
