"""What made a table of vectors, as far as its footer tells: vectors of two encoders compare not."""

import re
from collections.abc import Iterator, Sequence

from cprtools.errors import quote
from cprtools.tables import Source, parse_footer, read_footer

_WITH_DIGEST = re.compile(r"(\S+) (.+) of digest ([0-9a-f]+)")


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
        digest = params.get("model_digest")
        return f"{method} {quote(model)}" + (f" of digest {digest}" if digest else "")
    texts = ", ".join(f"{i['rows']:,} rows of digest {i['digest']}" for i in footer["inputs"])
    seed = footer.get("seed", 0)
    return f"{method} of {texts}, text {params.get('text')}, seed {seed}"


def differing_makers(sources: Sequence[Source], makers: Sequence[str]) -> Iterator[str]:
    """Of each table that another encoder made than that of training, both in words."""
    for source, known in zip(sources, makers, strict=False):
        found = maker_of(source)
        if known and found and not _are_alike(known, found):
            yield (
                f"the vectors of {source.label} are of {found}, those of training of {known}: "
                "they cannot be compared, and the answers are as by chance"
            )


def _are_alike(known: str, found: str) -> bool:
    """A model that lies in another folder is the same one, and another one may have its name."""
    both = [_WITH_DIGEST.fullmatch(maker) for maker in (known, found)]
    if all(both):
        return len({(match[1], match[3]) for match in both if match}) == 1
    # a packaged model, or one of a table from before digests were told, is known by its name
    names = [m.expand(r"\1 \2") if m else s for m, s in zip(both, (known, found), strict=True)]
    return names[0] == names[1]
