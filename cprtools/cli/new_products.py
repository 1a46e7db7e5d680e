"""Products that a model never saw, which `recommend --products` and `--vectors` name."""

from typing import TYPE_CHECKING, Any

from cprtools.cli import console
from cprtools.cli.options import open_vectors
from cprtools.cli.request import Request
from cprtools.errors import UsageError

if TYPE_CHECKING:
    from cprtools.answers import Model

# what a ranker knows of most products, and vectors alone do not tell
_ATTRIBUTES = ("title", "brand", "category")
# a table of today's prices would else pass for being shown
_AS_TRAINED = ", and what training read of them stays"


def with_products(model: "Model", request: Request) -> tuple["Model", list[Any]]:
    """The model with the products that --products or --vectors name as well, and these tables."""
    from cprtools import answers, tables

    if request.products is None and not request.vectors:
        return model, []
    vectors = open_vectors(request.vectors, request.mapping)
    if request.products is not None:
        source = tables.open_table(request.products, tables.PRODUCTS, request.mapping)
        products, opened = tables.read(source), [source, *vectors]
    elif model.folder.kind == answers.SELLERS:
        source, opened = vectors[0], vectors
        products = answers.products_of(vectors)
    else:
        raise UsageError("--vectors are those of new products; name their table with --products")
    extended = answers.extend(model, products, source.label, vectors)
    if not extended.num_new:
        console.warn(f"{source.label}: the model knows all of its products already{_AS_TRAINED}")
    else:
        others = f"; {extended.num_known:,} others it knows already{_AS_TRAINED}"
        known = others if extended.num_known else ""
        console.note(f"{source.label}: {extended.num_new:,} products are new to the model{known}")
        if not request.list_categories:
            for text in answers.misread(extended, vectors):
                console.warn(f"{source.label}: {text}")
            _warn_of_gaps(model, request, source.label, extended.num_new)
    return extended.model, opened


def _warn_of_gaps(model: "Model", request: Request, label: str, num_new: int) -> None:
    """Say what the ranker will miss of new products that come by vectors alone."""
    known = model.catalogue.table
    missing = [n for n in _ATTRIBUTES if known.column(n).null_count < known.num_rows]
    is_ranked = request.use_ranker and model.stage.trees is not None
    if request.products is None and missing and is_ranked:
        either = " or ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        console.warn(
            f"{label}: without --products the {num_new:,} new products have no {either}, and "
            "their affinities are low; name their table with --products"
        )
