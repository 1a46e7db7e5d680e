"""One folder with small trained models, shared by the tests of several commands."""

import numpy as np
import pyarrow as pa
import pytest

from tests.cli.commands import ok, planted_pairs, train, write


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder with tables, cpr.model/ (p-companion) and seller.model/ (gnn)."""
    folder = tmp_path_factory.mktemp("home")
    pairs = planted_pairs()
    write(folder / "pairs.parquet", **pairs)
    ids = [f"{kind}{i}" for kind in "ABC" for i in range(60)] + ["NEW"]
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(ids), 8)).astype(np.float32)
    write(
        folder / "products.parquet",
        product_id=ids,
        title=[f"Title of {i}" for i in ids],
        category=["Alpha" if i[0] == "A" else "Beta" for i in ids],
        product_type=[f"type {i[0]}" for i in ids],
        price=[float(i) + 1 for i in range(len(ids))],
    )
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 8)
    write(folder / "vectors.parquet", product_id=ids, vector=flat)
    listings = [
        (f"S{s}", ids[p])
        for s in range(1, 25)
        for p in rng.choice(180, size=14, replace=False).tolist()
    ]
    write(
        folder / "listings.parquet",
        seller_id=[s for s, _ in listings],
        product_id=[p for _, p in listings],
    )
    train(folder, "train-cpr", "pairs.parquet", "--products", "products.parquet", "--vectors",
          "vectors.parquet", "--epochs", "3", "-o", "cpr.model")  # fmt: skip
    ok(folder, "build-graph", "--listings", "listings.parquet", "--products",
       "products.parquet", "-o", "graph")  # fmt: skip
    train(folder, "train-linkpred", "graph", "--vectors", "vectors.parquet", "--epochs", "2",
          "--networks", "1", "-o", "seller.model")  # fmt: skip
    return folder
