"""A model read in place: one answer needs a few rows of tables that may hold millions."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cprtools.answers.methods import METHODS
from cprtools.answers.model import SELLERS, Model, Texts, told_misfits
from cprtools.answers.places import PLACES, TextTable
from cprtools.baselines.catalogue import Catalogue
from cprtools.baselines.contract import NotInPlace
from cprtools.baselines.stored import Stored, open_problem
from cprtools.errors import SchemaError
from cprtools.ranking.storage import check_methods, load_ranker
from cprtools.ranking.two_stage import Settings, TwoStage
from cprtools.retrieval.pool import Pool
from cprtools.tables import columns as c
from cprtools.tables.folders import Folder

IntArray = npt.NDArray[np.int64]


class ModelInPlace(Model):
    """Answers as `Model`, for few queries; what is looked at of the products lies in the files."""

    def __init__(self, folder: Folder, stage: TwoStage, stored: Stored):
        self.folder = folder
        self.stage = stage
        self.num_added = 0
        self._stored = stored
        self.products = TextTable(stored, "products")
        self.query_key = c.SELLER_ID if folder.kind == SELLERS else c.PRODUCT_ID
        self.queries = TextTable(stored, "sellers") if folder.kind == SELLERS else self.products

    @cached_property
    def catalogue(self) -> Catalogue:  # type: ignore[override]
        """The whole table, for what is asked besides a list."""
        return Catalogue(self.folder.table("products"), ())

    @cached_property
    def sellers(self) -> pa.Table | None:  # type: ignore[override]
        """The sellers' whole table, which a list of pairs to leave out is looked up in."""
        return self.folder.table("sellers") if self.folder.kind == SELLERS else None

    @cached_property
    def type_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The product types, by code."""
        return tuple(self.folder.table("types").column("name").to_pylist())

    @property
    def popularity(self) -> Any:
        """Weight of the known pairs towards each candidate."""
        return self.stage.problem.margins.weight

    @cached_property
    def _categories(self) -> tuple[Any, tuple[str, ...]]:
        names = self.folder.table("category_names").column("name").to_pylist()
        return self._stored.numbers("products" + PLACES, "category_idx"), tuple(names)

    @cached_property
    def primary_codes(self) -> Any:
        """Code of each seller's primary category, -1 where there is none."""
        return self._stored.numbers("sellers" + PLACES, "primary_idx")

    @cached_property
    def brand_codes(self) -> Any:
        """Code of each product's brand, -1 unknown."""
        return self._stored.numbers("products" + PLACES, "brand_idx")

    def brand_name(self, col: int) -> str:
        """The brand of a product that has one."""
        return self.products.text(c.BRAND, col) or ""

    def guarded(self, blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Of what lies in the files only the form was looked at before."""
        with told_misfits(self.folder.name):
            yield from blocks

    def has_column(self, name: str) -> bool:
        """Whether the products have it."""
        return name in self.products.names

    def strings(self, name: str) -> Texts:
        """A column of the products, all None where there is none."""
        return _Column(self.products, name)

    def text(self, name: str, col: int) -> str | None:
        """One string of the products' table."""
        return self.products.text(name, col)

    def values(self, name: str, cols: IntArray) -> pa.Array:
        """A column of the products at these rows."""
        if name not in self.products.names:
            return super().values(name, cols)
        return pa.array([self.products.text(name, col) for col in cols.tolist()], pa.string())

    def seller_ids(self, seller_idx: IntArray) -> pa.Array:
        """seller_id of these rows."""
        texts = (self.queries.text(c.SELLER_ID, row) for row in seller_idx.tolist())
        return pa.array(list(texts), pa.string())

    def find_query(self, wanted: str) -> int:
        """Index of a query's id, -1 where there is none."""
        return self.queries.find(self.query_key, wanted)


class _Column:
    def __init__(self, table: TextTable, name: str):
        self._table, self._name = table, name

    def __getitem__(self, row: int) -> str | None:
        known = self._name in self._table.names
        return self._table.text(self._name, row) if known else None


def open_in_place(folder: Folder) -> ModelInPlace:
    """The model for few queries. Raises NotInPlace where it has to be read as a whole.

    Raises SchemaError as `open_model` does for tables that do not fit together.
    """
    with told_misfits(folder.name):
        return _open(folder)


def _open(folder: Folder) -> ModelInPlace:
    facts = folder.manifest["facts"]
    stored = Stored(folder)
    try:
        names = [str(name) for name in facts["sources"]]
        sizes = int(facts["num_queries"]), int(facts["num_types"])
        settings = Settings(per_source=int(facts["per_source"]))
    except (KeyError, TypeError, ValueError) as error:
        raise SchemaError(f"{folder.name}: its manifest lacks {error}") from error
    if len(stored.table("products" + PLACES).names) == 0:
        raise NotInPlace("products")
    check_methods(names, METHODS, folder.name)
    problem = open_problem(stored, *sizes, is_square=bool(facts["is_square"]))
    if stored.table("products").num_rows != problem.num_candidates:
        raise SchemaError(f"{folder.name}: products.parquet has other rows than the model's codes")
    sources = {name: METHODS[name].opened(problem, stored) for name in names}
    pool = Pool(stored.pool, problem.num_candidates)
    stage = TwoStage(problem, sources, settings=settings, scored=pool, **load_ranker(folder))
    return ModelInPlace(folder, stage, stored)
