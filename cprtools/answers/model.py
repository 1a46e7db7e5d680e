"""A model folder opened for answering: the fitted stages and the names behind the indices."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.answers.methods import METHODS
from cprtools.baselines.catalogue import Catalogue, encode, index_in
from cprtools.errors import SchemaError, UsageError, list_names, nearest_names, quote
from cprtools.ranking.storage import load_stage, stage_members
from cprtools.ranking.two_stage import TwoStage, candidate_pool
from cprtools.tables import columns as c
from cprtools.tables.folders import Folder, open_folder
from cprtools.tables.schemas import COMPLEMENT_RECOMMENDATIONS, SELLER_RECOMMENDATIONS

if TYPE_CHECKING:
    from cprtools.answers.approximate import Index
    from cprtools.baselines.bytype import TypePopularity
    from cprtools.baselines.contract import Problem
    from cprtools.baselines.vocabulary import Vocabulary

COMPLEMENTS = "complements"
SELLERS = "sellers"

_TEXTS = (c.TITLE, c.CATEGORY, c.PRODUCT_TYPE, c.BRAND)
# how tables of a stranger's model fail to be what the methods take them for
_MISFITS = (KeyError, IndexError, TypeError, ValueError, OverflowError, pa.ArrowException)

# what a single pair says of its products it does not say of their types
_LEAST_PAIRS = 2

# ids are compared for a suggestion only in catalogues that a person could browse
_SUGGEST_UP_TO = 200_000


class Texts(Protocol):
    """Strings of a column by their row."""

    def __getitem__(self, row: int, /) -> str | None: ...


@dataclass
class Model:
    """What a model folder holds, in memory."""

    folder: Folder
    stage: TwoStage
    catalogue: Catalogue
    sellers: pa.Table | None = None
    """Sellers only: seller_id, primary_category, num_listings, in row order of the matrix."""
    num_added: int = 0
    """How many of the last products the model was extended by."""
    _strings: dict[str, list[str | None]] = field(default_factory=dict)

    def strings(self, name: str) -> "Texts":
        """A column of the products as Python strings, all None where there is none; read once."""
        if name not in self._strings:
            table = self.catalogue.table
            present = name in table.column_names
            self._strings[name] = (
                table.column(name).to_pylist() if present else [None] * table.num_rows
            )
        return self._strings[name]

    def guarded(self, blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Answers of the model, told as damaged where its tables turn out not to fit together."""
        return blocks

    def able_to_return(self, only: npt.NDArray[np.bool_]) -> "Model":
        """A model with these products among its candidates, (products,) bool: mostly this one."""
        is_beyond = self.stage.pool.places(np.flatnonzero(only)) < 0
        return load_model(self.folder) if is_beyond.any() else self

    @cached_property
    def popularity(self) -> npt.NDArray[np.float32]:
        """Sum of the known pairs' weights towards each candidate."""
        return self.stage.problem.margins.weight

    @cached_property
    def type_popularity(self) -> "TypePopularity":
        """P(type | type) for models that score no types themselves."""
        from cprtools.baselines.bytype import TypePopularity

        return TypePopularity.fit(self.stage.problem)

    @property
    def method(self) -> str:
        """What the model was trained as: `gnn`, or a baseline's name."""
        return next(iter(self.stage.sources))

    def is_completed_by(self, own: int, other: int) -> bool:
        """Complements: whether known pairs lead from the one type to the other more than by chance.

        That is at least two pairs, whose weight is above what leaves the one type, times the share
        of all weight that arrives at the other.
        """
        if own not in self._completing:
            self._completing[own] = self._types_after(own)
        return other in self._completing[own]

    @cached_property
    def _completing(self) -> dict[int, frozenset[int]]:
        return {}

    def _types_after(self, own: int) -> frozenset[int]:
        problem = self.stage.problem
        pairs = problem.matrix[np.flatnonzero(problem.types == own)]
        number = _by_type(problem, pairs.indices)
        weight = _by_type(problem, pairs.indices, pairs.data)
        leaving, everything = pairs.data.sum(dtype=np.float64), problem.weight_towards.sum()
        is_more = weight * everything > leaving * self._arriving
        return frozenset(np.flatnonzero((number >= _LEAST_PAIRS) & is_more).tolist())

    @cached_property
    def _arriving(self) -> npt.NDArray[np.float64]:
        """(types,) weight of the known pairs towards each type."""
        problem = self.stage.problem
        return _by_type(problem, np.arange(problem.num_candidates), problem.weight_towards)

    @property
    def type_names(self) -> tuple[str, ...]:
        """The product types, by code."""
        return self.catalogue.type_names

    @property
    def product_ids(self) -> pa.Array:
        """product_id of each candidate index."""
        return self.catalogue.ids

    def query_ids(self) -> pa.Array:
        """Id of each query index: products, or for a seller model sellers."""
        if self.sellers is None:
            return self.catalogue.ids
        return self.sellers.column(c.SELLER_ID).combine_chunks()

    def queries_by_id(self) -> npt.NDArray[np.int64]:
        """All query indices in the order of their ids."""
        import pyarrow.compute as pc

        order = pc.sort_indices(self.query_ids())
        return np.asarray(order.to_numpy(zero_copy_only=False), dtype=np.int64)

    def has_column(self, name: str) -> bool:
        """Whether the products have it."""
        return name in self.catalogue.table.column_names

    def further_columns(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Of these columns of the products those that an answer does not hold anyway, each once.

        Raises SchemaError where one is none of the products', UsageError where an answer has
        something else by that name.
        """
        present = self.catalogue.table.column_names if names else []
        for name in names:
            if name not in present:
                raise SchemaError(
                    f"{self.folder.name}: no product column {quote(name)}; "
                    f"found {list_names(present)}"
                )
        is_seller = self.folder.kind == SELLERS
        answer = SELLER_RECOMMENDATIONS if is_seller else COMPLEMENT_RECOMMENDATIONS
        held = {*answer.schema.names, c.EVIDENCE}
        of_products = {c.PRODUCT_ID, c.PRODUCT_TYPE, c.CATEGORY}
        for name in names:
            if name in held - of_products:
                raise UsageError(
                    f"--with {name}: an answer has a column {name} of its own; give that of the "
                    "products another name and train again"
                )
        return tuple(name for name in dict.fromkeys(names) if name not in held)

    @property
    def has_index(self) -> bool:
        """Whether the folder holds an index over the candidates that the model has now."""
        return "index" in self.folder.manifest["facts"] and not self.num_added

    def use_approximate_search(self, *, use_ranker: bool) -> None:
        """Let an HNSW index find the candidates: the stored one, or one that is built now.

        Raises UsageError where that cannot be, SchemaError for a damaged index.
        """
        if use_ranker and self.stage.trees is not None:
            raise UsageError("--search hnsw serves the retrieval stage: add --no-rank")
        from cprtools.answers.approximate import Approximate, build_index, stored_index

        if self.has_index:
            recall = float(self.folder.manifest["facts"]["index_recall_at_100"])
            index = stored_index(self.stage, self.folder.table, recall)
        else:
            index = build_index(self.stage)
        sources = {self.stage.model.method: Approximate(self.stage.model, index)}
        self.stage = replace(self.stage, sources=sources, trees=None)

    def index_pays(self, queries: int, *, use_ranker: bool) -> bool:
        """Whether so many queries are answered sooner by the stored index, if it can be used."""
        factors = (
            None if use_ranker and self.stage.trees is not None else self.stage.model.factors()
        )
        if factors is None or not self.has_index:
            return False
        from cprtools.answers.approximate import pays

        return pays(len(candidate_pool(self.stage.problem).members), factors[1].shape[1], queries)

    @cached_property
    def primary_codes(self) -> npt.NDArray[np.int64]:
        """Code of each seller's primary category, -1 where there is none."""
        if self.sellers is None:
            raise ValueError("a complement model has no sellers")
        names = pa.array(self.categories()[1], pa.string())
        return index_in(self.sellers.column("primary_category"), names)

    def categories(self) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        """Category code of each product, -1 unknown, and the names."""
        return self._categories

    @cached_property
    def _brands(self) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        return encode(self.catalogue.table.column(c.BRAND))

    @property
    def brand_codes(self) -> npt.NDArray[np.int64]:
        """Code of each product's brand, -1 unknown."""
        return self._brands[0]

    def brand_name(self, col: int) -> str:
        """The brand of a product that has one."""
        codes, names = self._brands
        return str(names[codes[col]])

    def text(self, name: str, col: int) -> str | None:
        """One string of the products' table."""
        found: str | None = self.catalogue.table.column(name)[int(col)].as_py()
        return found

    def values(self, name: str, cols: npt.NDArray[np.int64]) -> pa.Array:
        """A column of the products at these rows."""
        return self.catalogue.table.column(name).take(pa.array(cols))

    def seller_ids(self, seller_idx: npt.NDArray[np.int64]) -> pa.Array:
        """seller_id of these rows. Raises ValueError for a model of complements."""
        if self.sellers is None:
            raise ValueError("a complement model has no sellers")
        return self.sellers.column(c.SELLER_ID).take(pa.array(seller_idx))

    def find_query(self, wanted: str) -> int:
        """Index of a query's id, -1 where there is none."""
        return int(index_in(pa.array([wanted], pa.string()), self.query_ids())[0])

    @cached_property
    def _categories(self) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        return encode(self.catalogue.table.column(c.CATEGORY))


def _by_type(
    problem: "Problem", cols: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None
) -> npt.NDArray[np.float64]:
    """(types,) float64 sums over the products `cols`, of weights or as a number of them."""
    types = problem.types[cols]
    known = types >= 0
    own = None if weights is None else weights[known]
    return np.bincount(types[known], own, problem.num_types).astype(np.float64)


def open_model(name: str, kind: str | None = None) -> Model:
    """Open a model folder (or a tar on `-`) of that kind, `complements` or `sellers`; None: either.

    Raises DataError and SchemaError as `tables.open_folder` does, and where tables do not fit.
    """
    folder = open_folder(name, (COMPLEMENTS, SELLERS) if kind is None else (kind,))
    return load_model(folder)


def load_model(folder: Folder, *, is_narrow: bool = False) -> Model:
    """The model of a folder that is open. Raises SchemaError where tables do not fit.

    is_narrow: with what is in high demand as its only candidates, and so less to read.
    """
    with told_misfits(folder.name):
        return _load(folder, is_narrow)


@contextlib.contextmanager
def told_misfits(name: str) -> Iterator[None]:
    """Raise SchemaError for what goes wrong inside because a stranger's tables do not fit."""
    try:
        yield
    except _MISFITS as error:
        raise SchemaError(f"{name}: the model's tables do not fit together; {error}") from error


def _load(folder: Folder, is_narrow: bool) -> Model:
    stage = load_stage(folder, METHODS, of_pool=is_narrow)
    table = folder.table("products")
    if table.num_rows != stage.problem.num_candidates:
        raise SchemaError(f"{folder.name}: products.parquet has other rows than the model's codes")
    _check_texts(folder, "products", table, (c.PRODUCT_ID, *_TEXTS))
    types = folder.table("types")
    _check_texts(folder, "types", types, ("name",))
    catalogue = Catalogue(table, tuple(types.column("name").to_pylist()))
    sellers = folder.table("sellers") if folder.kind == SELLERS else None
    if sellers is not None:
        _check_texts(folder, "sellers", sellers, (c.SELLER_ID, "primary_category"))
        if sellers.num_rows != stage.problem.num_queries:
            raise SchemaError(
                f"{folder.name}: sellers.parquet has other rows than the model's listings"
            )
    return Model(folder, stage, catalogue, sellers)


def _check_texts(folder: Folder, member: str, table: pa.Table, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in table.column_names or not pa.types.is_string(table.schema.field(name).type):
            raise SchemaError(f"{folder.name}: {member}.parquet: column '{name}' must hold strings")
        if name.endswith("_id") and table.column(name).null_count:
            raise SchemaError(f"{folder.name}: {member}.parquet: column '{name}' lacks ids")


def model_members(
    stage: TwoStage,
    catalogue: Catalogue,
    sellers: pa.Table | None = None,
    vocabulary: "Vocabulary | None" = None,
    index: "Index | None" = None,
) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """Members and facts of a model folder; the counterpart of `open_model`.

    vocabulary: what products that come later are read by; opening a model does not read it.
    """
    from cprtools.tables import vectors_table

    members, facts = stage_members(stage)
    members["products"] = catalogue.table
    members["types"] = pa.table({"name": pa.array(catalogue.type_names, pa.string())})
    embeddings = getattr(stage.model, "embeddings", None)
    if embeddings is not None:
        # the model then serves wherever a vectors table does
        members["vectors"] = vectors_table(catalogue.ids, embeddings)
    if sellers is None:
        members |= _product_places(catalogue, {})
    else:
        members["sellers"] = sellers
        members |= _places(catalogue, sellers)
    if vocabulary is not None:
        members.update(vocabulary.tables())
    if index is not None:
        members.update(index.tables())
        facts.update(index.facts())
    return members, facts


def _places(catalogue: Catalogue, sellers: pa.Table) -> dict[str, pa.Table]:
    """Members by which a seller model's strings are read in place."""
    from cprtools.answers.places import PLACES, places_of

    codes, names = encode(catalogue.table.column(c.CATEGORY))
    primary = index_in(sellers.column("primary_category"), pa.array(names, pa.string()))
    of_products = {"category_idx": codes, "brand_idx": encode(catalogue.table.column(c.BRAND))[0]}
    return {
        "category_names": pa.table({"name": pa.array(names, pa.string())}),
        **_product_places(catalogue, of_products),
        "sellers" + PLACES: places_of(sellers, c.SELLER_ID, {"primary_idx": primary}),
    }


def _product_places(
    catalogue: Catalogue, codes: dict[str, npt.NDArray[np.int64]]
) -> dict[str, pa.Table]:
    from cprtools.answers.places import PLACES, places_of

    return {"products" + PLACES: places_of(catalogue.table, c.PRODUCT_ID, codes)}


def index_of_id(wanted: str, model: Model) -> int:
    """Index of the query with that id. Raises SchemaError for a stranger.

    The nearest products' ids are named; those of sellers are not: they are other people's.
    """
    found = model.find_query(wanted)
    if found >= 0:
        return found
    is_seller = model.folder.kind == SELLERS
    hint = ""
    if not is_seller and len(model.product_ids) <= _SUGGEST_UP_TO:
        hint = nearest_names(wanted, model.product_ids.to_pylist())
    what = "seller" if is_seller else "product"
    raise SchemaError(f"{model.folder.name}: no {what} {quote(wanted)} in this model{hint}")
