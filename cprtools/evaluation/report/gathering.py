"""What a report shows beside the metrics: curves over k, type transitions, examples, origins."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools import tables
from cprtools.evaluation.coding import IntArray, codes
from cprtools.evaluation.inputs import COMPLEMENTS, Inputs, evaluate_all, footer_of
from cprtools.evaluation.lists import SHOWN
from cprtools.evaluation.results import Evaluation
from cprtools.tables import Folder, Source
from cprtools.tables import columns as c
from cprtools.tables.light import pc

CURVE = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500)
MOST_TYPES = 12
EXAMPLES = 6
EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class Transitions:
    """How often products of a type are recommended to queries of a type, and bought with them."""

    names: tuple[str, ...]
    shown: npt.NDArray[np.float64]
    """(types, types) rows of the first k, query's type first."""
    bought: npt.NDArray[np.float64]
    """(types, types) held-out pairs that the metrics look for, by their counts."""
    k: int
    of_sellers: bool = False
    """Whether the queries are sellers."""


@dataclass(frozen=True)
class Row:
    """One recommended product of an example."""

    rank: int
    name: str
    kind: str
    reason: str
    is_true: bool


@dataclass(frozen=True)
class Example:
    """One query: what was recommended to it first, and what was held out."""

    name: str
    kind: str
    rows: tuple[Row, ...]
    held_out: tuple[str, ...]


@dataclass(frozen=True)
class Provenance:
    """One input: its rows, and how its own footer says that it was made, if it does."""

    name: str
    rows: int
    digest: str
    footer: Mapping[str, Any]


@dataclass(frozen=True)
class Details:
    """All of it. Transitions and examples are those of the first method."""

    curves: Sequence[Evaluation] = ()
    transitions: Transitions | None = None
    examples: Sequence[Example] = ()


def gather(inputs: Inputs, ks: Sequence[int], seed: int = 0) -> Details:
    """Read the recommendations again for what only a report shows."""
    longest = max(ks)
    cuts = sorted({*ks, *(k for k in CURVE if k <= longest)})
    curves = evaluate_all(inputs, cuts, bootstrap=0, with_details=True)
    held_out, listed = curves[0].held_out, curves[0].listed
    assert held_out is not None and listed is not None
    return Details(
        curves,
        type_transitions(inputs, held_out, listed, min(longest, SHOWN)),
        examples(inputs, held_out, listed, seed),
    )


def provenance(
    opened: Iterable[Source | Folder], described: Sequence[Mapping[str, Any]]
) -> list[Provenance]:
    """Where the inputs come from, one entry each; described: as the output's own footer has it."""
    found = []
    for place, entry in zip(opened, described, strict=True):
        if isinstance(place, Folder):
            footer = tables.read_footer(place.manifest_file)
        else:
            footer = footer_of(place)
        found.append(
            Provenance(
                str(entry["name"]),
                int(entry["rows"]),
                str(entry["digest"]),
                tables.parse_footer(footer),
            )
        )
    return found


def type_transitions(
    inputs: Inputs, held_out: pa.Table, listed: pa.Table, k: int
) -> Transitions | None:
    """From the query's type to the types among its first k; None where no types are known.

    held_out, listed: the pairs looked for and the lists as measured, as `Evaluation` has them: what
    was taken out of the lists, or is of queries without truth, would be compared with nothing.
    A seller's type is the one that most of its training listings have, ties by name.
    """
    products = inputs.extras.get("products")
    if products is None:
        return None
    words = tables.product_types(products)
    names = pc.drop_null(pc.unique(words)).sort()
    ids = products.column(c.PRODUCT_ID).combine_chunks()
    types = np.append(codes(words, names), -1)
    is_product = inputs.kind == COMPLEMENTS
    queries, of_query = (
        (ids, types) if is_product else _seller_types(inputs, ids, types, len(names))
    )
    listed = listed.filter(pc.less_equal(listed.column("rank"), k))
    sides = (
        (listed.column("query"), listed.column("product"), None),
        (held_out.column("query"), held_out.column("product"), held_out.column("weight")),
    )
    counts = [
        _count(of_query[codes(source, queries)], types[codes(target, ids)], weight, len(names))
        for source, target, weight in sides
    ]
    if not counts[0].any():
        return None
    return Transitions(
        tuple(names.to_pylist()), counts[0], counts[1], k, of_sellers=inputs.kind != COMPLEMENTS
    )


def _count(
    source: IntArray, target: IntArray, weight: pa.ChunkedArray | None, size: int
) -> npt.NDArray[np.float64]:
    known = (source >= 0) & (target >= 0)
    cells = source[known] * size + target[known]
    values = None if weight is None else weight.to_numpy()[known]
    return np.bincount(cells, values, size * size).reshape(size, size).astype(np.float64)


def _seller_types(
    inputs: Inputs, ids: pa.Array, types: IntArray, num_types: int
) -> tuple[pa.Array, IntArray]:
    train = inputs.extras.get("train", inputs.truth.slice(0, 0))
    sellers = pc.unique(train.column(c.SELLER_ID))
    sellers = sellers.combine_chunks() if isinstance(sellers, pa.ChunkedArray) else sellers
    kind = types[codes(train.column(c.PRODUCT_ID), ids)]
    known = kind >= 0
    cells = codes(train.column(c.SELLER_ID), sellers)[known] * max(num_types, 1) + kind[known]
    distinct, count = np.unique(cells, return_counts=True)
    most = np.full(len(sellers) + 1, -1)
    # from the least to the most listed: the last one written stays, of equals the first by name
    for cell in distinct[np.lexsort((-distinct, count))]:
        most[cell // num_types] = cell % num_types
    return sellers, most


def examples(inputs: Inputs, held_out: pa.Table, listed: pa.Table, seed: int) -> list[Example]:
    """Some queries with held-out data, drawn by the seed, and the first method's lists for them.

    Lists as they are measured: a known pair that was taken out would look like a miss.
    """
    query = c.QUERY_ID if inputs.kind == COMPLEMENTS else c.SELLER_ID
    known = pc.unique(listed.column("query")).sort()
    size = min(EXAMPLES, len(known))
    chosen = known.take(
        pa.array(np.random.default_rng(seed).choice(len(known), size, replace=False))
    )
    rows = _rows_of(inputs.methods[0][1], query, chosen)
    true = held_out.filter(pc.is_in(held_out.column("query"), chosen))
    names = _names(inputs, [*rows.column(c.PRODUCT_ID).to_pylist(), *chosen.to_pylist(),
                            *true.column("product").to_pylist()])  # fmt: skip
    # what was recommended, at the places that it has among what is measured
    place = {(r["query"], r["product"]): r["rank"] for r in
             listed.filter(pc.is_in(listed.column("query"), chosen)).to_pylist()}  # fmt: skip
    listed_rows = [
        r | {c.RANK: place[key]}
        for r in rows.to_pylist()
        if (key := (r[query], r[c.PRODUCT_ID])) in place
    ]
    true_rows = true.to_pylist()
    found = []
    for one in chosen.to_pylist():
        wanted = {r["product"] for r in true_rows if r["query"] == one}
        own = [r for r in listed_rows if r[query] == one][:EXAMPLE_ROWS]
        name, kind = names.get(one, (one, ""))
        found.append(Example(name, kind, tuple(_row(r, names, wanted) for r in own),
                             tuple(names.get(w, (w, ""))[0] for w in sorted(wanted))))  # fmt: skip
    return found


def _row(row: Mapping[str, Any], names: Mapping[str, tuple[str, str]], wanted: set[str]) -> Row:
    product = row[c.PRODUCT_ID]
    name, kind = names.get(product, (product, ""))
    kind = kind or row.get(c.PRODUCT_TYPE) or row.get(c.CATEGORY) or ""
    return Row(row[c.RANK], name, kind, row.get(c.REASON) or "", product in wanted)


def _rows_of(source: Source, query: str, chosen: pa.Array) -> pa.Table:
    """All columns of the lists of these queries, in the order of the ranks."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.register("chosen", pa.table({"id": chosen}))
        rows = f"SELECT * FROM ({tables.scan_sql(source)}) WHERE {query} IN (SELECT id FROM chosen)"
        try:
            return connection.sql(f"{rows} ORDER BY {query}, {c.RANK}").to_arrow_table()
        except duckdb.Error as error:
            raise tables.explain(source, error) from error


def _names(inputs: Inputs, wanted: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Title (else id) and type of these ids, as far as the products know them."""
    products = inputs.extras.get("products")
    if products is None:
        return {}
    kept = products.filter(pc.is_in(products.column(c.PRODUCT_ID), pa.array(wanted, pa.string())))
    ids = kept.column(c.PRODUCT_ID).to_pylist()
    titles = kept.column(c.TITLE).to_pylist() if c.TITLE in kept.column_names else ids
    kinds = tables.product_types(kept).to_pylist()
    return {i: (t or i, k or "") for i, t, k in zip(ids, titles, kinds, strict=True)}
