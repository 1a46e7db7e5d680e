"""What a shell may complete from a model: product ids and category names, never sellers' ids."""

from cprtools.answers.model import COMPLEMENTS, SELLERS
from cprtools.errors import CprError, UsageError
from cprtools.tables import columns as c
from cprtools.tables.folders import Folder, open_folder
from cprtools.tables.piping import is_pipe

_MOST = 100


def _open(place: str, kind: str) -> Folder:
    # the command itself is to read it
    if is_pipe(place):
        raise UsageError(f"{place}: is a pipe")
    return open_folder(place, (kind,))


def product_ids(place: str, start: str) -> list[str]:
    """Ids of a model of complements that begin so, in their order; empty without such a model."""
    try:
        folder = _open(place, COMPLEMENTS)
        ids = folder.table("products", [c.PRODUCT_ID]).column(0).to_pylist()
    except CprError:
        return []
    return sorted(name for name in ids if name.startswith(start))[:_MOST]


def category_names(place: str, start: str) -> list[str]:
    """Categories of a model of sellers that begin so, and `all`; empty without such a model."""
    try:
        folder = _open(place, SELLERS)
        if folder.has("category_names"):
            names = set(folder.table("category_names").column("name").to_pylist())
        else:
            names = set(folder.table("products", [c.CATEGORY]).column(0).to_pylist())
    except CprError:
        return []
    found = sorted(name for name in {*names, "all"} if name is not None)
    return [name for name in found if name.startswith(start)][:_MOST]
