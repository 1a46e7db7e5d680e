"""What made a table of vectors, as far as its footer tells: vectors of two encoders compare not."""

from collections.abc import Iterator, Sequence

from cprtools.errors import quote
from cprtools.tables import Source, parse_footer, read_footer


def maker_of(source: Source) -> str:
    """The encoder of `embed-text` behind a table, in words; "" for tables of another origin.

    What doc2vec learns belongs to the texts it was given, and to its seed.
    """
    footer = parse_footer(read_footer(source.paths[0]))
    params = footer.get("params", {})
    if footer.get("command") != "embed-text" or not params.get("method"):
        return ""
    method, model = str(params["method"]), str(params.get("model"))
    if method != model:
        return f"{method} {quote(model)}"
    texts = ", ".join(f"{i['rows']:,} rows of digest {i['digest']}" for i in footer["inputs"])
    seed = footer.get("seed", 0)
    return f"{method} of {texts}, text {params.get('text')}, seed {seed}"


def differing_makers(sources: Sequence[Source], makers: Sequence[str]) -> Iterator[str]:
    """Of each table that another encoder made than that of training, both in words."""
    for source, known in zip(sources, makers, strict=False):
        found = maker_of(source)
        if known and found and known != found:
            yield (
                f"the vectors of {source.label} are of {found}, those of training of {known}: "
                "they cannot be compared, and the answers are as by chance"
            )
