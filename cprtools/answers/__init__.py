"""Answers: complements of a product, products for a seller; retrieve, rank, say why."""

from cprtools.answers.approximate import build_index, check_indexable
from cprtools.answers.complements import ComplementRequest, recommend_complements
from cprtools.answers.model import COMPLEMENTS, METHODS, SELLERS, Model, model_members, open_model
from cprtools.answers.newcomers import Extended, extend, products_of
from cprtools.answers.sellers import (
    SellerRequest,
    list_categories,
    recommend_products,
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
    "model_members",
    "open_model",
    "products_of",
    "recommend_complements",
    "recommend_products",
]
