"""What each table must hold: the contract that other people's scripts depend on."""

from dataclasses import dataclass

import pyarrow as pa

from cprtools.tables import columns as c

ID = pa.string()
EVIDENCE = pa.list_(
    pa.struct([("name", pa.string()), ("value", pa.float64()), ("added", pa.float64())])
)
"""Of a recommendation that is explained: what its score is made of."""


@dataclass(frozen=True)
class Field:
    """One column. `type` None: taken as it is. `required`: the table is refused without it.

    `is_word`: text or lists of text; numbers are names there, not amounts.
    """

    name: str
    type: pa.DataType | None
    required: bool = True
    is_word: bool = False

    @property
    def is_id(self) -> bool:
        """Ids are cast from integers and may not be null where required."""
        return self.name.endswith("_id") and self.type == ID


@dataclass(frozen=True)
class TableSpec:
    """A kind of table: its columns, and the key that no two rows may share (empty: none)."""

    name: str
    fields: tuple[Field, ...]
    key: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """The columns with a fixed type, as they are written."""
        return pa.schema([(f.name, f.type) for f in self.fields if f.type is not None])

    def field(self, name: str) -> Field | None:
        """The column of that name, or None."""
        return next((f for f in self.fields if f.name == name), None)


ANY = TableSpec("table", ())
EVENTS = TableSpec(
    "events",
    (
        Field(c.CUSTOMER_ID, ID, required=False),
        Field(c.SESSION_ID, ID, required=False),
        Field(c.PRODUCT_ID, ID),
        Field(c.EVENT, pa.string()),
        Field(c.TS, pa.timestamp("us"), required=False),
    ),
)
RELATIONS = TableSpec(
    "relations",
    (
        Field(c.QUERY_ID, ID),
        Field(c.CANDIDATE_ID, ID),
        Field(c.RELATION, pa.string()),
        Field(c.RANK, pa.int64(), required=False),
        Field(c.COUNT, pa.int64(), required=False),
    ),
)
PRODUCTS = TableSpec(
    "products",
    (
        Field(c.PRODUCT_ID, ID),
        Field(c.TITLE, pa.string(), required=False),
        # category and product_type may be lists (paths); tables.products flattens them
        Field(c.CATEGORY, None, required=False, is_word=True),
        Field(c.PRODUCT_TYPE, None, required=False, is_word=True),
        Field(c.BRAND, pa.string(), required=False),
        Field(c.PRICE, pa.float64(), required=False),
    ),
    key=(c.PRODUCT_ID,),
)
LISTINGS = TableSpec(
    "listings", (Field(c.SELLER_ID, ID), Field(c.PRODUCT_ID, ID)), key=(c.SELLER_ID, c.PRODUCT_ID)
)
SELLERS = TableSpec(
    "sellers",
    (Field(c.SELLER_ID, ID), Field(c.CATEGORY, pa.string(), required=False)),
    key=(c.SELLER_ID,),
)
PAGE_VIEWS = TableSpec(
    "page views",
    (
        Field(c.PRODUCT_ID, ID),
        Field(c.VIEWS, pa.int64()),
        Field(c.SELLER_ID, ID, required=False),
        Field(c.TS, pa.timestamp("us"), required=False),
    ),
)
HIGH_DEMAND = TableSpec("high demand", (Field(c.PRODUCT_ID, ID),), key=(c.PRODUCT_ID,))
PRODUCT_LIST = TableSpec("product list", (Field(c.PRODUCT_ID, ID),))
QUERY_LIST = TableSpec(
    "queries",
    (
        Field(c.PRODUCT_ID, ID, required=False),
        Field(c.QUERY_ID, ID, required=False),
        Field(c.SELLER_ID, ID, required=False),
    ),
)
PAIRS = TableSpec(
    "pairs",
    (
        Field(c.QUERY_ID, ID),
        Field(c.CANDIDATE_ID, ID),
        Field(c.CO_PURCHASE, pa.int64()),
        Field(c.CO_VIEW, pa.int64()),
        Field(c.PURCHASE_AFTER_VIEW, pa.int64()),
        Field(c.QUERY_COUNT, pa.int64()),
        Field(c.CANDIDATE_COUNT, pa.int64()),
        Field(c.LIFT, pa.float64()),
        # not required: pairs files of version 0.1 do not have it
        Field(c.CONFIDENCE_LOW, pa.float64(), required=False),
        Field(c.COMPLEMENT, pa.bool_()),
        Field(c.SIMILAR, pa.bool_()),
    ),
    key=(c.QUERY_ID, c.CANDIDATE_ID),
)
TRUTH_PAIRS = TableSpec(
    "truth",
    (
        Field(c.QUERY_ID, ID),
        Field(c.CANDIDATE_ID, ID),
        Field(c.CO_PURCHASE, pa.int64(), required=False),
        Field(c.QUERY_COUNT, pa.int64(), required=False),
        Field(c.CANDIDATE_COUNT, pa.int64(), required=False),
        Field(c.COMPLEMENT, pa.bool_(), required=False),
        Field(c.SIMILAR, pa.bool_(), required=False),
    ),
    key=(c.QUERY_ID, c.CANDIDATE_ID),
)
VECTORS = TableSpec(
    "vectors", (Field(c.PRODUCT_ID, ID), Field(c.VECTOR, None)), key=(c.PRODUCT_ID,)
)
COMPLEMENT_RECOMMENDATIONS = TableSpec(
    "recommendations",
    (
        Field(c.QUERY_ID, ID),
        Field(c.RANK, pa.int64()),
        Field(c.PRODUCT_ID, ID),
        Field(c.PRODUCT_TYPE, pa.string(), required=False),
        Field(c.SCORE, pa.float64(), required=False),
        Field(c.TYPE_SCORE, pa.float64(), required=False),
        Field(c.REASON, pa.string(), required=False),
    ),
    key=(c.QUERY_ID, c.PRODUCT_ID),
)
SELLER_RECOMMENDATIONS = TableSpec(
    "recommendations",
    (
        Field(c.SELLER_ID, ID),
        Field(c.RANK, pa.int64()),
        Field(c.PRODUCT_ID, ID),
        Field(c.CATEGORY, pa.string(), required=False),
        Field(c.AFFINITY, pa.float64(), required=False),
        Field(c.REASON, pa.string(), required=False),
    ),
    key=(c.SELLER_ID, c.PRODUCT_ID),
)
NODES = TableSpec(
    "nodes",
    (
        Field(c.NODE_TYPE, pa.string()),
        Field(c.NODE_ID, ID),
        Field(c.IS_HIGH_DEMAND, pa.bool_()),
        Field(c.VIEWS, pa.int64()),
        Field(c.CATEGORY, pa.string()),
        Field(c.TITLE, pa.string(), required=False),
        Field(c.BRAND, pa.string(), required=False),
        Field(c.PRODUCT_TYPE, pa.string(), required=False),
        Field(c.PRICE, pa.float64(), required=False),
    ),
    key=(c.NODE_TYPE, c.NODE_ID),
)
EDGES = TableSpec(
    "edges",
    (
        Field(c.SOURCE_TYPE, pa.string()),
        Field(c.SOURCE_ID, ID),
        Field(c.RELATION, pa.string()),
        Field(c.TARGET_TYPE, pa.string()),
        Field(c.TARGET_ID, ID),
        Field(c.WEIGHT, pa.float64()),
    ),
)
METRICS = TableSpec(
    "metrics",
    (
        Field(c.METHOD, pa.string()),
        Field(c.METRIC, pa.string()),
        Field(c.K, pa.int64()),
        Field(c.SEGMENT, pa.string()),
        Field(c.VALUE, pa.float64()),
        Field(c.CI_LOW, pa.float64()),
        Field(c.CI_HIGH, pa.float64()),
        Field(c.QUERIES, pa.int64()),
    ),
)
