"""Answers: complements of a product, products for a seller; retrieve, rank, say why."""

from typing import TYPE_CHECKING

from cprtools import on_demand

if TYPE_CHECKING:
    from cprtools.answers.approximate import build_index, check_indexable
    from cprtools.answers.complements import ComplementRequest, recommend_complements
    from cprtools.answers.methods import METHODS
    from cprtools.answers.model import COMPLEMENTS, SELLERS, Model, model_members, open_model
    from cprtools.answers.newcomers import Extended, extend, misread, products_of
    from cprtools.answers.sellers import (
        SellerRequest,
        list_categories,
        recommend_products,
    )

__getattr__ = on_demand(
    __name__,
    {
        "approximate": "build_index check_indexable",
        "complements": "ComplementRequest recommend_complements",
        "methods": "METHODS",
        "model": "COMPLEMENTS SELLERS Model model_members open_model",
        "newcomers": "Extended extend misread products_of",
        "sellers": "SellerRequest list_categories recommend_products",
    },
)

__all__ = [
    "COMPLEMENTS",
    "METHODS",
    "SELLERS",
    "ComplementRequest",
    "Extended",
    "Model",
    "SellerRequest",
    "build_index",
    "check_indexable",
    "extend",
    "list_categories",
    "misread",
    "model_members",
    "open_model",
    "products_of",
    "recommend_complements",
    "recommend_products",
]
