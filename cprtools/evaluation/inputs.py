"""From names of files to evaluations: what `evaluate` reads, and every method measured alike."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from cprtools import tables
from cprtools.errors import SchemaError, UsageError, list_names
from cprtools.evaluation.complements import evaluate_complements
from cprtools.evaluation.lists import BrokenListsError
from cprtools.evaluation.results import Evaluation
from cprtools.evaluation.segments import Attribute, attributes
from cprtools.evaluation.sellers import evaluate_sellers
from cprtools.tables import Folder, Source, TableSpec
from cprtools.tables import columns as c
from cprtools.tables.light import pc

COMPLEMENTS = "complements"
SELLERS = "sellers"
DEFAULT_KS = {COMPLEMENTS: (1, 3, 10), SELLERS: (10, 20, 100)}
_RECOMMENDATIONS = {
    COMPLEMENTS: tables.COMPLEMENT_RECOMMENDATIONS,
    SELLERS: tables.SELLER_RECOMMENDATIONS,
}
_READ = {
    COMPLEMENTS: [c.QUERY_ID, c.RANK, c.PRODUCT_ID, c.PRODUCT_TYPE, c.SCORE],
    SELLERS: [c.SELLER_ID, c.RANK, c.PRODUCT_ID, c.AFFINITY],
}
_ANY_RECOMMENDATIONS = TableSpec(
    "recommendations",
    (
        tables.Field(c.QUERY_ID, pa.string(), required=False),
        tables.Field(c.SELLER_ID, pa.string(), required=False),
    ),
)


@dataclass(frozen=True)
class Places:
    """The files and folders to read, as the user named them."""

    recs: str
    truth: str
    against: Sequence[str] = ()
    train: str | None = None
    products: str | None = None
    sellers: str | None = None
    high_demand: str | None = None
    model: str | None = None
    segments: Sequence[str] = ()
    """Columns of the products or the sellers whose values are segments."""
    keep_known: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """Everything opened and checked; the recommendations are read one method at a time."""

    kind: str
    methods: Sequence[tuple[str, Source]]
    truth: pa.Table
    extras: Mapping[str, pa.Table]
    opened: Sequence[Source | Folder]
    """All sources, for the footer."""
    by: Sequence[Attribute] = ()
    """Columns whose values are segments."""
    keep_known: bool = False
    """Whether pairs of the training table are truth and stay in the lists."""


def open_inputs(places: Places, method: str | None = None) -> Inputs:
    """Open what is named. `method` renames the first recommendations.

    Raises UsageError for options of the other kind, SchemaError and DataError as reading does.
    """
    first = tables.open_table(places.recs, _ANY_RECOMMENDATIONS, places.columns)
    kind = _kind(first)
    if kind == COMPLEMENTS and (places.sellers or places.high_demand):
        raise UsageError("--sellers and --high-demand are for recommendations to sellers")
    if kind == SELLERS and places.keep_known:
        raise UsageError("--keep-train is for complements; a listed product is never recommended")
    # repeated pairs are refused with the lists: there as integers, in a fraction of the memory
    spec = replace(_RECOMMENDATIONS[kind], key=())
    others = [tables.open_table(name, spec, places.columns) for name in places.against]
    recs = [replace(first, spec=spec), *others]
    names = _distinct([(method_name(source), _stem(source)) for source in recs])
    names[0] = method or names[0]
    opened: dict[str, Source] = {}
    for name, wanted in _specs(kind).items():
        place = getattr(places, name)
        if place is not None:
            spec = _with_segments(wanted, places.segments)
            opened[name] = tables.open_table(place, spec, places.columns)
    read = {
        name: tables.read(source, only=[f.name for f in source.spec.fields], allow_empty=True)
        for name, source in opened.items()
    }
    model = tables.open_folder(places.model, (kind,)) if places.model else None
    if model is not None:
        read = {**_of_model(model, kind), **read}
    by = attributes(places.segments, read)
    truth = read.pop("truth")
    everything: list[Source | Folder] = [*recs, *opened.values()]
    if model is not None:
        everything.append(model)
    return Inputs(
        kind,
        list(zip(_numbered(names), recs, strict=True)),
        truth,
        read,
        everything,
        by,
        places.keep_known,
    )


def _specs(kind: str) -> dict[str, TableSpec]:
    pairs = tables.TRUTH_PAIRS if kind == COMPLEMENTS else tables.LISTINGS
    return {
        "truth": pairs,
        "train": pairs,
        "products": tables.PRODUCTS,
        "high_demand": tables.HIGH_DEMAND,
        "sellers": TableSpec("sellers", (tables.Field(c.SELLER_ID, pa.string()),)),
    }


def _with_segments(spec: TableSpec, segments: Sequence[str]) -> TableSpec:
    """The products' or sellers' columns, and any other that is asked for."""
    if spec.name not in ("products", "sellers"):
        return spec
    further = [tables.Field(n, None, required=False) for n in segments if spec.field(n) is None]
    return replace(spec, fields=(*spec.fields, *further))


def _kind(source: Source) -> str:
    found = source.column_names()
    if len(found) == 1:
        return COMPLEMENTS if c.QUERY_ID in found else SELLERS
    what = "both 'query_id' and 'seller_id'" if found else "neither 'query_id' nor 'seller_id'"
    raise SchemaError(
        f"{source.label}: has {what}; found {list_names(source.schema().names)}; "
        "recommendations are for products (query_id) or for sellers (seller_id)"
    )


def _of_model(model: Folder, kind: str) -> dict[str, pa.Table]:
    """The catalogue of a model and, for sellers, what of it is in high demand."""
    products = model.table("products")
    found = {"products": products}
    flag = c.IS_HIGH_DEMAND
    if kind == SELLERS and flag in products.column_names:
        chosen = products.filter(pc.fill_null(products.column(flag), False))
        if chosen.num_rows:
            found["high_demand"] = chosen.select([c.PRODUCT_ID])
    return found


def method_name(source: Source) -> str:
    """The method that a file's footer names, else the file's name without its ending."""
    try:
        params = json.loads(footer_of(source).get("params", "{}"))
    except ValueError:
        params = {}
    named = params.get("method") if isinstance(params, dict) else None
    if isinstance(named, str) and named:
        return named
    return _stem(source)


def _stem(source: Source) -> str:
    return "recommendations" if tables.is_nameless(source.name) else Path(source.name).stem


def footer_of(source: Source) -> dict[str, str]:
    """Our footer keys of a source's first file, empty for foreign files."""
    return tables.read_footer(source.paths[0])


def _distinct(named: Sequence[tuple[str, str]]) -> list[str]:
    """The first of each (method, file): with the file behind it where others have the method."""
    count = Counter(method for method, _ in named)
    return [
        method if count[method] == 1 or file == method else f"{method} ({file})"
        for method, file in named
    ]


def _numbered(names: Sequence[str]) -> list[str]:
    """The names with " (2)" and so on behind repeats: each row of the metrics names one file."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result


def parse_ks(text: str | None, kind: str) -> tuple[int, ...]:
    """`1,3,10` as sorted cut-offs, or the kind's own. Raises UsageError for anything else."""
    if text is None:
        return DEFAULT_KS[kind]
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(w.isascii() and w.isdigit() and 0 < int(w) < 10**9 for w in words):
        raise UsageError(f"--k must be numbers from 1 such as 1,3,10, got {text!r}")
    return tuple(sorted({int(word) for word in words}))


def evaluate_all(
    inputs: Inputs,
    ks: Sequence[int],
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    with_details: bool = False,
) -> list[Evaluation]:
    """One evaluation per method, the first being the one that was asked for.

    Raises SchemaError for lists that are broken, by the name of their file.
    """
    one = _sellers if inputs.kind == SELLERS else _complements
    found = []
    for place, (_, source) in enumerate(inputs.methods):
        try:
            found.append(one(inputs, place, ks, bootstrap, seed, with_details))
        except BrokenListsError as error:
            raise SchemaError(f"{source.label}: {error}") from error
    return found


# the lists are an argument that nobody else holds: what is evaluated can let go of them
def _complements(
    inputs: Inputs, place: int, ks: Sequence[int], bootstrap: int, seed: int, with_details: bool
) -> Evaluation:
    return evaluate_complements(
        _read_lists(inputs, place),
        inputs.truth,
        train=inputs.extras.get("train"),
        products=inputs.extras.get("products"),
        keep_known=inputs.keep_known,
        with_details=with_details,
        by=inputs.by,
        ks=ks,
        bootstrap=bootstrap,
        seed=seed,
        method=inputs.methods[place][0],
    )


def _sellers(
    inputs: Inputs, place: int, ks: Sequence[int], bootstrap: int, seed: int, with_details: bool
) -> Evaluation:
    extras = inputs.extras
    return evaluate_sellers(
        _read_lists(inputs, place),
        inputs.truth,
        train=extras.get("train"),
        products=extras.get("products"),
        high_demand=extras.get("high_demand"),
        sellers=extras.get("sellers"),
        with_details=with_details,
        by=inputs.by,
        ks=ks,
        bootstrap=bootstrap,
        seed=seed,
        method=inputs.methods[place][0],
    )


def _read_lists(inputs: Inputs, place: int) -> pa.Table:
    source = inputs.methods[place][1]
    return tables.read(source, only=_READ[inputs.kind], allow_empty=True)
