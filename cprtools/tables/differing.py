"""What became of a table: rows that came, went, changed or moved, columns, and how it was made."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from cprtools.errors import DataError, SchemaError
from cprtools.tables.duck import function_sql, is_disk_full, no_room, quote_name
from cprtools.tables.faults import explain
from cprtools.tables.folders import Folder
from cprtools.tables.formats import PARQUET
from cprtools.tables.inspection import open_place
from cprtools.tables.leftovers import temporary_folder
from cprtools.tables.provenance import parse_footer, read_footer
from cprtools.tables.reading import read_any
from cprtools.tables.scanning import by_layout
from cprtools.tables.schemas import ANY
from cprtools.tables.source import Source

# what tells one row from another, the first that both tables have; the last is most common
_KEYS = (
    ("query_id", "product_id"),
    ("seller_id", "product_id"),
    ("query_id", "candidate_id"),
    ("method", "metric", "k", "segment"),
    ("node_type", "node_id"),
    ("source_type", "source_id", "relation", "target_type", "target_id"),
    ("product_id",),
    ("seller_id",),
)
_RANK = "rank"
_MEMORY = "1GB"

Row = dict[str, Any]


@dataclass(frozen=True)
class TableDifference:
    """Two tables of one name; the counts are of rows."""

    name: str
    rows: tuple[int, int]
    columns: Mapping[str, tuple[str | None, str | None]]
    """Columns that only one has, or of another type: both types, None where it has none."""
    key: tuple[str, ...] = ()
    """What tells rows apart; empty where nothing does: then rows are compared as wholes."""
    same: int = 0
    came: int = 0
    went: int = 0
    changed: int = 0
    """Rows of one key in both whose other columns differ."""
    by_column: Mapping[str, int] = field(default_factory=dict)
    """In how many of them each column differs."""
    lists: Mapping[str, float] = field(default_factory=dict)
    """Recommendations: queries in both and in one, lists alike, moved rows, share kept."""
    examples: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    """Some rows that `came`, `went`, `changed` or, of recommendations, `moved` furthest."""


@dataclass(frozen=True)
class Difference:
    """Two files or folders: the first is what was, the second what is."""

    names: tuple[str, str]
    tables: tuple[TableDifference, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]
    """Members that only one of two folders has."""
    footers: Mapping[str, tuple[Any, Any]]
    """What differs of how they were made: version, command, seed, params and inputs by name."""

    @property
    def is_empty(self) -> bool:
        """Whether they hold the same rows and columns."""
        alike = all(not (t.came or t.went or t.changed or t.columns) for t in self.tables)
        return alike and self.only == ((), ())


def differ(before: str, after: str, rows: int = 10) -> Difference:
    """Compare two files or folders, and keep `rows` examples of each kind of difference.

    Parquet files of any size are compared on disk. Raises SchemaError for a folder against a table,
    DataError for what cannot be read.
    """
    places = open_place(before), open_place(after)
    members = [_members(place) for place in places]
    if isinstance(places[0], Folder) != isinstance(places[1], Folder):
        raise SchemaError(f"{before} and {after}: a graph or model folder and a table")
    shared = [name for name in members[0] if name in members[1]]
    only = [tuple(n for n in found if n not in shared) for found in members]
    return Difference(
        (before, after),
        tuple(_differ(name, (members[0][name], members[1][name]), rows) for name in shared),
        (only[0], only[1]),
        _footers(*(_footer(place) for place in places)),
    )


def _members(place: Source | Folder) -> dict[str, Source]:
    if isinstance(place, Source):
        return {"table": place}
    paths = {
        name: str(place.path / f"{name}.parquet") for name in sorted(place.manifest["members"])
    }
    return {name: Source(name, [path], ANY) for name, path in paths.items()}


def _footer(place: Source | Folder) -> dict[str, Any]:
    if isinstance(place, Source):
        return parse_footer(read_footer(place.paths[0]))
    return parse_footer(read_footer(place.manifest_file))


def _footers(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    found = [_flat(one), _flat(other)]
    names = dict.fromkeys([*found[0], *found[1]])
    pairs = {name: (found[0].get(name), found[1].get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _flat(footer: Mapping[str, Any]) -> dict[str, Any]:
    flat = {name: footer[name] for name in ("version", "command", "seed") if name in footer}
    flat |= {f"params.{name}": value for name, value in sorted(footer.get("params", {}).items())}
    for entry in footer.get("inputs", []):
        flat[f"input {entry['name']}"] = f"{entry['rows']:,} rows, digest {entry['digest']}"
    return flat


def _differ(name: str, pair: tuple[Source, Source], rows: int) -> TableDifference:
    import duckdb

    with _connect() as connection:
        try:
            types = [_view(connection, side, s) for side, s in zip("ab", pair, strict=True)]
            return _compare(connection, name, types, rows)
        except duckdb.Error as error:
            if is_disk_full(error):
                raise no_room() from error
            if isinstance(error, duckdb.OutOfMemoryException):
                what = f"too many columns, or too wide, to be compared within {_MEMORY}"
                raise DataError(f"{pair[1].label}: {what} of memory") from error
            # the error names the file that it met
            named = [s for s in pair if any(path in str(error) for path in s.paths)]
            raise explain((named or pair)[0], error) from error


@contextmanager
def _connect() -> Iterator[Any]:
    import duckdb

    with (
        temporary_folder() as folder,
        duckdb.connect(str(folder / "difference.duckdb")) as connection,
    ):
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        # it looks for each column among all of them: most of the time where there are thousands
        connection.execute("SET disabled_optimizers = 'statistics_propagation'")
        connection.execute("SET temp_directory = $1", [str(folder / "spilled")])
        yield connection


def _view(connection: Any, side: str, source: Source) -> dict[str, str]:
    """The source as a view of that name; its columns and their types."""
    layouts = by_layout(source)
    if all(layout.format == PARQUET for layout in layouts):
        (layout,) = layouts
        connection.execute(f"CREATE VIEW {side} AS FROM {function_sql(layout, source.paths)}")
    else:
        # text has no types of its own: read as every command reads it
        connection.register(side, read_any(source))
    found = connection.execute(f"DESCRIBE {side}").fetchall()
    return {str(row[0]): str(row[1]) for row in found}


def _compare(
    connection: Any, name: str, types: Sequence[Mapping[str, str]], rows: int
) -> TableDifference:
    count = [int(connection.execute(f"SELECT count(*) FROM {s}").fetchall()[0][0]) for s in "ab"]
    names = dict.fromkeys([*types[0], *types[1]])
    columns = {n: (types[0].get(n), types[1].get(n)) for n in names if
               types[0].get(n) != types[1].get(n)}  # fmt: skip
    shared = [n for n in types[0] if n in types[1]]
    base = TableDifference(name, (count[0], count[1]), columns)
    key = _key(connection, shared)
    if not key:
        return _as_wholes(connection, base, shared, rows)
    return _by_key(connection, base, key, [n for n in shared if n not in key], rows)


def _key(connection: Any, shared: Sequence[str]) -> tuple[str, ...]:
    """The first key whose columns both tables have and no two rows of either share."""
    for key in _KEYS:
        if not set(key) <= set(shared):
            continue
        texts = ", ".join(_text(n) for n in key)
        repeated = [
            connection.execute(
                f"SELECT 1 FROM {s} GROUP BY {texts} HAVING count(*) > 1 LIMIT 1"
            ).fetchall()
            for s in "ab"
        ]
        if not any(repeated):
            return key
    return ()


def _text(name: str, side: str = "") -> str:
    place = f"{side}.{quote_name(name)}" if side else quote_name(name)
    return f"{place}::VARCHAR"


def _as_wholes(
    connection: Any, base: TableDifference, shared: Sequence[str], rows: int
) -> TableDifference:
    """Rows counted as often as they occur; which row became which cannot be told."""
    if not shared:
        return replace(base, went=base.rows[0], came=base.rows[1])
    # numbered: a user's column may have any name
    texts = ", ".join(f"{_text(name)} AS c{i}" for i, name in enumerate(shared))
    names = [f"c{i}" for i in range(len(shared))]
    counted = [
        f"(SELECT *, count(*) AS n FROM (SELECT {texts} FROM {s}) GROUP BY ALL)" for s in "ab"
    ]
    equal = " AND ".join(f"a.{name} IS NOT DISTINCT FROM b.{name}" for name in names)
    connection.execute(
        "CREATE TABLE joined AS SELECT coalesce(b.n, 0) - coalesce(a.n, 0) AS gain, "
        "least(coalesce(a.n, 0), coalesce(b.n, 0)) AS same, "
        + ", ".join(f"coalesce(a.{name}, b.{name}) AS {name}" for name in names)
        + f" FROM {counted[0]} a FULL JOIN {counted[1]} b ON {equal}"
    )
    ((same, came, went),) = connection.execute(
        "SELECT coalesce(sum(same), 0), coalesce(sum(gain) FILTER (gain > 0), 0), "
        "coalesce(-sum(gain) FILTER (gain < 0), 0) FROM joined"
    ).fetchall()
    own = ", ".join(f"{n} AS {quote_name(name)}" for n, name in zip(names, shared, strict=True))
    found = {
        kind: _fetch(
            connection, f"SELECT {own} FROM joined WHERE {where} ORDER BY ALL LIMIT {rows}"
        )
        for kind, where in (("came", "gain > 0"), ("went", "gain < 0"))
    }
    return replace(base, same=int(same), came=int(came), went=int(went), examples=found)


def _by_key(
    connection: Any,
    base: TableDifference,
    key: tuple[str, ...],
    others: Sequence[str],
    rows: int,
) -> TableDifference:
    on = " AND ".join(f"{_text(n, 'a')} IS NOT DISTINCT FROM {_text(n, 'b')}" for n in key)
    keys = ", ".join(f"coalesce({_text(n, 'a')}, {_text(n, 'b')}) AS {quote_name(n)}" for n in key)
    # as text where the types differ: 7 and '7' are the same value
    unlike = [
        f"{_text(n, 'a')} IS DISTINCT FROM {_text(n, 'b')} AS {quote_name('?' + n)}" for n in others
    ]
    is_list = _RANK in others and key[0] in ("query_id", "seller_id")
    pairs = [
        f"{_value(n, side, is_list)} AS {quote_name(side + '.' + n)}"
        for n in others
        for side in "ab"
    ]
    selected = ", ".join([keys, 'a."?" AS was', 'b."?" AS present', *unlike, *pairs])
    connection.execute(
        f'CREATE TABLE joined AS SELECT {selected} FROM (SELECT *, true AS "?" FROM a) a '
        f'FULL JOIN (SELECT *, true AS "?" FROM b) b ON {on}'
    )
    both = "was AND present"
    differs = " OR ".join(quote_name("?" + n) for n in others) or "false"
    counted = [
        f"{both} AND NOT ({differs})",
        "was IS NULL",
        "present IS NULL",
        f"{both} AND ({differs})",
    ]
    counted += [f"{both} AND {quote_name('?' + n)}" for n in others]
    # not FILTER: each one keeps a copy of all columns, 3 GB of 2,500
    sums = ", ".join(f"count(CASE WHEN {where} THEN 1 END)" for where in counted)
    same, came, went, changed, *each = connection.execute(f"SELECT {sums} FROM joined").fetchall()[
        0
    ]
    by_column = {n: int(number) for n, number in zip(others, each, strict=True) if number}
    result = replace(
        base, key=key, same=same, came=came, went=went, changed=changed, by_column=by_column,
        examples=_examples(connection, key, others, rows, is_list),
    )  # fmt: skip
    return replace(result, lists=_lists(connection, key[0])) if is_list else result


def _value(name: str, side: str, is_list: bool) -> str:
    value = f"{side}.{quote_name(name)}"
    # ranks of CSV are text, and a difference of texts is none
    return f"TRY_CAST({value} AS BIGINT)" if is_list and name == _RANK else value


def _examples(
    connection: Any, key: Sequence[str], others: Sequence[str], rows: int, is_list: bool
) -> dict[str, list[Row]]:
    names = ", ".join(quote_name(n) for n in key)
    differs = " OR ".join(quote_name("?" + n) for n in others) or "false"
    found = {}
    for kind, where, side in (("came", "was IS NULL", "b"), ("went", "present IS NULL", "a")):
        own = "".join(f", {quote_name(side + '.' + n)} AS {quote_name(n)}" for n in others)
        first = f"{quote_name(_RANK)}, " if is_list else ""
        found[kind] = _fetch(
            connection,
            f"SELECT {names}{own} FROM joined WHERE {where} ORDER BY {first}{names} LIMIT {rows}",
        )
    pairs = "".join(f", {quote_name(s + '.' + n)}" for n in others for s in "ab")
    where, order, kind = differs, names, "changed"
    if is_list:
        ranks = [quote_name(f"{side}.{_RANK}") for side in "ab"]
        where, order, kind = (
            quote_name("?" + _RANK),
            f"abs({ranks[0]} - {ranks[1]}) DESC, {names}",
            "moved",
        )
        pairs = f", {ranks[0]}, {ranks[1]}"
    found[kind] = _fetch(
        connection,
        f"SELECT {names}{pairs} FROM joined WHERE was AND present AND ({where}) "
        f"ORDER BY {order} LIMIT {rows}",
    )
    return found


def _lists(connection: Any, query: str) -> dict[str, float]:
    """Per query: who has a list, whether it is the same in the same order, what of it was kept."""
    moved = quote_name("?" + _RANK)
    rank = quote_name(f"a.{_RANK}"), quote_name(f"b.{_RANK}")
    names = ("in both", "only before", "only after", "unchanged", "same first", "kept", "moved")
    both = "old > 0 AND new > 0"
    per_query = f"""SELECT count(*) FILTER (was) AS old, count(*) FILTER (present) AS new,
        count(*) FILTER (was AND present) AS kept,
        count(*) FILTER (was AND present AND {moved}) AS moved,
        coalesce(bool_or({rank[0]} = 1 AND {rank[1]} = 1), false) AS first
        FROM joined GROUP BY {quote_name(query)}"""
    values = connection.execute(
        f"""SELECT count(*) FILTER ({both}), count(*) FILTER (new = 0), count(*) FILTER (old = 0),
        count(*) FILTER (old = new AND old = kept AND moved = 0),
        count(*) FILTER ({both} AND first), avg(kept / old) FILTER ({both}), sum(moved)
        FROM ({per_query})"""
    ).fetchall()[0]
    return {name: value or 0 for name, value in zip(names, values, strict=True)}


def _fetch(connection: Any, query: str) -> list[Row]:
    found: pa.Table = connection.sql(query).to_arrow_table()
    return [dict(row) for row in found.to_pylist()]
