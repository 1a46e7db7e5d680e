"""`read` and `scan_sql` take the same files for the same rows."""

import datetime as dt
import decimal
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cprtools import tables
from cprtools.errors import SchemaError
from cprtools.tables import Field

NOON = dt.datetime(2024, 5, 1, 12)
EPOCH = int(NOON.replace(tzinfo=dt.UTC).timestamp())
TIME = Field("ts", pa.timestamp("us"), required=False)
EVENTS = tables.TableSpec("events", (Field("product_id", pa.string()), TIME))


def both(parts, folder, spec=EVENTS):
    """The rows of tables (one file each) by `read` and by `scan_sql`."""
    for old in folder.glob("*.parquet"):
        old.unlink()
    for number, part in enumerate(parts):
        pq.write_table(part, folder / f"{number}.parquet")
    source = tables.open_table(str(folder), spec)
    rows = tables.read(source)
    by_arrow = list(zip(*(c.to_pylist() for c in rows.select(["product_id", "ts"])), strict=True))
    # the session's zone must not matter
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        by_duckdb = connection.execute(tables.scan_sql(source)).fetchall()
    return by_arrow, by_duckdb


def table(times, ids=None):
    return pa.table({"product_id": ids or ["p"] * len(times), "ts": times})


@pytest.mark.parametrize(
    "stored",
    [
        pa.array([EPOCH], pa.int64()),
        pa.array([EPOCH], pa.int32()),
        pa.array([EPOCH], pa.uint32()),
        pa.array([EPOCH * 1000]),
        pa.array([EPOCH * 10**6]),
        pa.array([EPOCH * 10**9]),
        pa.array([EPOCH * 10**9], pa.uint64()),
        pa.array([EPOCH]).dictionary_encode(),
        *(pa.array([float(EPOCH * scale)]) for scale in (1, 1000, 10**6, 10**9)),
        *(pa.array([NOON], pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
        pa.array([EPOCH * 1000], pa.timestamp("ms", "Europe/Berlin")),
        pa.array([EPOCH * 10**9], pa.timestamp("ns", "America/New_York")),
        pa.array(["2024-05-01 12:00:00"]),
        pa.array(["2024-05-01T12:00"]),
        pa.array(["2024-05-01T12:00:00.000000999"], pa.large_string()),
        pa.array(["2024-05-01T12:00:00Z"], pa.string_view()),
        pa.array([" 2024-05-01 14:00:00+02:00 "]),
        pa.array(["2024-05-01 14:00:00 +0200"]),
        pa.array(["2024-05-01 04:00-08"]),
        pa.array(["2024-05-01 12:00:00 UTC"]).dictionary_encode(),
    ],
    ids=str,
)
def test_a_time_is_the_same_moment_however_it_is_stored(tmp_path, stored):
    by_arrow, by_duckdb = both([table(stored)], tmp_path)

    assert by_arrow == by_duckdb == [("p", NOON)]


def test_a_date_is_its_midnight(tmp_path):
    days = [pa.array([NOON.date()], kind) for kind in (pa.date32(), pa.date64())]
    by_arrow, by_duckdb = both([table(day) for day in [*days, pa.array(["2024-05-01"])]], tmp_path)

    assert by_arrow == by_duckdb == [("p", dt.datetime(2024, 5, 1))] * 3


@pytest.mark.parametrize(
    "stored",
    [["yesterday"], [""], ["2024-13-01"], ["2024-05-01 12:00 Europe/Berlin"], ["05/01/24"]],
)
def test_a_time_that_cannot_be_read_is_an_error_of_both(tmp_path, stored):
    pq.write_table(table(stored), tmp_path / "t.parquet")
    source = tables.open_table(str(tmp_path), EVENTS)

    with pytest.raises(SchemaError, match="column 'ts' holds string"):
        tables.read(source)
    with pytest.raises(duckdb.Error):
        duckdb.connect().execute(tables.scan_sql(source)).fetchall()


def test_the_unit_is_told_value_by_value(tmp_path):
    numbers = [0, -5, EPOCH, EPOCH * 1000, EPOCH * 10**6, EPOCH * 10**9, None]
    by_arrow, by_duckdb = both([table(pa.array(numbers))], tmp_path)

    start = dt.datetime(1970, 1, 1)
    before = start - dt.timedelta(seconds=5)
    assert [ts for _, ts in by_arrow] == [start, before, *[NOON] * 4, None]
    assert by_duckdb == by_arrow


@pytest.mark.parametrize("kind", [int, float])
def test_the_unit_changes_with_the_twelfth_fifteenth_and_eighteenth_digit(tmp_path, kind):
    # 10^11 of each unit: in the year 5138 of the coarser one, in 1973 of the finer one
    late, early = dt.datetime(5138, 11, 16, 9, 46, 40), dt.datetime(1973, 3, 3, 9, 46, 40)
    numbers = [10**11 - 1, 10**11, 10**14 - 1, 10**14, 10**17 - 8000, 10**17]
    by_arrow, by_duckdb = both([table(pa.array(map(kind, numbers)))], tmp_path)

    steps = [dt.timedelta(seconds=1), *(dt.timedelta(milliseconds=n) for n in (1, 8))]
    assert by_arrow == by_duckdb
    assert [ts for _, ts in by_arrow] == [
        moment for step in steps for moment in (late - step, early)
    ]


def test_epoch_numbers_in_floats_keep_gaps_and_fractions_of_a_second(tmp_path):
    # what a data frame makes of integers with gaps; 1.0e10 in 32 bits is whole
    wide = pa.array([EPOCH + 0.25, None, float("nan"), -0.000001, 2.0**62, 1e11 - 0.5, 5e-7])
    narrow = pa.array([1.0e9, -2.5], pa.float32())
    by_arrow, by_duckdb = both([table(wide), table(narrow)], tmp_path)

    start = dt.datetime(1970, 1, 1)
    assert by_arrow == by_duckdb
    assert [ts for _, ts in by_arrow][:4] == [
        NOON + dt.timedelta(seconds=0.25), None, None, start - dt.timedelta(microseconds=1)
    ]  # fmt: skip
    assert by_arrow[-1][1] == start - dt.timedelta(seconds=2.5)


@pytest.mark.parametrize("number", [float("inf"), -float("inf"), 1e300, 2.0**63])
def test_a_float_beyond_every_epoch_is_an_error_of_both(tmp_path, number):
    pq.write_table(table([1.5, number]), tmp_path / "t.parquet")
    source = tables.open_table(str(tmp_path), EVENTS)

    with pytest.raises(SchemaError, match="column 'ts' holds double"):
        tables.read(source)
    with pytest.raises(duckdb.Error, match="no time"):
        duckdb.connect().execute(tables.scan_sql(source)).fetchall()


moments = st.datetimes(dt.datetime(1905, 1, 1), dt.datetime(2200, 1, 1))
offsets = st.sampled_from(["", "Z", " UTC", "+02:00", " -0530", "+14"])
texts = st.builds(lambda moment, zone: moment.isoformat(" ") + zone, moments, offsets)
numbers = st.integers(-(2**62), 2**62) | st.integers(-(10**12), 10**12)
floats = st.floats(-(2.0**62), 2.0**62) | st.floats(-1e12, 1e12) | st.just(float("nan"))
stamps = st.sampled_from(
    [pa.timestamp(u, z) for u in ("ms", "us", "ns") for z in (None, "UTC", "Asia/Kolkata")]
)
ids = st.one_of(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=3, max_size=3
    ),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
    st.lists(st.integers(-(2**53), 2**53).map(float), min_size=3, max_size=3),
    st.lists(st.decimals(-(10**15), 10**15, places=0), min_size=3, max_size=3),
    st.lists(st.text(st.characters(codec="utf-8")).map(str.encode), min_size=3, max_size=3),
)


@st.composite
def part(draw):
    kind = draw(st.sampled_from(["text", "number", "float", "stamp", "day", "none"]))
    if kind == "stamp":
        unit = draw(stamps)
        limit = 10**12 if unit.unit == "ms" else 10**15 if unit.unit == "us" else 2**62
        values = st.integers(-limit, limit)
        return draw_table(draw, lambda v: pa.array(v, pa.int64()).cast(unit), values)
    values, arrow = {
        "text": (texts, pa.string()),
        "number": (numbers, pa.int64()),
        "float": (floats, pa.float64()),
        "day": (moments.map(dt.datetime.date), pa.date32()),
        "none": (st.none(), pa.null()),
    }[kind]
    return draw_table(draw, lambda v: pa.array(v, arrow), values)


def draw_table(draw, build, values):
    times = draw(st.lists(st.none() | values, min_size=3, max_size=3))
    return pa.table({"ts": build(times), "product_id": pa.array(draw(ids))})


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    return tmp_path_factory.mktemp("mixed")


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(part(), min_size=1, max_size=3))
def test_both_readers_agree_on_every_mix_of_times_and_ids(mixed, parts):
    by_arrow, by_duckdb = both(parts, mixed)

    key = str
    assert sorted(by_arrow, key=key) == sorted(by_duckdb, key=key)


@pytest.mark.parametrize("stored", [[True], [["x"]], [dt.date(2024, 1, 1)]])
def test_what_is_no_id_is_refused_by_both(tmp_path, stored):
    pq.write_table(pa.table({"product_id": stored}), tmp_path / "t.parquet")
    source = tables.open_table(str(tmp_path), EVENTS)

    for reader in (tables.read, tables.scan_sql):
        with pytest.raises(SchemaError, match="ids are strings or whole numbers"):
            reader(source)


def test_ids_as_warehouses_export_them_are_read_alike(tmp_path):
    # decimals without a fraction, text as bytes, universally unique ids
    uuid = "392b9db6-ad89-4161-8514-cdd2cbf20aad"
    stored = [
        pa.array([7, None, -(10**30)], pa.decimal128(38, 0)),
        pa.array([decimal.Decimal("7.00"), None], pa.decimal128(18, 2)),
        pa.array(["Ä7".encode(), b"", None], pa.binary()),
        pa.array([b"x"], pa.large_binary()),
        pa.array([UUID(uuid).bytes, None], pa.uuid()),
    ]
    parts = [pa.table({"product_id": ids, "ts": pa.nulls(len(ids))}) for ids in stored]
    optional = tables.TableSpec("events", (Field("product_id", pa.string(), required=False), TIME))
    by_arrow, by_duckdb = both(parts, tmp_path, optional)

    assert by_arrow == by_duckdb
    assert [found for found, _ in by_arrow] == [
        "7", None, f"-{10**30}", "7", None, "Ä7", "", None, "x", uuid, None
    ]  # fmt: skip


@pytest.mark.parametrize(
    "stored", [pa.array([decimal.Decimal("1.50")]), pa.array([b"\xff"])], ids=str
)
def test_a_fraction_and_bytes_that_are_no_text_are_no_ids(tmp_path, stored):
    pq.write_table(pa.table({"product_id": stored}), tmp_path / "t.parquet")
    source = tables.open_table(str(tmp_path), EVENTS)

    with pytest.raises(SchemaError, match="ids are strings or whole numbers"):
        tables.read(source)
    with pytest.raises(duckdb.Error, match="no id"):
        duckdb.connect().execute(tables.scan_sql(source)).fetchall()


def test_a_broken_number_is_no_id_for_duckdb_either(tmp_path):
    for number in (1.5, 1e300, float("inf")):
        pq.write_table(pa.table({"product_id": [number]}), tmp_path / "t.parquet")
        source = tables.open_table(str(tmp_path), EVENTS)
        with pytest.raises(duckdb.Error):
            duckdb.connect().execute(tables.scan_sql(source)).fetchall()


def test_booleans_and_missing_columns_keep_their_types_in_sql(tmp_path):
    pairs = pa.table({"query_id": ["a"], "candidate_id": ["b"], "complement": [True]})
    pq.write_table(pairs, tmp_path / "t.parquet")
    source = tables.open_table(str(tmp_path), tables.TRUTH_PAIRS)
    with duckdb.connect() as connection:
        rows = connection.sql(tables.scan_sql(source)).to_arrow_table()

    assert rows.to_pylist() == [
        {"query_id": "a", "candidate_id": "b", "co_purchase": None, "query_count": None,
         "candidate_count": None, "complement": True, "similar": None}
    ]  # fmt: skip
    assert rows.schema.types == tables.TRUTH_PAIRS.schema.types
