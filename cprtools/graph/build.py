"""Listings, pairs, products, high demand and page views joined into one typed graph."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from cprtools import tables
from cprtools.errors import SchemaError, UsageError
from cprtools.graph.queries import EDGES_SQL, FACTS_SQL, MATCHES_SQL, NODES_SQL, PREPARE_SQL
from cprtools.tables import columns as c
from cprtools.tables.duck import is_disk_full, no_room
from cprtools.tables.leftovers import temporary_folder
from cprtools.tables.light import pc

# a clock that is a zone ahead is no mistake
_LEEWAY = timedelta(days=1)
# rows of a column that holds one value
_CHUNK = 1 << 17
# less than one row in so many goes with the other tables: their ids are written in another way
_ONE_IN = 10


@dataclass(frozen=True)
class GraphInputs:
    """The tables a graph is made from; listings or pairs at least."""

    listings: tables.Source | None = None
    pairs: tables.Source | None = None
    products: tables.Source | None = None
    high_demand: tables.Source | None = None
    views: tables.Source | None = None
    sellers: tables.Source | None = None
    """Sellers that may list nothing yet, with the category that each declares."""


@dataclass(frozen=True)
class GraphReport:
    """Counts of a built graph: what is in it, and what the input had that it does not use."""

    sellers: int
    products: int
    high_demand: int
    additional: int
    listings: int
    bought_together: int
    """Unordered pairs of products."""
    high_demand_listings: int
    high_demand_degree: int
    """Ends of listings and bought-with edges at high-demand products."""
    duplicate_listings: int
    unknown_listings: int
    unknown_high_demand: int
    views_without_time: int
    views_in_the_future: int
    matches: dict[str, tuple[int, int]]
    """By input, named as in GraphInputs, the rows that count and those whose ids others have."""

    @property
    def strangers(self) -> dict[str, tuple[int, int]]:
        """Of `matches` the inputs hardly any of whose rows, under a tenth, go with the others."""
        return {k: (n, found) for k, (n, found) in self.matches.items() if found * _ONE_IN < n}

    @property
    def sparsity(self) -> float | None:
        """Share of (seller, high-demand product) pairs that are not listed; None without pairs."""
        cells = self.sellers * self.high_demand
        return 1 - self.high_demand_listings / cells if cells else None

    @property
    def edges_before(self) -> float | None:
        """Listings per high-demand product."""
        return self.high_demand_listings / self.high_demand if self.high_demand else None

    @property
    def edges_after(self) -> float | None:
        """Listings and bought-with edges per high-demand product."""
        return self.high_demand_degree / self.high_demand if self.high_demand else None


def build_graph(
    inputs: GraphInputs,
    *,
    additional: int | None = None,
    min_bought_together: int = 2,
    views_months: int = 12,
    threads: int | None = None,
) -> tuple[pa.Table, pa.Table, GraphReport]:
    """Nodes (tables.NODES) and edges (tables.EDGES), sorted, and what to report of them.

    `additional` products beside the listed and the high-demand ones, most viewed first; None: all
    that occur. Bought-with edges need `min_bought_together` co-purchases in one direction. Views
    count over the last `views_months` months before the newest one; rows without a time count
    only where no row has one, and rows more than a day in the future not at all.
    Raises UsageError where listings and pairs are both missing, SchemaError for unusable tables,
    DataError where what does not fit into memory finds no room in the temporary folder.
    """
    if inputs.listings is None and inputs.pairs is None:
        raise UsageError("build-graph needs --listings or --pairs, or both")
    listings, duplicates = _read_listings(inputs.listings)
    views, untimed, future = _read_views(inputs.views)
    sources = {
        "given_listings": listings,
        "given_pairs": _read_pairs(inputs.pairs, min_bought_together),
        "given_products": _read_products(inputs.products),
        "given_high_demand": _read_high_demand(inputs.high_demand),
        "given_views": views,
        "given_sellers": _read_sellers(inputs.sellers),
    }
    values = {
        "views_months": views_months,
        "all_in_demand": inputs.high_demand is None,
        "products_known": inputs.products is not None,
        "additional": additional,
    }
    nodes, edges, facts = _join(sources, values, threads)
    if edges.num_rows == 0:
        raise SchemaError(
            f"the graph has no edges: no pair has {min_bought_together} co-purchases; "
            "lower --min-bought-together or add --listings"
        )
    report = GraphReport(
        **facts,
        duplicate_listings=duplicates,
        views_without_time=untimed,
        views_in_the_future=future,
    )
    return nodes, edges, report


def _join(
    sources: dict[str, pa.Table], values: dict[str, int | bool | None], threads: int | None
) -> tuple[pa.Table, pa.Table, dict[str, Any]]:
    import duckdb

    with temporary_folder() as folder, duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET temp_directory = $1", [str(folder / "spilled")])
        if threads is not None:
            connection.execute(f"SET threads = {int(threads)}")
        for name, table in sources.items():
            connection.register(name, table)
        try:
            return _joined(connection, values)
        except duckdb.Error as error:
            if is_disk_full(error):
                raise no_room() from error
            raise


def _joined(
    connection: Any, values: dict[str, int | bool | None]
) -> tuple[pa.Table, pa.Table, dict[str, Any]]:
    connection.execute("CREATE TEMP TABLE settings AS " + _settings_sql(values))
    for query in PREPARE_SQL:
        connection.execute(query)
    nodes = connection.sql(NODES_SQL).to_arrow_table().cast(tables.NODES.schema)
    edges = pa.concat_tables([_edges(connection, relation) for relation in EDGES_SQL])
    facts = connection.sql(FACTS_SQL).to_arrow_table().to_pylist()[0]
    matches = {name: (rows, n) for name, rows, n in connection.sql(MATCHES_SQL).fetchall()}
    return nodes, edges, {**facts, "matches": matches}


def _edges(connection: Any, relation: str) -> pa.Table:
    """The edges of one relation; columns of one value are a chunk that is used again and again."""
    source_type, target_type, query = EDGES_SQL[relation]
    found = connection.sql(query).to_arrow_table()
    source_id, target_id, weight = found.columns
    columns = {
        c.SOURCE_TYPE: _repeated(source_type, len(found)),
        c.SOURCE_ID: source_id,
        c.RELATION: _repeated(relation, len(found)),
        c.TARGET_TYPE: _repeated(target_type, len(found)),
        c.TARGET_ID: target_id,
        c.WEIGHT: weight,
    }
    return pa.table(columns).cast(tables.EDGES.schema)


def _repeated(value: str, rows: int) -> pa.ChunkedArray:
    chunk = pa.repeat(value, min(rows, _CHUNK))
    whole, rest = divmod(rows, _CHUNK)
    return pa.chunked_array([*[chunk] * whole, chunk[:rest]], pa.string())


def _settings_sql(values: dict[str, int | bool | None]) -> str:
    # only integers and booleans reach this: nothing of the user's text
    shown = {k: "NULL" if v is None else str(v) for k, v in values.items()}
    return "SELECT " + ", ".join(f"{value} AS {name}" for name, value in shown.items())


def _read_listings(source: tables.Source | None) -> tuple[pa.Table, int]:
    if source is None:
        return tables.LISTINGS.schema.empty_table(), 0
    keyless = tables.Source(
        source.name,
        source.paths,
        tables.TableSpec(tables.LISTINGS.name, tables.LISTINGS.fields),
        source.mapping,
    )
    every = tables.read(keyless, only=[c.SELLER_ID, c.PRODUCT_ID])
    distinct = every.group_by([c.SELLER_ID, c.PRODUCT_ID]).aggregate([])
    return distinct, every.num_rows - distinct.num_rows


def _read_pairs(source: tables.Source | None, min_bought_together: int) -> pa.Table:
    wanted = [c.QUERY_ID, c.CANDIDATE_ID, c.CO_PURCHASE]
    if source is None:
        return tables.PAIRS.schema.empty_table().select(wanted)
    pairs = tables.read(source, only=wanted)
    return pairs.filter(pc.greater_equal(pairs.column(c.CO_PURCHASE), min_bought_together))


def _read_products(source: tables.Source | None) -> pa.Table:
    names = [c.PRODUCT_ID, c.CATEGORY, c.TITLE, c.BRAND, c.PRODUCT_TYPE, c.PRICE]
    kinds = {c.PRICE: pa.float64()}
    if source is None:
        return pa.schema([(n, kinds.get(n, pa.string())) for n in names]).empty_table()
    found = tables.with_plain_types(tables.read(source, only=names))
    for name in names:
        if name not in found.column_names:
            found = found.append_column(name, pa.nulls(len(found), kinds.get(name, pa.string())))
    return found.select(names)


def _read_sellers(source: tables.Source | None) -> pa.Table:
    if source is None:
        return tables.SELLERS.schema.empty_table()
    sellers = tables.read(source, only=[c.SELLER_ID, c.CATEGORY])
    if c.CATEGORY not in sellers.column_names:
        sellers = sellers.append_column(c.CATEGORY, pa.nulls(sellers.num_rows, pa.string()))
    return sellers


def _read_high_demand(source: tables.Source | None) -> pa.Table:
    if source is None:
        return tables.HIGH_DEMAND.schema.empty_table()
    return tables.read(source, only=[c.PRODUCT_ID])


def _read_views(source: tables.Source | None) -> tuple[pa.Table, int, int]:
    """Page views with all four columns; rows dropped for having no time, and for a future one."""
    if source is None:
        return tables.PAGE_VIEWS.schema.empty_table(), 0, 0
    views = tables.read(source, only=[f.name for f in tables.PAGE_VIEWS.fields])
    counts = views.column(c.VIEWS)
    bad = counts.null_count + (pc.sum(pc.less(counts, 0)).as_py() or 0)
    if bad:
        raise SchemaError(
            f"{source.label}: {bad} of {views.num_rows} rows have no views or negative ones; "
            "remove them"
        )
    # their sums are 64-bit integers, too
    if pc.sum(counts.cast(pa.float64(), safe=False)).as_py() >= 2.0**63:
        raise SchemaError(f"{source.label}: more page views than can be counted")
    for field in tables.PAGE_VIEWS.fields:
        if field.name not in views.column_names:
            views = views.append_column(field.name, pa.nulls(views.num_rows, field.type))
    timed = views.filter(pc.is_valid(views.column(c.TS)))
    if not timed.num_rows:
        return views, 0, 0
    # one mistyped year must not be the newest row, and so leave all the others out
    now = datetime.now(UTC).replace(tzinfo=None) + _LEEWAY
    past = timed.filter(pc.less_equal(timed.column(c.TS), pa.scalar(now, pa.timestamp("us"))))
    return past, views.num_rows - timed.num_rows, timed.num_rows - past.num_rows
