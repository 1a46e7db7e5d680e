"""Scripts that make a folder anew from data say what the data lack, and never remove them."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forking

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COMPLEMENTS = ("reproduce_complements.sh", "complements_over_seeds.sh")
SELLERS = (
    "reproduce_sellers.sh",
    "sellers_over_seeds.sh",
    "new_products_sellers.sh",
    "ablation_sellers.sh",
)


@pytest.fixture
def data(tmp_path):
    """A folder with a blank in its name, and three tables of integer ids."""
    folder = tmp_path / "my data"
    folder.mkdir()
    listings = {"seller_id": [1, 1, 2], "product_id": [7, 8, 7]}
    pq.write_table(pa.table(listings), folder / "listings.parquet")
    pq.write_table(pa.table({"product_id": [7, 8]}), folder / "products.parquet")
    events = {"session_id": [1, 1], "product_id": [7, 8], "event": ["purchase"] * 2}
    pq.write_table(pa.table(events), folder / "events.parquet")
    return folder


def refusal(name, *words, cwd, **settings):
    """The one line and the code that the script ends with."""
    done = forking.run_script(["bash", EXAMPLES / name, *words], cwd, **settings)
    assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    prefix = f"{name}: error: "
    assert done.stderr.startswith(prefix)
    return done.returncode, done.stderr.removeprefix(prefix).strip()


@pytest.mark.parametrize("name", COMPLEMENTS + SELLERS)
def test_a_script_without_data_says_how_to_call_it(tmp_path, name):
    usage = f"no DATA given; usage: {name} DATA [FOLDER]"
    assert refusal(name, cwd=tmp_path) == (2, usage)
    assert refusal(name, "nowhere", cwd=tmp_path) == (4, "nowhere: no such folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", COMPLEMENTS + SELLERS)
def test_a_missing_table_is_named_before_anything_is_made(data, name):
    (data / "products.parquet").unlink()
    assert refusal(name, data, "new", cwd=data) == (4, f"{data}: no products.parquet in it")
    assert not (data / "new").exists()


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"SPLIT": "time"}, 2, "SPLIT=time needs AT and LATER, such as "),
        ({"SPLIT": "date"}, 2, "SPLIT must be pairs, orders or time, got 'date'"),
    ],
)
def test_a_split_of_complements_that_cannot_be_is_refused(data, settings, code, said):
    found = refusal("reproduce_complements.sh", data, cwd=data.parent, **settings)
    assert found[0] == code and found[1].startswith(said)


def test_complements_need_relations_or_events_as_the_split_has_it(data):
    (data / "events.parquet").unlink()
    lacking = refusal("reproduce_complements.sh", data, cwd=data.parent)
    assert lacking == (4, f"{data}: no events.parquet in it, which SPLIT=orders needs")
    neither = refusal("reproduce_complements.sh", data, cwd=data.parent, SPLIT="pairs")
    assert neither == (4, f"{data}: neither relations.parquet nor events.parquet in it")


def test_events_without_sessions_cannot_be_split_by_orders(data):
    events = pq.read_table(data / "events.parquet").drop_columns("session_id")
    pq.write_table(events, data / "events.parquet")
    code, said = refusal("reproduce_complements.sh", data, "new", cwd=data)
    assert code == 3
    assert said.startswith(f"{data}/events.parquet: no session_id in it, which SPLIT=orders needs")
    assert not (data / "new").exists()


def test_to_go_on_with_another_split_is_refused(data):
    made = "SEED=0 SPLIT=orders AT= LATER= RECENT= QUERIES= MIN_COUNT=2"
    (data / "begun").mkdir()
    (data / "begun" / "split.txt").write_text(f"{made}\n")
    other = {"GO_ON": "1", "SEED": "1", "MIN_COUNT": "2"}
    found = refusal("reproduce_complements.sh", data, "begun", cwd=data, **other)
    assert found == (2, f"begun was made with {made}; GO_ON=1 needs the same, or another FOLDER")
    assert (data / "begun" / "split.txt").read_text() == f"{made}\n"


@pytest.mark.parametrize("name", COMPLEMENTS + SELLERS)
@pytest.mark.parametrize("folder", [".", "my data"])
def test_a_folder_that_holds_the_data_is_not_removed(data, name, folder):
    before = sorted(path.name for path in data.iterdir())
    code, said = refusal(name, "my data", folder, cwd=data.parent)
    assert code == 2
    assert said == f"{folder}: is written anew, and {data} lies in it; name another FOLDER"
    assert sorted(path.name for path in data.iterdir()) == before


def test_a_way_by_a_folder_that_mkdir_would_make_does_not_lead_back_to_the_data(data):
    before = sorted(path.name for path in data.iterdir())
    for name in COMPLEMENTS + SELLERS:
        said = refusal(name, "my data", "my data/new/..", cwd=data.parent)
        assert said == (2, "my data/new/..: no such folder before ..")
    assert sorted(path.name for path in data.iterdir()) == before


@pytest.mark.parametrize(
    "name", ["reproduce_complements.sh", *SELLERS[::2], SELLERS[3], "copies_sellers.sh"]
)
def test_a_folder_of_ones_own_is_not_removed(data, name):
    own = data.parent / "my texts"
    own.mkdir()
    (own / "thesis.txt").write_text("mine")
    words = () if name == "copies_sellers.sh" else (data,)
    code, said = refusal(name, *words, "my texts", cwd=data.parent, SPLIT="pairs")
    assert code == 2
    assert said.startswith("my texts: holds files, and no mark of an earlier run; remove it, or ")
    assert refusal(name, *words, "my texts/thesis.txt", cwd=data.parent, SPLIT="pairs") == (
        2, "my texts/thesis.txt: is a file; name another FOLDER"
    )  # fmt: skip
    assert (own / "thesis.txt").read_text() == "mine"


def test_a_folder_of_an_earlier_run_is_made_anew(tmp_path):
    script = f'. {EXAMPLES / "data_folder.bash"}; make_anew "a b"; ls -A "a b"; touch "a b/old"'
    for _ in range(2):
        done = forking.run_script(["bash", "-euc", script], tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, ".made-anew\n", "")


def test_vectors_made_before_are_not_removed_with_the_folder(data):
    old = data.parent / "old"
    old.mkdir()
    (old / "text.parquet").write_bytes(b"")
    code, said = refusal(
        "new_products_sellers.sh", data, old, cwd=data.parent, FEATURES="old/text.parquet"
    )
    assert code == 2 and said.endswith("text.parquet lies in it; name another FOLDER")
    assert (old / "text.parquet").exists()


def python(name, *words, cwd):
    done = forking.run_script([sys.executable, EXAMPLES / name, *words], cwd)
    assert done.returncode == 0, done.stderr


def test_seeds_of_tables_with_integer_ids_are_joined(data):
    for seed in "01":
        (data / f"s{seed}").mkdir()
        pq.write_table(pq.read_table(data / "listings.parquet"), data / f"s{seed}" / "test.parquet")
    python("pool.py", "s", "test.parquet", "0", "1", "-o", "test.parquet", cwd=data)
    joined = pq.read_table(data / "test.parquet")
    assert joined["seller_id"].to_pylist() == ["0:1", "0:1", "0:2", "1:1", "1:1", "1:2"]
    assert joined["product_id"].to_pylist() == ["0:7", "0:8", "0:7", "1:7", "1:8", "1:7"]


def test_events_with_ids_in_text_know_held_out_listings_in_numbers(data):
    events = {
        "customer_id": ["a", "b", "c"],
        "seller_id": ["1", "1", "S"],
        "product_id": ["7", "9", "P"],
    }
    pq.write_table(pa.table(events), data / "e.parquet")
    python("known_events.py", "e.parquet", "listings.parquet", "o.parquet", cwd=data)
    assert sorted(pq.read_table(data / "o.parquet")["customer_id"].to_pylist()) == ["b", "c"]


def test_events_with_ids_in_floats_know_held_out_listings_in_numbers(data):
    # data frames turn whole numbers with gaps into floats
    events = {
        "customer_id": ["a", "b", "c"],
        "seller_id": pa.array([1.0, 1.0, None]),
        "product_id": pa.array([7.0, 9.0, 7.0]),
    }
    pq.write_table(pa.table(events), data / "e.parquet")
    python("known_events.py", "e.parquet", "listings.parquet", "o.parquet", cwd=data)
    assert sorted(pq.read_table(data / "o.parquet")["customer_id"].to_pylist()) == ["b", "c"]


@pytest.mark.parametrize(
    ("name", "methods", "left_out"),
    [
        (COMPLEMENTS[0], "text-knn popularity type-popularity", ["text-knn", "type-popularity"]),
        (SELLERS[0], "popularity text-knn", ["text-knn"]),
    ],
)
def test_methods_that_ids_alone_do_not_suffice_for_are_left_out(tmp_path, name, methods, left_out):
    rng = np.random.default_rng(0)
    data, ids = tmp_path / "data", np.array([f"P{i}" for i in range(30)])
    data.mkdir()
    pq.write_table(pa.table({"product_id": ids}), data / "products.parquet")
    first, second = (ids[rng.integers(0, 30, 300)] for _ in range(2))
    relations = {"query_id": first, "candidate_id": second, "relation": ["also_bought"] * 300}
    pq.write_table(pa.table(relations), data / "relations.parquet")
    listings = {"seller_id": [f"S{i % 20}" for i in range(300)], "product_id": first}
    pq.write_table(pa.table(listings), data / "listings.parquet")

    done = forking.run_script(
        ["bash", EXAMPLES / name, data, "new"], tmp_path, METHODS=methods, EMBED="--method static"
    )
    assert done.returncode == 0, done.stderr
    said = [line.split()[1] for line in done.stderr.splitlines() if "is left out: " in line]
    assert said == left_out
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("| pop")]
    refused = forking.run_script(
        ["bash", EXAMPLES / name, data, "new"], tmp_path, METHODS="text-knn"
    )
    assert refused.returncode == 3
    assert refused.stderr.endswith(f"{name}: error: no method is left\n")
