"""The report of real files: what a reader finds in it, and what a browser says to it."""

import os
import re
import shutil
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import evaluation, tables

EVIL = "<script>console.error('evil')</script><img src=x onerror=alert(1)>&\"'"
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
NAMES = {"phone": "Phone", "case": f"Case {EVIL}", "film": "Film"}


def write(path, **columns):
    pq.write_table(pa.table(columns), path)


def make_files(folder):
    """Thirty phones with a case and a film each; `good` shows the case first, `bad` the film."""
    phones = [f"phone{i}{EVIL}" for i in range(30)]
    cases, films = [f"case{i}" for i in range(30)], [f"film{i}" for i in range(30)]
    ids = [*phones, *cases, *films]
    write(
        folder / "products.parquet",
        product_id=ids,
        title=[
            f"{NAMES[i[:4] if i[:4] in NAMES else 'phone']} {n % 30}" for n, i in enumerate(ids)
        ],
        product_type=["phone"] * 30 + [EVIL] * 30 + ["film"] * 30,
        brand=["Acme", "Bolt"] * 45,
    )
    for name, order in (("p-companion", (cases, films)), ("popularity", (films, cases))):
        shown = [product for pair in zip(*order, strict=True) for product in pair]
        write(
            folder / f"{name}.parquet",
            query_id=[phone for phone in phones for _ in range(2)],
            rank=[1, 2] * 30,
            product_id=shown,
            score=[0.9, 0.1] * 30,
            reason=[f"often bought {EVIL}", "same brand"] * 30,
        )
    write(folder / "truth.parquet", query_id=phones, candidate_id=cases, co_purchase=[2] * 30)
    write(
        folder / "train.parquet",
        query_id=phones[:20],
        candidate_id=films[10:],
        co_purchase=[1] * 20,
    )


@pytest.fixture(scope="module")
def details(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    make_files(folder)
    places = evaluation.Places(
        str(folder / "p-companion.parquet"),
        str(folder / "truth.parquet"),
        [str(folder / "popularity.parquet")],
        train=str(folder / "train.parquet"),
        products=str(folder / "products.parquet"),
        segments=["brand"],
    )
    inputs = evaluation.open_inputs(places)
    return inputs, evaluation.gather(inputs, (1, 2), seed=0)


@pytest.fixture(scope="module")
def page(details):
    inputs, found = details
    measured = evaluation.evaluate_all(inputs, (1, 2), bootstrap=50)
    compared = [evaluation.compare(measured[0], measured[1])]
    described = tables.Footer("evaluate", {}, 0, inputs.opened).described
    made_from = evaluation.provenance(inputs.opened, described)
    return evaluation.html_report(measured, compared, made_from, found)


def test_the_page_has_all_that_a_decision_needs(page):
    for title in (
        "Leaderboard", "Differences", "Over the cut-off", "Warm and new", "Segments",
        "Accuracy and diversity", "Coverage of the catalogue", "Calibration", "Type transitions",
        "Examples", "Inputs",
    ):  # fmt: skip
        assert f">{title}</h2>" in page, title
    assert "p-companion, a trained method, does NOT beat popularity, the best simple one" in page
    assert "brand=Acme" in page
    assert "often bought" in page


def test_nothing_of_a_file_becomes_markup(page):
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_transitions_are_the_shares_of_types_shown_and_bought(details):
    found = details[1].transitions
    names = {name: place for place, name in enumerate(found.names)}

    phone, case, film = names["phone"], names[EVIL], names["film"]
    assert found.shown[phone, case] == found.shown[phone, film] == 30
    assert found.shown.sum() == 60
    assert found.bought[phone, case] == 30 * 2
    assert found.bought.sum() == 60


def test_a_report_looks_for_the_pairs_that_the_metrics_look_for(tmp_path):
    """One pair is given twice, one is known in training, one was never bought."""
    make_files(tmp_path)
    phone = pq.read_table(tmp_path / "truth.parquet").column("query_id")[0].as_py()
    write(
        tmp_path / "truth.parquet",
        query_id=[phone] * 4,
        candidate_id=["case0", "case0", "film10", "film5"],
        co_purchase=[2, 2, 7, 0],
    )
    places = evaluation.Places(
        *(str(tmp_path / f"{name}.parquet") for name in ("p-companion", "truth")),
        train=str(tmp_path / "train.parquet"),
        products=str(tmp_path / "products.parquet"),
    )

    found = evaluation.gather(evaluation.open_inputs(places), (2,))

    names = {name: place for place, name in enumerate(found.transitions.names)}
    assert found.transitions.bought[names["phone"], names[EVIL]] == found.transitions.bought.sum()
    assert found.transitions.bought.sum() == 2
    assert [one.held_out for one in found.examples] == [(f"Case {EVIL} 0",)]


def test_a_report_of_sellers_looks_for_candidates_only(tmp_path):
    write(tmp_path / "recs.parquet", seller_id=["s", "s"], rank=[1, 2], product_id=["c", "d"])
    write(tmp_path / "truth.parquet", seller_id=["s"] * 4, product_id=["a", "c", "d", "d"])
    write(tmp_path / "train.parquet", seller_id=["s", "s"], product_id=["a", "b"])
    write(tmp_path / "products.parquet", product_id=[*"abd"], product_type=["u", "u", "v"])
    places = evaluation.Places(
        *(str(tmp_path / f"{name}.parquet") for name in ("recs", "truth")),
        train=str(tmp_path / "train.parquet"),
        products=str(tmp_path / "products.parquet"),
    )

    found = evaluation.gather(evaluation.open_inputs(places), (2,))

    assert found.transitions.bought.tolist() == [[0, 1], [0, 0]]
    assert [one.held_out for one in found.examples] == [("d",)]


def test_a_report_shows_the_lists_as_they_are_measured(tmp_path):
    """Listed products and no candidates are taken out, what stands below moves up."""
    write(
        tmp_path / "recs.parquet",
        seller_id=["s"] * 4 + ["t"],
        rank=[1, 2, 3, 4, 1],
        product_id=[*"bxdea"],
        reason=["known", "unsold", "first", "second", "not asked"],
    )
    write(tmp_path / "truth.parquet", seller_id=["s"], product_id=["d"])
    write(tmp_path / "train.parquet", seller_id=["s", "t"], product_id=["b", "d"])
    write(tmp_path / "products.parquet", product_id=[*"abde"], product_type=["u", "u", "v", "w"])
    places = evaluation.Places(
        *(str(tmp_path / f"{name}.parquet") for name in ("recs", "truth")),
        train=str(tmp_path / "train.parquet"),
        products=str(tmp_path / "products.parquet"),
    )

    found = evaluation.gather(evaluation.open_inputs(places), (2,))

    u = found.transitions.names.index("u")
    assert found.transitions.shown[u].tolist() == [0, 1, 1]
    assert found.transitions.shown.sum() == 2
    (one,) = found.examples
    assert [(r.rank, r.name, r.reason, r.is_true) for r in one.rows] == [
        (1, "d", "first", True),
        (2, "e", "second", False),
    ]


def test_a_sellers_type_is_the_one_most_listed(tmp_path):
    write(tmp_path / "recs.parquet", seller_id=["s", "t"], rank=[1, 1], product_id=["d", "d"])
    write(tmp_path / "truth.parquet", seller_id=["s", "t"], product_id=["d", "d"])
    write(
        tmp_path / "train.parquet",
        seller_id=["s", "s", "s", "t", "t"],
        product_id=["a", "b", "c", "a", "c"],
    )
    write(tmp_path / "products.parquet", product_id=[*"abcd"], product_type=["u", "v", "v", "w"])
    places = evaluation.Places(
        *(str(tmp_path / f"{name}.parquet") for name in ("recs", "truth")),
        train=str(tmp_path / "train.parquet"),
        products=str(tmp_path / "products.parquet"),
    )

    found = evaluation.gather(evaluation.open_inputs(places), (10,)).transitions

    u, v, w = map(found.names.index, "uvw")
    assert found.shown[v, w] == 1  # s lists two of v
    assert found.shown[u, w] == 1  # t lists one of each: the first by name


def test_examples_show_titles_reasons_and_what_was_right(details):
    found = details[1].examples

    assert len({one.name for one in found}) == 6
    for one in found:
        assert one.name.startswith("Phone ")
        assert [row.is_true for row in one.rows] == [True, False]
        assert [row.reason for row in one.rows] == [f"often bought {EVIL}", "same brand"]
        assert one.held_out == (one.rows[0].name,)


def test_curves_hold_every_cut_off_up_to_the_largest(details):
    curves = details[1].curves

    assert [one.method for one in curves] == ["p-companion", "popularity"]
    ks = {result.k for result in curves[0].results if result.metric == "Hit"}
    assert ks == {1, 2}
    assert curves[0].calibration.column("observed").to_pylist() == [0, 1]


def open_in_browser(path, tmp_path, *words):
    """The page's text as the browser sees it, and what it says of errors."""
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}", *words, "--dump-dom",
         f"file://{path}"],
        capture_output=True, text=True, check=True, timeout=120,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


needs_browser = pytest.mark.skipif(not BROWSER, reason="no Chromium is installed")


@needs_browser
def test_a_browser_shows_the_report_without_a_complaint(page, tmp_path):
    (tmp_path / "report.html").write_text(page)

    seen, complaints = open_in_browser(tmp_path / "report.html", tmp_path)

    assert complaints == []
    assert len(re.findall("<h2 ", seen)) == len(re.findall("<h2 ", page)) == 12
    assert "<script" not in seen


@needs_browser
def test_a_complaint_of_the_browser_would_be_noticed(page, tmp_path):
    broken = page.replace("</body>", "<script>console.error('broken')</script></body>")
    (tmp_path / "report.html").write_text(broken)

    _, complaints = open_in_browser(tmp_path / "report.html", tmp_path)

    assert len(complaints) == 1
    assert "broken" in complaints[0]
