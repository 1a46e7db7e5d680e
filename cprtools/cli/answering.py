"""What `recommend` does with its options: find the model, resolve the queries, hand out answers."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cprtools.cli import console
from cprtools.cli.new_products import with_products
from cprtools.cli.request import Request, parse_shard
from cprtools.errors import PartialAnswerError, SchemaError, UsageError, list_names

if TYPE_CHECKING:
    import pyarrow as pa
    from scipy.sparse import csr_matrix

    from cprtools.answers import Model
    from cprtools.tables import Footer, Source

_ROW_GROUP = 250_000
_DEFAULT = {"sellers": "seller.model", "complements": "cpr.model"}
_ID_COLUMNS = {"sellers": ("seller_id",), "complements": ("query_id", "product_id")}


def run(request: Request) -> None:
    """Answer and write. Raises PartialAnswerError, after writing, where some ids are unknown."""
    from cprtools import answers, tables
    from cprtools.tables.light import leave_pandas_out

    request.check()
    leave_pandas_out()
    # a piped model is waited for first: the command that sends it may also write the other files
    named = request.model
    piped = answers.open_model(named) if named is not None and tables.is_pipe(named) else None
    query_source = None
    if request.queries is not None:
        query_source = tables.open_table(request.queries, tables.QUERY_LIST, request.mapping)
    if piped is not None:
        kind = _kind_asked(request, query_source) or piped.folder.kind
        if kind != piped.folder.kind:
            raise SchemaError(
                f"{named}: holds a {piped.folder.kind} model; expected a {kind} model"
            )
        request.check_kind(kind)
        model = piped
    else:
        kind, place = _find_model(request, query_source)
        request.check_kind(kind)
        model = _open(place, kind, request)
    filters = _Filters.of(request, kind)
    model, added = with_products(model, request)
    inputs = (model.folder, query_source, filters.exclude, filters.only, *added)
    console.check_inputs(*inputs, may_grow=filters.exclude)
    if request.list_categories:
        _list_categories(model, request, filters.only, inputs)
        return
    query_idx, unknown = _resolve(model, kind, request, query_source)
    query_idx = _part(query_idx, request.shard)
    result = _answer(model, kind, request, filters, query_idx)
    footer = console.footer(*inputs, method=model.method)
    empty = request.said_without_rows(is_of_sellers=kind == answers.SELLERS)
    _hand_out(result, request, footer, empty)
    if unknown:
        raise PartialAnswerError(f"{request.queries}: {unknown}")


@dataclass(frozen=True)
class _Filters:
    """The tables of what is never returned and of what to choose from, where they are given."""

    exclude: "Source | None"
    only: "Source | None"

    @classmethod
    def of(cls, request: Request, kind: str) -> "_Filters":
        exclude, only = None, None
        if request.exclude is not None:
            from cprtools.answers.filters import open_excluded

            exclude = open_excluded(request.exclude, request.mapping, kind)
        if request.only is not None:
            from cprtools import tables

            only = tables.open_table(request.only, tables.PRODUCT_LIST, request.mapping)
        return cls(exclude, only)


def _open(place: str, kind: str, request: Request) -> "Model":
    """The model: in place for one query, else in memory."""
    from cprtools.answers.model import load_model
    from cprtools.tables.folders import open_folder

    folder = open_folder(place, (kind,))
    asked = request.product if kind == "complements" else request.seller
    is_single = asked is not None and not request.list_categories
    # new products are joined to all of the model, and an index is one of its vectors
    is_narrow = not (request.products or request.vectors) and request.search == "exact"
    if is_single and is_narrow:
        from cprtools.answers.in_place import open_in_place
        from cprtools.baselines.contract import NotInPlace

        with contextlib.suppress(NotInPlace):
            return open_in_place(folder)
    return load_model(folder, is_narrow=is_narrow)


def _find_model(request: Request, query_source: Any) -> tuple[str, str]:
    """The kind of answer and the model's place (DESIGN.md 2, default model)."""
    kind = _kind_asked(request, query_source)
    if request.model is not None:
        return kind or _kind_of(request.model), request.model
    named = os.environ.get("CPRTOOLS_MODEL")
    if named and (kind is None or _kind_of(named) == kind):
        return kind or _kind_of(named), named
    present = [name for name in _DEFAULT if Path(_DEFAULT[name]).is_dir()]
    if kind is None:
        if len(present) > 1:
            raise UsageError("--all: both cpr.model/ and seller.model/ are here; name one: --model")
        if not present:
            raise UsageError("--all needs --model: no cpr.model/ or seller.model/ in this folder")
        kind = present[0]
    return kind, _DEFAULT[kind]


def _kind_asked(request: Request, query_source: Any) -> str | None:
    if request.seller is not None:
        return "sellers"
    if request.product is not None:
        return "complements"
    if query_source is None:
        return None
    found = query_source.column_names()
    for kind, names in _ID_COLUMNS.items():
        if any(name in found for name in names):
            return kind
    columns = list_names(query_source.schema().names)
    raise SchemaError(
        f"{query_source.label}: no column product_id, query_id or seller_id; found {columns}"
    )


def _kind_of(place: str) -> str:
    from cprtools import tables

    return tables.open_folder(place, ("complements", "sellers")).kind


def _resolve(model: "Model", kind: str, request: Request, query_source: Any) -> tuple[Any, str]:
    """Indices of the queries asked for, and of what ids the model does not know, in words."""
    import numpy as np

    from cprtools.answers.model import index_of_id

    single = request.product if kind == "complements" else request.seller
    if single is not None:
        return np.array([index_of_id(single, model)], dtype=np.int64), ""
    if query_source is None:
        return model.queries_by_id(), ""
    import pyarrow.compute as pc

    from cprtools import tables
    from cprtools.baselines.catalogue import index_in

    ids = model.query_ids()
    table = tables.read(query_source)
    name = next(n for n in _ID_COLUMNS[kind] if n in table.column_names)
    wanted = pc.unique(table.column(name)).drop_null()
    if not len(wanted):
        raise SchemaError(f"{query_source.label}: none of its {table.num_rows:,} rows has a {name}")
    if table.column(name).null_count:
        console.warn(f"{query_source.label}: {table.column(name).null_count:,} rows have no {name}")
    found = index_in(wanted, ids)
    unknown = [value for value, at in zip(wanted.to_pylist(), found, strict=True) if at < 0]
    if len(unknown) == len(wanted):
        raise SchemaError(f"{query_source.label}: none of its {len(wanted):,} ids is in the model")
    if not unknown:
        return found, ""
    # a seller's id is nobody else's to read
    row = pc.index(table.column(name), unknown[0]).as_py() + 1
    shown = f"the first is in row {row:,}" if kind == "sellers" else list_names(unknown, 5)
    count = f"{len(unknown):,} of {len(wanted):,}"
    return found[found >= 0], f"ids that the model does not know ({count}): {shown}"


def _part(query_idx: Any, shard: str | None) -> Any:
    """The shard's queries: parts of one size, whose answers follow each other as in one run."""
    import numpy as np

    number, count = parse_shard(shard)
    part = np.array_split(query_idx, count)[number - 1]
    if not len(part):
        raise UsageError(f"--shard {shard}: there are {len(query_idx)} queries to share out")
    return part


def _answer(
    model: "Model", kind: str, request: Request, filters: _Filters, query_idx: Any
) -> "Iterator[pa.Table]":
    from cprtools import answers, tables

    show = model.further_columns(request.show)
    by_index = request.search == "hnsw" or (
        request.search == "auto" and model.index_pays(len(query_idx), use_ranker=request.use_ranker)
    )
    if by_index:
        model.use_approximate_search(use_ranker=request.use_ranker)
    excluded, only = None, None
    if filters.exclude is not None:
        excluded = _read_excluded(filters.exclude, model)
    if filters.only is not None:
        from cprtools.answers.filters import mask_of

        listed = tables.read(filters.only)
        only = mask_of(listed, model.product_ids, filters.only.label)
        if kind == "sellers":
            _note_strangers(listed, model, filters.only.label)
            model = model.able_to_return(only)
    common: dict[str, Any] = {
        "k": request.k,
        "excluded": excluded,
        "only": only,
        "use_ranker": request.use_ranker,
        "explain": request.explain,
        "columns": show if request.show else _columns_to_read(model, request),
    }
    if kind == "complements":
        asked = answers.ComplementRequest(types=request.types, **common)
        return model.guarded(answers.recommend_complements(model, query_idx, asked))
    wanted = answers.SellerRequest(threshold=request.threshold, category=request.category, **common)
    return model.guarded(answers.recommend_products(model, query_idx, wanted))


def _read_excluded(source: "Source", model: "Model") -> "csr_matrix":
    from cprtools.answers.filters import read_excluded

    excluded, rows = read_excluded(source, model.query_ids(), model.product_ids)
    if rows and not excluded.nnz:
        # what must not be shown would be shown, and nobody would know
        console.warn(
            f"{source.label}: none of its {rows:,} rows is of ids that the model knows; "
            "nothing is left out"
        )
    return excluded


def _columns_to_read(model: "Model", request: Request) -> tuple[str, ...]:
    """What a person sees beside the contract's columns: titles, where there are any."""
    return ("title",) if request.chosen_format == "table" and model.has_column("title") else ()


def _note_strangers(products: "pa.Table", model: "Model", label: str) -> None:
    """Warn of what a new quarter's list names and nothing is known of."""
    from cprtools.baselines.catalogue import index_in

    count = int((index_in(products.column("product_id"), model.product_ids) < 0).sum())
    if count:
        console.warn(
            f"{label}: {count:,} of its {products.num_rows:,} products are unknown to the model; "
            "bring them in with --vectors or --products"
        )


def _hand_out(result: "Iterator[pa.Table]", request: Request, footer: "Footer", empty: str) -> None:
    """Write the answer; empty: what is said of one without rows."""
    if request.chosen_format == "parquet" and request.output == "-":
        from cprtools import tables

        tables.check_writable("-")
    if request.product is not None or request.seller is not None:
        _write(result, request, footer, empty)
        return
    from cprtools.training.reuse import reusing_memory

    with reusing_memory():
        _write(console.progress(result, "answered blocks"), request, footer, empty)


def _write(blocks: "Iterator[pa.Table]", request: Request, footer: "Footer", empty: str) -> None:
    import pyarrow as pa

    from cprtools import tables
    from cprtools.cli import rendering

    chosen = request.chosen_format
    if chosen != "table":
        blocks = _told_where_empty(blocks, empty)
    if chosen == "parquet" and not request.partition_by:
        tables.write(_stream(blocks), request.output, footer)
        return
    table = pa.concat_tables(list(blocks))
    if request.partition_by:
        # of what others were answered a seller's file tells nothing
        own = replace(footer, inputs=footer.inputs[:1])
        others = tables.write_partitions(table, request.output, request.partition_by, own)
        if others:
            console.warn(f"{request.output}: {others:,} tables of other sellers stay there")
        return
    if chosen == "table":
        rendering.print_table(table, request.output, empty)
    else:
        tables.write_text(rendering.as_text(table, chosen), request.output)


def _told_where_empty(blocks: "Iterator[pa.Table]", empty: str) -> "Iterator[pa.Table]":
    """The blocks, and a note after the last one where none had a row."""
    rows = 0
    for block in blocks:
        rows += block.num_rows
        yield block
    if not rows:
        console.note(empty)


def _stream(blocks: "Iterator[pa.Table]") -> "pa.RecordBatchReader":
    """The blocks as they come, in batches that make row groups of a good size."""
    import pyarrow as pa

    first = next(blocks)

    def batches() -> "Iterator[pa.RecordBatch]":
        held = [first]
        for block in blocks:
            held.append(block)
            if sum(part.num_rows for part in held) >= _ROW_GROUP:
                yield from pa.concat_tables(held).combine_chunks().to_batches()
                held = []
        if held:
            yield from pa.concat_tables(held).combine_chunks().to_batches()

    return pa.RecordBatchReader.from_batches(first.schema, batches())


def _list_categories(
    model: "Model", request: Request, listed: "Source | None", inputs: tuple[Any, ...]
) -> None:
    from cprtools import answers, tables
    from cprtools.answers.filters import mask_of
    from cprtools.answers.model import index_of_id
    from cprtools.cli import rendering

    seller = index_of_id(str(request.seller), model)
    only = None
    if listed is not None:
        only = mask_of(tables.read(listed), model.product_ids, listed.label)
    table = answers.list_categories(model, seller, only)
    if request.chosen_format == "parquet":
        tables.write(table, request.output, console.footer(*inputs))
    elif request.chosen_format == "table":
        rendering.print_table(table, request.output, "no product has a category")
    else:
        tables.write_text(rendering.as_text(table, request.chosen_format), request.output)
