"""Dense products: equal bits in any batch, on any number of threads, by any kernel of BLAS."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from cprtools.baselines.dense import (
    few_alike,
    height_alike,
    stable_product,
    tile_for,
    without_filling,
)
from cprtools.tables import mapped, vector_array

SHAPES = [(3, 1), (33, 57), (50, 16), (128, 900), (64, 5000), (300, 5003), (500, 4097), (8, 9000)]


def random_sides(dim, num_columns, num_rows=500):
    random = np.random.default_rng(0)
    sizes = ((num_rows, dim), (num_columns, dim))
    return [random.standard_normal(size).astype(np.float32) for size in sizes]


@pytest.mark.parametrize(("dim", "num_columns"), SHAPES)
def test_product_is_the_same_in_any_batch(dim, num_columns):
    rows, columns = random_sides(dim, num_columns)
    whole = stable_product(rows, columns)
    np.testing.assert_allclose(whole, rows @ columns.T, rtol=1e-4, atol=1e-4)
    for start, stop in (
        (0, 1),
        (3, 70),
        (5, 40),
        (100, 104),
        (149, 150),
        (200, 206),
        (7, 9),
        (60, 290),
        (50, 490),
    ):
        np.testing.assert_array_equal(stable_product(rows[start:stop], columns), whole[start:stop])
    np.testing.assert_array_equal(stable_product(rows[::-1], columns), whole[::-1])


@pytest.mark.parametrize(("dim", "num_columns"), SHAPES)
def test_product_is_the_same_on_any_number_of_threads(dim, num_columns):
    rows, columns = random_sides(dim, num_columns)
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, "blas"):
            found.append(stable_product(rows, columns))
            assert all(
                library["num_threads"] == threads
                for library in threadpool_info()
                if library["user_api"] == "blas"
            )
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("dim", "num_columns"), [(33, 57), (128, 900), (384, 5003), (64, 30_001), (3, 1)]
)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("page", [100_000, 1 << 30])
def test_columns_in_a_file_have_the_same_products(
    tmp_path, monkeypatch, dim, num_columns, threads, page
):
    monkeypatch.setattr(mapped, "_LARGEST_PAGE", page)
    rows, columns = random_sides(dim, num_columns, num_rows=70)
    with open(tmp_path / "t.parquet", "wb") as out:
        mapped.write_mapped(pa.table({"v": vector_array(columns)}), out, {})
    in_file = mapped.MappedTable(tmp_path / "t.parquet", "t").numbers("v")
    with threadpool_limits(threads, "blas"):
        for some in (rows, rows[:1]):
            expected = stable_product(some, columns)
            np.testing.assert_array_equal(stable_product(some, in_file), expected)


def test_no_rows_and_no_columns_have_empty_products():
    rows, columns = random_sides(8, 20, num_rows=3)
    assert stable_product(rows[:0], columns).shape == (0, 20)
    assert stable_product(rows, columns[:0]).shape == (3, 0)
    # rows of another array, and turned round
    turned = stable_product(rows[:, ::2], columns[:, ::2])
    np.testing.assert_allclose(turned, rows[:, ::2] @ columns[:, ::2].T, rtol=1e-5, atol=1e-5)


def test_there_is_a_height_for_every_dimension_and_number_of_rows():
    for dim in (1, 128, 300):
        tallest = tile_for(dim).height
        heights = [height_alike(dim, num_rows) for num_rows in range(1, tallest + 1)]
        assert heights == sorted(heights)
        assert all(height >= rows for rows, height in enumerate(heights, 1))
        assert heights[-1] == tallest
        # more than the tile: never more than there are
        taller = [height_alike(dim, num_rows) for num_rows in range(tallest, 1000)]
        assert all(height <= rows for rows, height in enumerate(taller, tallest))


def test_few_rows_fit_into_a_product_with_swapped_sides_or_there_is_none():
    for dim in (1, 128, 300):
        for num_rows in range(1, 12):
            height = few_alike(dim, num_rows)
            assert not height or num_rows <= height <= 8
            assert not height or height // 2 < max(num_rows, 2)


def test_blocks_without_filling_are_of_whole_heights():
    assert [without_filling(rows) for rows in (1, 7, 95)] == [1, 7, 95]
    assert [without_filling(rows) for rows in (96, 160, 192, 300, 512, 900)] == [
        *(96, 96, 192, 192, 384, 768)
    ]


@pytest.mark.parametrize(("dim", "num_columns"), SHAPES)
def test_equal_columns_have_equal_products_in_any_batch_and_place(dim, num_columns):
    rows, columns = random_sides(dim, num_columns, num_rows=100)
    same = np.arange(0, num_columns, 3)
    columns[same] = columns[0]
    for some in (rows, rows[:7], rows[:1]):
        found = stable_product(some, columns)[:, same]
        np.testing.assert_array_equal(found, np.repeat(found[:, :1], len(same), axis=1))


def kernels():
    """Kernels of OpenBLAS that this machine can run, beside the one that it chooses itself."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set()
    found = {"Nehalem": "sse4_2", "Sandybridge": "avx", "Haswell": "avx2", "SkylakeX": "avx512vl"}
    return [name for name, flag in found.items() if flag in flags]


@pytest.mark.parametrize("kernel", kernels() or [None])
def test_product_is_the_same_by_any_kernel(kernel):
    if kernel is None:
        pytest.skip("no processor of a kind that has several kernels")
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    words += [__file__, "-k", "any_batch or number_of_threads"]
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernel}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert f"{3 * len(SHAPES)} passed" in done.stdout
