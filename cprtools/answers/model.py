"""A model folder opened for answering: the fitted stages and the names behind the indices."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cprtools.answers.approximate import Approximate, Index, build_index, pays, stored_index
from cprtools.baselines import BASELINES, Recommender, TypePopularity
from cprtools.baselines.catalogue import Catalogue, encode, index_in
from cprtools.baselines.vocabulary import Vocabulary
from cprtools.cpr.model import PCompanion
from cprtools.cpr.triplet import Triplet
from cprtools.errors import SchemaError, UsageError, list_names, nearest_names, quote
from cprtools.linkpred.model import GraphModel
from cprtools.ranking import TwoStage, candidate_pool, load_stage, stage_members
from cprtools.tables import Folder, open_folder, vectors_table
from cprtools.tables import columns as c

COMPLEMENTS = "complements"
SELLERS = "sellers"
METHODS: Mapping[str, type[Recommender]] = {
    **BASELINES,
    PCompanion.method: PCompanion,
    Triplet.method: Triplet,
    GraphModel.method: GraphModel,
}

# how tables of a stranger's model fail to be what the methods take them for
_MISFITS = (KeyError, IndexError, TypeError, ValueError, OverflowError, pa.ArrowException)

# ids are compared for a suggestion only in catalogues that a person could browse
_SUGGEST_UP_TO = 200_000


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

    def strings(self, name: str) -> list[str | None]:
        """A column of the products as Python strings, all None where there is none; read once."""
        if name not in self._strings:
            table = self.catalogue.table
            present = name in table.column_names
            self._strings[name] = (
                table.column(name).to_pylist() if present else [None] * table.num_rows
            )
        return self._strings[name]

    @cached_property
    def popularity(self) -> npt.NDArray[np.float32]:
        """Sum of the known pairs' weights towards each candidate."""
        return np.asarray(self.stage.problem.matrix.sum(axis=0)).ravel()

    @cached_property
    def type_popularity(self) -> TypePopularity:
        """P(type | type) for models that score no types themselves."""
        return TypePopularity.fit(self.stage.problem)

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
        order = pc.sort_indices(self.query_ids())
        return np.asarray(order.to_numpy(zero_copy_only=False), dtype=np.int64)

    def check_columns(self, names: tuple[str, ...]) -> None:
        """Raise SchemaError where a column to show is none of the products'."""
        present = self.catalogue.table.column_names
        for name in names:
            if name not in present:
                raise SchemaError(
                    f"{self.folder.name}: no product column {quote(name)}; "
                    f"found {list_names(present)}"
                )

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
    def _categories(self) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        return encode(self.catalogue.table.column(c.CATEGORY))


def open_model(name: str, kind: str | None = None) -> Model:
    """Open a model folder (or a tar on `-`) of that kind, `complements` or `sellers`; None: either.

    Raises DataError and SchemaError as `tables.open_folder` does, and where tables do not fit.
    """
    folder = open_folder(name, (COMPLEMENTS, SELLERS) if kind is None else (kind,))
    try:
        return _load(folder)
    except _MISFITS as error:
        raise SchemaError(f"{name}: the model's tables do not fit together; {error}") from error


def _load(folder: Folder) -> Model:
    stage = load_stage(folder, METHODS)
    table = folder.table("products")
    if table.num_rows != stage.problem.num_candidates:
        raise SchemaError(f"{folder.name}: products.parquet has other rows than the model's codes")
    catalogue = Catalogue(table, tuple(folder.table("types").column("name").to_pylist()))
    sellers = folder.table("sellers") if folder.kind == SELLERS else None
    if sellers is not None and sellers.num_rows != stage.problem.num_queries:
        raise SchemaError(
            f"{folder.name}: sellers.parquet has other rows than the model's listings"
        )
    return Model(folder, stage, catalogue, sellers)


def model_members(
    stage: TwoStage,
    catalogue: Catalogue,
    sellers: pa.Table | None = None,
    vocabulary: Vocabulary | None = None,
    index: Index | None = None,
) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """Members and facts of a model folder; the counterpart of `open_model`.

    vocabulary: what products that come later are read by; opening a model does not read it.
    """
    members, facts = stage_members(stage)
    members["products"] = catalogue.table
    members["types"] = pa.table({"name": pa.array(catalogue.type_names, pa.string())})
    embeddings = getattr(stage.model, "embeddings", None)
    if embeddings is not None:
        # the model then serves wherever a vectors table does
        members["vectors"] = vectors_table(catalogue.ids, embeddings)
    if sellers is not None:
        members["sellers"] = sellers
    if vocabulary is not None:
        members.update(vocabulary.tables())
    if index is not None:
        members.update(index.tables())
        facts.update(index.facts())
    return members, facts


def index_of_id(wanted: str, ids: pa.Array, what: str, place: str, *, suggest: bool) -> int:
    """Index of one id. Raises SchemaError for a stranger, with the nearest ids if `suggest`."""
    found = int(index_in(pa.array([wanted], pa.string()), ids)[0])
    if found >= 0:
        return found
    hint = nearest_names(wanted, ids.to_pylist()) if suggest and len(ids) <= _SUGGEST_UP_TO else ""
    raise SchemaError(f"{place}: no {what} {quote(wanted)} in this model{hint}")
