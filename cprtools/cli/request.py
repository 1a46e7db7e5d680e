"""The options of `recommend`, and which of them go together."""

from collections.abc import Mapping
from dataclasses import dataclass

from cprtools.cli.options import output_format, parse_choice
from cprtools.errors import UsageError

STDIN = "-"
FORMATS = ("table", "json", "csv", "parquet")
DEFAULT_TYPES, DEFAULT_THRESHOLD = 3, 0.5


@dataclass(frozen=True)
class Request:
    """The options of `recommend`, named as there."""

    model: str | None
    product: str | None
    seller: str | None
    queries: str | None
    every: bool
    products: str | None
    vectors: tuple[str, ...]
    k: int
    types: int
    category: str | None
    list_categories: bool
    threshold: float
    exclude: str | None
    only: str | None
    show: tuple[str, ...]
    use_ranker: bool
    explain: bool
    search: str
    shard: str | None
    partition_by: str | None
    format: str | None
    output: str
    mapping: Mapping[str, str]

    @property
    def chosen_format(self) -> str:
        """How answers are written."""
        # a folder of partitions has no ending
        return output_format(self.format, "" if self.partition_by else self.output)

    def said_without_rows(self, *, is_of_sellers: bool) -> str:
        """What an answer without rows says: which options would let more through, if any."""
        wider = {"--threshold 0": self.threshold > 0, "--category all": self.category != "all"}
        left = [option for option, is_open in wider.items() if is_open and is_of_sellers]
        return "no recommendation passes; " + (
            f"try {' or '.join(left)}" if left else "nothing is left to recommend"
        )

    def check_kind(self, kind: str) -> None:
        """Refuse options that say nothing to this kind of model. Raises UsageError."""
        idle = {
            "complements": {
                "--category": self.category is not None,
                "--threshold": self.threshold != DEFAULT_THRESHOLD,
                "--partition-by": self.partition_by is not None,
            },
            "sellers": {"--types": self.types != DEFAULT_TYPES},
        }
        for option, is_given in idle[kind].items():
            if is_given:
                raise UsageError(f"{option} says nothing to a {kind} model; leave it out")

    def check(self) -> None:
        """Refuse options that contradict each other. Raises UsageError, DataError."""
        given = [self.product, self.seller, self.queries, self.every or None]
        if sum(value is not None for value in given) != 1:
            raise UsageError("name exactly one of --product, --seller, --queries and --all")
        named = [self.model, self.queries, self.products, self.exclude, self.only]
        if [*named, *self.vectors].count(STDIN) > 1:
            # said before a model is waited for
            raise UsageError("only one input can be read from standard input ('-')")
        if self.format is not None:
            parse_choice("--format", self.format, FORMATS)
        parse_choice("--search", self.search, ("exact", "auto", "hnsw"))
        if self.partition_by not in (None, "seller_id"):
            raise UsageError(f"--partition-by must be seller_id, got {self.partition_by!r}")
        parse_shard(self.shard)
        if self.partition_by and self.output == "-":
            raise UsageError("--partition-by writes one file per seller; name a folder with -o")
        if self.partition_by and self.format not in (None, "parquet"):
            raise UsageError(f"--partition-by writes Parquet; --format {self.format} is not for it")
        if self.explain and self.product is None and self.seller is None:
            raise UsageError("--explain needs --product or --seller")
        self._check_categories()
        if self.output != "-" and not self.partition_by:
            from cprtools import tables

            is_table = self.chosen_format == "parquet"
            check = tables.check_tables_writable if is_table else tables.check_all_writable
            check([self.output])

    def _check_categories(self) -> None:
        if not self.list_categories:
            return
        if self.seller is None:
            raise UsageError("--list-categories needs --seller")
        idle = {
            "--category": self.category,
            "--exclude": self.exclude,
            "--with": self.show,
            "--explain": self.explain,
            "--partition-by": self.partition_by,
        }
        for option, value in idle.items():
            if value:
                raise UsageError(f"{option} says nothing to --list-categories; leave it out")


def parse_shard(shard: str | None) -> tuple[int, int]:
    """Which part of how many. Raises UsageError unless it is i/n with 1 <= i <= n."""
    if shard is None:
        return 1, 1
    number, _, count = shard.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UsageError(f"--shard must be i/n with i from 1 to n, such as 2/8, got {shard!r}")
    return int(number), int(count)
