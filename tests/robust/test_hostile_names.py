"""Ids, titles, column maps and paths that look like something else: data stays data."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from cprtools import cli
from tests.cli.commands import write

IDS = [
    "it's", 'say "hi"', "'; DROP TABLE events; --", "a\nb", "a\rb", "tab\there",
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "😀", "e\u0301", "\u202eright to left", "\x9b31m",
    "[red]", "{}%s$1", "-", "-o", " x ", "a,b;c", "NULL", "nan", "x" * 300, "*?[a].parquet",
    "../up", "\x7f",
]  # fmt: skip
FOLDER = 'it\'s a "place"; -- [1] 100%'


@pytest.fixture
def say(tmp_path, monkeypatch, capfdbinary):
    """Run a command line here, in a folder with a name of that kind: code, stdout, stderr."""
    (tmp_path / FOLDER).mkdir()
    monkeypatch.chdir(tmp_path / FOLDER)

    def run(*words):
        code = cli._run([*words, "-q"])
        said = capfdbinary.readouterr()
        assert not [ch for ch in said.err.decode() if not ch.isprintable() and ch != "\n"]
        return code, said.out.decode(), said.err.decode()

    return run


@pytest.fixture
def model(say):
    """A model of products with all of these ids, also their titles, types and brands."""
    rows = [
        (f"c{n}", IDS[(n + step) % len(IDS)], "purchase") for n in range(48) for step in range(3)
    ]
    customers, products, events = (list(column) for column in zip(*rows, strict=True))
    write("events.parquet", who=customers, **{"it's; --": products}, event=events,
          session_id=customers)  # fmt: skip
    write("products.parquet", product_id=IDS, title=IDS, product_type=IDS, brand=IDS,
          **{"\x1b[31m[bold]": IDS})  # fmt: skip
    columns = "customer_id=who,product_id=it's; --"
    assert say("mine-pairs", "events.parquet", "--columns", columns, "-o", "p [1].parquet") == (
        0,
        "",
        "",
    )
    train = ["--method", "co-purchase", "--products", "products.parquet", "-o", "m's.model"]
    assert say("train-cpr", "p [1].parquet", *train)[0] == 0
    return "m's.model"


def test_ids_of_every_kind_come_through_both_text_forms_and_parquet_as_they_are(say, model):
    asked = ("recommend", "--model", model, "--all", "-k", "3", "--with", "title", "--format")
    assert say(*asked, "parquet", "-o", "r.parquet")[0] == 0
    table = pq.read_table("r.parquet")
    assert set(table["query_id"].to_pylist()) == set(IDS)
    assert table["product_id"].to_pylist() == table["title"].to_pylist()

    lines = say(*asked, "json")[1].split("\n")[:-1]
    assert [json.loads(line)["product_id"] for line in lines] == table["product_id"].to_pylist()
    read = csv.reader(io.StringIO(say(*asked, "csv")[1], newline=""), lineterminator="\n")
    assert [row[2] for row in read][1:] == table["product_id"].to_pylist()


def test_a_table_for_people_never_obeys_what_an_id_or_a_column_is_called(say, model):
    _, text, _ = say("recommend", "--model", model, "--all", "-k", "3", "--with",
                     "title,\x1b[31m[bold]", "--format", "table")  # fmt: skip
    assert not {ch for ch in text if not ch.isprintable() and ch != "\n"}
    assert "\\x1b[31mred" in text
    assert "[red]" in text
    assert "\\x1b[31m[bold]" in text


@pytest.mark.parametrize("name", IDS)
def test_each_id_can_be_asked_for_and_a_stranger_like_it_is_told_safely(say, model, name):
    code, text, _ = say("recommend", "--model", model, f"--product={name}", "--format", "json")
    assert code == 0
    assert {json.loads(line)["query_id"] for line in text.split("\n")[:-1]} == {name}
    code, _, said = say("recommend", "--model", model, f"--product={name}\x1b[2J")
    assert (code, said.count("\n")) == (3, 1)


@pytest.mark.parametrize(
    "columns",
    [
        "product_id=x'; DROP TABLE y; --",
        'product_id="; SELECT 1',
        "product_id=\x1b[31m",
        "x\n=y",
        "=",
        "a=b=c",
    ],
)
def test_a_column_map_with_sql_in_it_names_a_column_or_nothing(say, columns):
    write("events.parquet", session_id=["s"], item=["a"], event=["purchase"])
    code, _, said = say("mine-pairs", "events.parquet", "--columns", columns, "-o", "out")
    assert code in (2, 3)
    assert said.count("\n") == 1


def test_a_model_folder_holds_no_pickle_and_an_array_that_wants_one_is_refused(say, tmp_path):
    import numpy as np

    from cprtools.tables import VectorStore

    class Payload:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    with open("0123-aa.vectors", "wb") as out:
        np.lib.format.write_array(out, np.array([Payload()], dtype=object), allow_pickle=True)
    assert VectorStore(tmp_path / FOLDER, "0123").damaged == 1
    assert not (tmp_path / "ran").exists()
