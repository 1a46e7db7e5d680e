"""A model read in place answers with the same bits as the model in memory."""

import json
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cprtools import answers, tables
from cprtools.answers.in_place import open_in_place
from cprtools.baselines.blend import Blend
from cprtools.baselines.contract import NotInPlace
from tests import forking
from tests.answers.newcomer_market import shop_products, train_sellers

DEMAND = pa.table({"product_id": [f"p{i:02}" for i in range(0, 60, 2)]})
CASES = {
    "gnn": (DEMAND, {"epochs": 2, "embedding_dim": 8}),
    "mf": (DEMAND, {"tune": False}),
    "item-knn": (None, {}),
    "text-knn": (DEMAND, {}),
    "ease": (DEMAND, {}),
    "popularity": (None, {}),
}
HEAVY = {"scipy", "pandas", "pydantic", "torch", "duckdb", "lightgbm", "implicit"}
PROBE = """
import json, sys
from cprtools.cli import main
try:
    main(sys.argv[1:])
finally:
    print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
"""
# fails where a model is read into memory
IN_PLACE_ONLY = f"""
import cprtools.answers.in_place, cprtools.answers.model
cprtools.answers.in_place.load_model = cprtools.answers.model.load_model = None
{PROBE}"""


@pytest.fixture(scope="module", params=CASES)
def models(request, tmp_path_factory):
    """The folder of a method's model, the model in memory, and the one in place."""
    demand, options = CASES[request.param]
    folder = train_sellers(tmp_path_factory.mktemp("s"), request.param, demand=demand, **options)
    place = str(folder / "full.model")
    in_place = open_in_place(tables.open_folder(place, (answers.SELLERS,)))
    return place, answers.open_model(place), in_place


def ask(place, folder, name, *more, probe=IN_PLACE_ONLY):
    """What `recommend` answers over all categories, as a table."""
    words = ["recommend", "--model", place, "--threshold", "0", "--category", "all", "--quiet"]
    done = forking.run([*words, *more, "-o", folder / name], program=probe)
    assert done.returncode == 0, done.stderr.decode()
    return pq.read_table(folder / name)


@pytest.mark.parametrize(
    "asked",
    [
        {"category": "all", "threshold": 0.0, "k": 100},
        {},
        {"category": "type 1", "threshold": 0.0},
        {"use_ranker": False, "threshold": 0.0, "k": 3},
        {"columns": ("title", "price"), "category": "all", "threshold": 0.0},
    ],
    ids=str,
)
def test_every_sellers_answer_is_that_of_the_model_in_memory(models, asked):
    _, memory, in_place = models
    request = answers.SellerRequest(**asked)
    for seller in range(0, len(memory.query_ids()), 5):
        one, other = (
            pa.concat_tables(answers.recommend_products(model, np.array([seller]), request))
            for model in (memory, in_place)
        )
        assert other.equals(one)


def test_a_sellers_excluded_products_stay_out_in_place_too(models, tmp_path):
    place, _, _ = models
    pq.write_table(pa.table({"seller_id": ["s01"]}), tmp_path / "asked.parquet")
    answered = partial(ask, place, tmp_path)
    shown = answered("plain", "--seller", "s01").column("product_id").to_pylist()
    left_out = {"seller_id": ["s01"] * 3 + ["s02"] * 2, "product_id": shown[:5]}
    pq.write_table(pa.table(left_out), tmp_path / "list.parquet")
    exclude = ("--exclude", str(tmp_path / "list.parquet"))
    one = answered("one", *exclude, "--seller", "s01")
    listed = ("--queries", str(tmp_path / "asked.parquet"))
    assert one.equals(answered("all", *exclude, *listed, probe=PROBE))
    found = one.column("product_id").to_pylist()
    assert found[:2] == shown[3:5]
    assert not set(found) & set(shown[:3])


@pytest.mark.parametrize("is_known", [True, False])
def test_a_sellers_new_list_is_answered_in_place_where_it_names_old_candidates(
    models, tmp_path, is_known
):
    place, memory, _ = models
    wanted = list(range(1, 40, 3)) if not is_known else list(range(0, 40, 4))
    ids = [f"p{i:02}" for i in wanted]
    pq.write_table(pa.table({"product_id": ids}), tmp_path / "quarter.parquet")
    pq.write_table(pa.table({"seller_id": ["s01"]}), tmp_path / "asked.parquet")
    only = ("--only", str(tmp_path / "quarter.parquet"))
    # every product is a candidate where the training named none in high demand
    pool = memory.stage.problem.is_candidate
    probe = IN_PLACE_ONLY if is_known or pool is None else PROBE
    one = ask(place, tmp_path, "one", *only, "--seller", "s01", probe=probe)
    listed = ("--queries", str(tmp_path / "asked.parquet"))
    assert one.equals(ask(place, tmp_path, "all", *only, *listed, probe=PROBE))
    assert one.num_rows > 2
    assert set(one.column("product_id").to_pylist()) <= set(ids)


def test_every_id_is_found_and_no_other(models):
    _, memory, in_place = models
    for at, name in enumerate(memory.query_ids().to_pylist()):
        assert in_place.find_query(name) == at
    for stranger in ("", "s", "s00x", "zzz", "\u00e9"):
        assert in_place.find_query(stranger) == -1


def test_texts_with_gaps_are_read_row_by_row(models):
    _, memory, in_place = models
    titles = shop_products().column("title").to_pylist()
    assert None in titles
    for name in ("product_id", "title", "brand", "category"):
        wanted = memory.catalogue.table.column(name).to_pylist()
        assert [in_place.text(name, row) for row in range(len(wanted))] == wanted


def test_a_model_of_an_earlier_version_is_read_as_a_whole(models, tmp_path):
    place, memory, _ = models
    (tmp_path / "old.model").mkdir()
    for path in sorted(os.listdir(place)):
        table = pq.read_table(os.path.join(place, path))
        kept = {k: v for k, v in table.schema.metadata.items() if k != b"cprtools.layout"}
        pq.write_table(table.replace_schema_metadata(kept), tmp_path / "old.model" / path)
    folder = tables.open_folder(str(tmp_path / "old.model"), (answers.SELLERS,))
    with pytest.raises(NotInPlace):
        open_in_place(folder)
    assert answers.open_model(str(tmp_path / "old.model")).query_ids().equals(memory.query_ids())


@pytest.mark.parametrize("parts", [("item-knn", "ease"), ("item-knn", "mf")], ids=str)
def test_a_blend_answers_one_seller_as_all_of_them(tmp_path, parts):
    # its z-scores are over all products, of which few are in high demand
    settings = dict(zip(("first", "second"), parts, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Blend, "choose_settings", lambda *_, **__: settings)
        place = str(train_sellers(tmp_path, "blend", demand=DEMAND) / "full.model")
    everyone = ask(place, tmp_path, "all", "--all", probe=PROBE)
    for seller in ("s01", "s02"):
        one = ask(place, tmp_path, "one", "--seller", seller, probe=PROBE)
        assert one.num_rows > 2
        assert one.equals(everyone.filter(pc.equal(everyone.column("seller_id"), seller)))


def test_one_sellers_answer_loads_nothing_that_takes_longer_than_it(models):
    place, _, _ = models
    words = ["recommend", "--model", place, "--seller", "s01", "--threshold", "0"]
    command = [sys.executable, "-c", PROBE, *words, "--category", "all", "--format", "table"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) > 10
    assert HEAVY & set(json.loads(done.stderr.splitlines()[-1])) == set()
