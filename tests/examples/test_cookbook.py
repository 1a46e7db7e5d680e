"""Each recipe of docs/cookbook.md, run as it is printed and in its order."""

import re
from pathlib import Path

import duckdb
import pytest

from tests import forking
from tests.training.few_steps import AS_COMMAND

ROOT = Path(__file__).resolve().parents[2]
BOOK = (ROOT / "docs" / "cookbook.md").read_text(encoding="utf-8")
# the commands of a block, and what the page says that they print, where it says so
RECIPES = re.findall(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", BOOK, flags=re.M | re.S)
MARK = "\f"  # between the outputs of the blocks


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The folder that the recipes leave, and what each block printed."""
    folder = tmp_path_factory.mktemp("cookbook")
    (folder / "examples").symlink_to(ROOT / "examples")
    script = f"printf '{MARK}'\n".join(["set -euo pipefail\n", *(block for block, _ in RECIPES)])
    # no output that the page shows is that of a trained model
    done = forking.run_script(["bash", "-c", script], folder, FORKED_PROGRAM=AS_COMMAND)
    begun = done.stdout.count(MARK)
    assert done.returncode == 0, f"{RECIPES[begun - 1][0]}\n{done.stderr[-2000:]}"
    return folder / "shop", done.stdout.split(MARK)[1:]


def rows(query):
    return duckdb.sql(query).fetchall()


def printed_by(shop, words):
    """What the one block with these words printed."""
    (found,) = (text for (block, _), text in zip(RECIPES, shop[1], strict=True) if words in block)
    return found


def test_each_heading_has_a_recipe():
    assert len(RECIPES) == BOOK.count("\n## ") > 15


def test_the_page_shows_what_is_printed(shop):
    shown = [(told, printed) for (_, told), printed in zip(RECIPES, shop[1], strict=True) if told]

    assert len(shown) >= 5
    for told, printed in shown:
        assert told == printed


def test_a_nights_run_with_a_state_gives_the_pairs_of_the_whole_log(shop):
    folder, _ = shop
    whole, kept = (f"'{folder / name}.parquet'" for name in ("pairs", "pairs-today"))

    assert rows(f"FROM {whole} EXCEPT ALL FROM {kept}") == []
    assert rows(f"FROM {kept} EXCEPT ALL FROM {whole}") == []


def test_new_products_are_answered_and_lists_hold_what_was_asked_for(shop):
    folder, _ = shop
    new, spread, in_stock = (
        [line.split(",") for line in printed_by(shop, words).splitlines()]
        for words in ("--product NEWP1", "--types 5", "--only stock")
    )
    query = f"SELECT candidate_id FROM '{folder / 'shown.parquet'}' WHERE query_id = 'P1'"
    shown = {candidate for (candidate,) in rows(query)}

    assert new[1][:2] == ["NEWP1", "1"]
    assert len({row[3] for row in spread[1:6]}) == 5
    assert len(shown) == 3
    assert in_stock[1:] and all(float(row[-1]) < 60 for row in in_stock[1:])
    assert not shown & {row[2] for row in in_stock}


def test_every_product_and_every_seller_has_an_answer_and_a_sellers_file_is_its_own(shop):
    folder, _ = shop
    counted = "SELECT count(DISTINCT query_id), max(rank) FROM"

    assert rows(f"{counted} '{folder / 'complements.parquet'}'") == [(400, 12)]
    assert len(list((folder / "sellers").iterdir())) == 4
    files = sorted((folder / "per-seller").iterdir())
    for path in files:
        assert rows(f"SELECT DISTINCT seller_id FROM '{path}'") == [(path.stem,)]
    assert (
        len(files)
        == rows(f"SELECT count(DISTINCT seller_id) FROM '{folder / 'sellers.parquet'}'")[0][0]
    )


def test_a_comparison_leaves_metrics_and_a_report_of_one_file(shop):
    folder, _ = shop
    methods = rows(f"SELECT DISTINCT method FROM '{folder / 'metrics.parquet'}' ORDER BY ALL")
    report = (folder / "report.html").read_text(encoding="utf-8")

    assert {"bestsellers", "type-popularity"} <= {method for (method,) in methods}
    assert not re.search(r'(?:src|href)="(?:https?:)?//', report)
    assert '"category=Photography"' in printed_by(shop, "--segment")
