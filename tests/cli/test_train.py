"""cprtools train-cpr and train-linkpred on bad input: one line, the right code, nothing left."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import forking
from tests.cli.commands import fails, ok, planted_pairs, run, train, write


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (4, ("nothing.parquet",), "no such file"),
        (3, ("listings.parquet",), "no columns 'query_id', 'candidate_id', 'co_purchase'"),
        (2, ("listings.parquet", "--method", "magic"), "--method must be one of"),
        (2, ("pairs.parquet", "--preset", "magic"), "--preset must be one of"),
        (2, ("pairs.parquet", "--method", "mf", "--epochs", "2"), "options of p-companion"),
        (2, ("pairs.parquet", "--later", "pairs.parquet"), "--earlier and --later go together"),
        (2, ("pairs.parquet", "--recent", "pairs.parquet"), "--recent needs --earlier and --later"),
        (2, ("pairs.parquet", "--labels", "some"), "--labels must be one of weighed, cleaned, all"),
        (2, ("pairs.parquet", "--variant", "lift"), "--variant is an option of co-purchase and"),
        (2, ("pairs.parquet", "--method", "reverse", "--variant", "x"), "count, lift, confidence"),
        (3, ("pairs.parquet", "--method", "sceptre"), "sceptre needs --products"),
        (3, ("pairs.parquet", "--method", "type-counts"), "or category, or --vectors; found"),
        (3, ("pairs.parquet", "--products", "listings2.parquet"), "no complement pair joins"),
        (3, ("pairs.parquet", "--vectors", "strange.parquet"), "none of its"),
        (3, ("pairs.parquet", "--vectors", "zero.parquet"), "the vectors of all products are zero"),
        (3, ("pairs.parquet", "--vectors", "uneven.parquet"), "differ in length"),
        (3, ("pairs.parquet", "--vectors", "nan.parquet"), "finite"),
        (3, ("pairs.parquet", "--method", "text-knn"), "--vectors"),
        (3, ("empty.parquet",), "no rows"),
        (3, ("pairs.parquet", "--products", "double.parquet"), "differ in 'title'"),
        (4, ("pairs.parquet", "--method", "mf", "-o", "tables"), "not ours"),
    ],
)
def test_bad_training_input_gets_one_line_and_leaves_nothing(home, code, words, said):
    write(home / "listings2.parquet", product_id=["x", "y"])
    write(home / "strange.parquet", product_id=["x"], vector=[[1.0, 2.0]])
    write(home / "zero.parquet", product_id=["A1", "x"], vector=[[0.0, 0.0], [1.0, 2.0]])
    write(home / "uneven.parquet", product_id=["A1", "A2"], vector=[[1.0], [1.0, 2.0]])
    write(home / "nan.parquet", product_id=["A1"], vector=[[1.0, float("nan")]])
    write(home / "double.parquet", product_id=["A1", "A1"], title=["one", "two"])
    pq.write_table(pq.read_table(home / "pairs.parquet").slice(0, 0), home / "empty.parquet")
    (home / "tables").mkdir(exist_ok=True)
    (home / "tables" / "precious.txt").write_text("mine")
    output = () if "-o" in words else ("-o", "bad.model")
    assert said in fails(home, code, "train-cpr", *words, *output)
    assert not (home / "bad.model").exists()
    assert [p.name for p in (home / "tables").iterdir()] == ["precious.txt"]
    assert not list(home.glob("*.part"))


@pytest.mark.parametrize(
    ("labels", "known", "outside"),
    [("cleaned", 3, "2 of 5 complement"), ("all", 3, "2 of 6 co-purchase"), ("cleaned", 4, "")],
)
def test_pairs_that_mostly_name_other_products_are_warned_of(tmp_path, labels, known, outside):
    write(tmp_path / "pairs.parquet", query_id=["a", "b", "c", "a", "b", "c"],
          candidate_id=["b", "c", "a", "D", "E", "b"], co_purchase=[2] * 6, co_view=[0] * 6,
          purchase_after_view=[0] * 6, query_count=[9] * 6, candidate_count=[9] * 6, lift=[1.0] * 6,
          complement=[True] * 5 + [False], similar=[False] * 6)  # fmt: skip
    write(tmp_path / "products.parquet", product_id=["a", "b", "c", "D"][:known])
    words = ("pairs.parquet", "--products", "products.parquet", "--method", "popularity")
    done = run(tmp_path, "train-cpr", *words, "--labels", labels, "--quiet", "-o", "m")
    assert done.returncode == 0
    told = done.stderr.decode().splitlines()
    start = f"cprtools: warning: pairs.parquet: {outside} pairs name products that "
    # of five one is a fifth, and no more
    assert told == ([] if not outside else [
        f"{start}products.parquet does not have: left out; do the ids of both tables agree?"
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (4, ("nowhere",), "no such folder"),
        (3, ("cpr.model",), "expected a graph"),
        (2, ("cpr.model", "--method", "ease2"), "--method must be one of"),
        (2, ("graph", "--fanout", "3,3"), ""),
        (2, ("graph", "--fanout", "x"), "--fanout"),
        (2, ("graph", "--sampling", "x"), "--sampling must be one of"),
        (3, ("graph", "--method", "text-knn"), "--vectors"),
    ],
)
def test_bad_graphs_and_options_get_one_line(home, code, words, said):
    if words[-1] == "3,3":
        words = (*words, "--num-layers", "3")
    assert said in fails(home, code, "train-linkpred", *words, "-o", "bad.model")
    assert not (home / "bad.model").exists()


def test_a_checkpoint_belongs_to_p_companion_and_resume_to_a_checkpoint(home):
    for code, words, said in (
        (2, ("--resume",), "--resume needs --checkpoint"),
        (2, ("--checkpoint", "./bad.model"), "--checkpoint and --output are one folder"),
        (2, ("--method", "mf", "--checkpoint", "state"), "for p-companion, not for mf"),
        (2, ("--device", "tpu"), "--device must be one of cpu, cuda"),
        (4, ("--checkpoint", "tables"), "not ours"),
    ):
        (home / "tables").mkdir(exist_ok=True)
        (home / "tables" / "precious.txt").write_text("mine")
        assert said in fails(home, code, "train-cpr", "pairs.parquet", *words, "-o", "bad.model")
        assert not (home / "bad.model").exists()


def test_a_resumed_training_writes_the_same_bytes(home):
    words = ("train-cpr", "pairs.parquet", "--products", "products.parquet", "--epochs", "2")
    train(home, *words, "-o", "plain.model", env=forking.OTHER_HASHES)
    train(home, *words, "--checkpoint", "state", "-o", "kept.model")
    # both fits, of the training part and of everything, are in the checkpoint and done
    done = train(home, *words, "--checkpoint", "state", "--resume", "-o", "resumed.model")
    assert "GB of memory" in done.stderr.decode()
    names = sorted(path.name for path in (home / "plain.model").iterdir())
    for model in ("kept.model", "resumed.model"):
        assert sorted(path.name for path in (home / model).iterdir()) == names
        for name in names:
            same = (home / model / name).read_bytes() == (home / "plain.model" / name).read_bytes()
            assert same, name
    state = pq.read_table(home / "state" / "manifest.parquet").column("member").to_pylist()
    # few pairs: four fits without some of them, and the last one
    fits = range(1, 6)
    assert state == [*(f"state_{n}" for n in fits), *(f"tensors_{n}" for n in fits)]


def test_all_labels_learn_from_pairs_that_were_viewed_together_too(home):
    viewed = planted_pairs(4)
    viewed["complement"] = [False] * len(viewed["complement"])
    write(home / "viewed.parquet", **viewed)
    words = ("train-cpr", "viewed.parquet", "--method", "co-purchase", "--variant", "lift")
    assert "pairs is a complement; " in fails(
        home, 3, *words, "--labels", "cleaned", "-o", "bad.model"
    )
    ok(home, *words, "--labels", "all", "-o", "all.model")
    kept = pq.read_table(home / "all.model" / "interactions.parquet")
    assert kept.num_rows == len(viewed["query_id"])
    settings = pq.read_table(home / "all.model" / "co_purchase_settings.parquet")
    assert settings.column("variant").to_pylist() == ["lift"]


@pytest.mark.parametrize(
    "method",
    ["reverse", "ease", "blend", "item2vec", "triplet", "sceptre", "item-knn", "type-popularity"],
)
def test_a_baseline_trains_stores_and_answers_from_the_command_line(home, method):
    words = ("--products", "products.parquet", "--method", method)
    write(home / "small.parquet", **planted_pairs(8))
    done = run(home, "train-cpr", "small.parquet", *words, "-o", f"{method}.model")
    assert done.returncode == 0, done.stderr.decode()
    ok(home, "recommend", "--model", f"{method}.model", "--product", "B1", "--format", "json")


@pytest.mark.parametrize("method", ["bpr", "lightgcn"])
def test_a_method_for_sellers_alone_trains_and_answers_and_refuses_products(home, method):
    done = run(home, "train-linkpred", "graph", "--method", method, "-o", f"{method}.model")
    assert done.returncode == 0, done.stderr.decode()
    answering = ("recommend", "--model", f"{method}.model", "--all", "--threshold", "0")
    ok(home, *answering, "-o", "all.parquet")
    assert pq.read_table(home / "all.parquet").num_rows > 0
    words = ("train-cpr", "pairs.parquet", "--method", method)
    assert "--method must be one of" in fails(home, 2, *words, "-o", "bad.model")


def test_later_pairs_choose_the_ranker_and_known_pairs_are_measured(home):
    pairs = pq.read_table(home / "pairs.parquet")
    bought = pairs.column("co_purchase").to_numpy()
    counts = np.random.default_rng(0).binomial(bought, 0.4)
    at = pairs.column_names.index("co_purchase")
    for name, part in (("later", counts), ("earlier", bought - counts)):
        table = pairs.set_column(at, "co_purchase", pa.array(part, pa.int64()))
        pq.write_table(table.filter(pa.array(part > 0)), home / f"{name}.parquet")

    train(home, "train-cpr", "pairs.parquet", "--products", "products.parquet", "--earlier",
          "earlier.parquet", "--later", "later.parquet", "--epochs", "1", "-o",
          "later.model")  # fmt: skip
    train(home, "train-cpr", "pairs.parquet", "--products", "products.parquet", "--earlier",
          "earlier.parquet", "--later", "later.parquet", "--recent", "earlier.parquet", "--epochs",
          "1", "-o", "recent.model")  # fmt: skip
    ok(home, "recommend", "--model", "later.model", "--all", "--types", "0", "-o", "r.parquet")
    ok(home, "evaluate", "r.parquet", "--truth", "later.parquet", "--train", "pairs.parquet",
       "--keep-train", "-o", "m.parquet")  # fmt: skip

    features = pq.read_table(home / "later.model" / "ranker_features.parquet").to_pylist()
    assert [row["feature"] for row in features if row["start"]] == ["expected"]
    assert not (home / "later.model" / "recent.parquet").exists()
    shown = ok(home, "recommend", "--model", "recent.model", "--product",
               pairs.column("query_id")[0].as_py(), "--explain", "--format", "table")  # fmt: skip
    assert b"bought together of late" in shown
    metrics = pq.read_table(home / "m.parquet").to_pylist()
    hit = {(m["metric"], m["k"]): m["value"] for m in metrics if m["segment"] == "all"}
    # every later pair is known, and each product has but a few
    assert hit["Hit", 10] > 0.9


@pytest.mark.parametrize("columns", [["product_id", "title"], ["product_id"], None])
def test_a_catalogue_without_types_and_vectors_is_enough(home, tmp_path, columns):
    table = pq.read_table(home / "products.parquet")
    given = []
    if columns is not None:
        pq.write_table(table.select(columns), tmp_path / "products.parquet")
        given = ["--products", "products.parquet"]
    pairs = home / "pairs.parquet"
    train(tmp_path, "train-cpr", pairs, *given, "--epochs", "1", "-o", "m")
    ok(tmp_path, "recommend", "--model", "m", "--all", "-o", "all.parquet")
    rows = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert {row["product_type"] for row in rows} == {row["type_score"] for row in rows} == {None}
    ok(tmp_path, "recommend", "--model", "m", "--product", "A1", "-o", "one.parquet")
    one = pq.read_table(tmp_path / "one.parquet").to_pylist()
    assert one == [row for row in rows if row["query_id"] == "A1"] and len(one) == 10
    assert not any("completes" in row["reason"] for row in rows)
    write(tmp_path / "new.parquet", product_id=["fresh"], title=["Title of A1"])
    ok(tmp_path, "recommend", "--model", "m", "--product", "fresh", "--products", "new.parquet",
       "-o", "new.recs")  # fmt: skip
    assert pq.read_table(tmp_path / "new.recs").num_rows == 10


def test_a_method_without_types_of_its_own_tells_how_often_a_type_follows(tmp_path):
    # after cases sleeves were bought 6 times and chargers twice, of 3 types
    counts = {("case1", "sleeve1"): 4, ("case2", "sleeve1"): 2, ("case1", "charger1"): 2}
    queries, candidates = (list(ids) for ids in zip(*counts, strict=True))
    bought = list(counts.values())
    write(tmp_path / "pairs.parquet", query_id=queries, candidate_id=candidates,
          co_purchase=bought, co_view=[0] * 3, purchase_after_view=[0] * 3, query_count=bought,
          candidate_count=bought, lift=[1.0] * 3, complement=[True] * 3,
          similar=[False] * 3)  # fmt: skip
    ids = ["case1", "case2", "sleeve1", "charger1"]
    write(tmp_path / "products.parquet", product_id=ids, product_type=[i[:-1] for i in ids])
    ok(tmp_path, "train-cpr", "pairs.parquet", "--products", "products.parquet", "--method",
       "co-purchase", "-o", "m")  # fmt: skip
    asked = ("--product", "case1", "-k", "2", "--format", "json")
    rows = map(json.loads, ok(tmp_path, "recommend", "--model", "m", *asked).splitlines())
    assert {row["product_type"]: row["type_score"] for row in rows} == {
        "sleeve": pytest.approx((6 + (6 + 1 / 3) / (8 + 1)) / (8 + 1)),
        "charger": pytest.approx((2 + (2 + 1 / 3) / (8 + 1)) / (8 + 1)),
    }
