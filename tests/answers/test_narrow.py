"""A seller model with what is in high demand as its only candidates: the same answers."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import answers, tables
from cprtools.answers.model import load_model
from cprtools.errors import SchemaError
from cprtools.tables import mapped, vector_array
from cprtools.tables.folders import Folder
from tests.answers.newcomer_market import train_sellers

DEMAND = pa.table({"product_id": [f"p{i:02}" for i in range(0, 60, 2)]})
OPTIONS = {
    "gnn": {"epochs": 2, "embedding_dim": 8},
    "mf": {"tune": False},
    "text-knn": {},
    "popularity": {},
}
WHOLE = {"gnn_products", "mf_candidates"}


@pytest.fixture(scope="module", params=OPTIONS)
def place(request, tmp_path_factory):
    made = tmp_path_factory.mktemp("s")
    train_sellers(made, request.param, demand=DEMAND, **OPTIONS[request.param])
    return made / "full.model"


def opened(place):
    return tables.open_folder(str(place), (answers.SELLERS,))


def answered(model, **asked):
    request = answers.SellerRequest(category="all", threshold=0.0, k=100, **asked)
    sellers = np.arange(len(model.query_ids()))
    return pa.concat_tables(answers.recommend_products(model, sellers, request))


def rewritten(place, target, change):
    """The model once more, each member as `change` makes it of its name and table."""
    target.mkdir()
    for path in sorted(os.listdir(place)):
        table = change(path.removesuffix(".parquet"), pq.read_table(place / path))
        pq.write_table(table, target / path)
    return target


@pytest.mark.parametrize("use_ranker", [True, False])
def test_answers_are_those_of_the_whole_model(place, monkeypatch, use_ranker):
    asked = []
    table = Folder.table
    monkeypatch.setattr(Folder, "table", lambda self, name: asked.append(name) or table(self, name))
    narrow = load_model(opened(place), is_narrow=True)
    assert "codes" in asked
    assert not WHOLE & set(asked)
    found = answered(narrow, use_ranker=use_ranker)
    assert found.num_rows > 100
    assert found.equals(answered(load_model(opened(place)), use_ranker=use_ranker))


def test_a_list_of_other_products_is_answered_by_the_whole_model(place):
    whole, narrow = load_model(opened(place)), load_model(opened(place), is_narrow=True)
    ids = whole.product_ids.to_pylist()
    for names, is_enough in ((["p00", "p08", "p20"], True), (["p00", "p01", "p03"], False)):
        only = np.isin(ids, names)
        model = narrow.able_to_return(only)
        assert (model is narrow) == is_enough
        found = answered(model, only=only)
        assert set(found.column("product_id").to_pylist()) <= set(names)
        assert found.equals(answered(whole, only=only))


def test_a_model_of_an_earlier_version_is_read_whole_and_made_narrow(place, tmp_path):
    def without_layout(_, table):
        metadata = table.schema.metadata
        kept = {k: v for k, v in metadata.items() if k != b"cprtools.layout"}
        return table.replace_schema_metadata(kept)

    old = rewritten(place, tmp_path / "old.model", without_layout)
    found = answered(load_model(opened(old), is_narrow=True))
    assert found.equals(answered(load_model(opened(place))))


def test_vectors_that_are_no_numbers_are_refused(place, tmp_path):
    pools = [name for name in WHOLE if (place / f"{name}_pool.parquet").exists()]
    if not pools:
        pytest.skip("no factors")

    def damaged(name, table):
        if name != f"{pools[0]}_pool":
            return table
        column = table.column(0).combine_chunks()
        values = column.flatten().to_numpy().reshape(len(column), -1).copy()
        values[3, 1] = np.nan
        schema = table.schema
        return pa.table({schema.names[0]: vector_array(values)}, schema=schema)

    bad = rewritten(place, tmp_path / "bad.model", damaged)
    # written by another program, the members are no longer laid out: as a model that is ours
    for path in bad.iterdir():
        table = pq.read_table(path)
        with open(path, "wb") as out:
            mapped.write_mapped(table, out, table.schema.metadata)
    with pytest.raises(SchemaError, match="finite numbers"):
        load_model(opened(bad), is_narrow=True)
