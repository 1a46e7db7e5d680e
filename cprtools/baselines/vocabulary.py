"""What a catalogue's values stand for: learnt in training, and read by for later products."""

import contextlib
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import csr_matrix

from cprtools.baselines.catalogue import encode, index_in, join_vectors, vector_parts
from cprtools.baselines.contract import FloatArray, IntArray, ReadTable
from cprtools.errors import SchemaError
from cprtools.tables import Source, to_matrix, vector_array, without_blanks
from cprtools.tables import columns as c
from cprtools.tables.light import pc

# how many entries of a category path become attributes of their own
_PATH_DEPTH = 6
# ids, texts and what has a place of its own in the problem
_NO_ATTRIBUTES = (c.PRODUCT_ID, c.TITLE, c.PRODUCT_TYPE, c.CATEGORY, c.BRAND, c.PRICE)
# a column with more distinct values than this share of its rows names products, not kinds of them
_MOST_VALUES_SHARE = 0.2
# strings of this many titles are in memory at once
_TITLES_AT_ONCE = 50_000
_WORD = re.compile(r"[^\W_]+")

MEMBER = "vocabulary"
"""The member of a model folder that says whether it holds a vocabulary."""
CENTRES = "vocabulary_centres"
"""The member that says that types are clusters of the vectors."""
_WORDS, _VECTORS = "vocabulary_words", "vocabulary_vectors"


@dataclass(frozen=True)
class Attribute:
    """A categorical column: where it is read, and the name behind each code."""

    column: str
    """The column itself, the list that it is an entry of, or the title that leads with a brand."""
    names: tuple[str, ...]


@dataclass(frozen=True)
class Words:
    """The words of titles that tell something, and how much: log(products / products with it)."""

    words: tuple[str, ...]
    rarity: npt.NDArray[np.float64]

    def rows(self, titles: "_Titles") -> csr_matrix:
        """Split titles as unit rows, zero where no word is known: (titles, words) float32."""
        place = {word: i for i, word in enumerate(self.words)}
        known = np.array([place.get(word, -1) for word in titles.words], dtype=np.int64)
        cols = known[titles.codes]
        rows, cols = titles.rows[cols >= 0], cols[cols >= 0]
        norms = np.sqrt(np.bincount(rows, self.rarity[cols] ** 2, minlength=titles.count))
        values = (self.rarity[cols] / norms[rows]).astype(np.float32)
        return csr_matrix((values, (rows, cols)), shape=(titles.count, len(self.words)))


@dataclass(frozen=True)
class _Titles:
    """The different words of each title, as arrays: lists would not fit millions of titles."""

    count: int
    rows: IntArray
    """(entries,) int64 title of each entry, ascending."""
    codes: IntArray
    """(entries,) int64 word of each entry."""
    words: tuple[str, ...]


@dataclass(frozen=True)
class Vocabulary:
    """How a model reads products. What it has never met is unknown to it."""

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    words: Words | None = None
    dims: tuple[int, ...] = ()
    """Length of the vectors of each table, in the order that training took them."""
    centres: FloatArray | None = None
    """(num_types, dim) float32 where types are clusters of the vectors."""
    makers: tuple[str, ...] = ()
    """What made each table of vectors, in words; "" where nothing tells."""

    def codes(self, products: pa.Table) -> dict[str, IntArray]:
        """The attributes' codes, -1 where missing or never met: (rows,) int64 each."""
        found = {(name, column): texts for name, column, texts in _texts(products)}
        result = {}
        for name, attribute in self.attributes.items():
            texts = found.get((name, attribute.column))
            if texts is None:
                texts = _other_texts(products, name, attribute.column)
            result[name] = index_in(texts, pa.array(attribute.names, pa.string()))
        return result

    def word_rows(self, products: pa.Table) -> csr_matrix | None:
        """The titles' words as unit rows, (rows, words) float32; None where none were learnt."""
        return None if self.words is None else self.words.rows(_split_titles(products))

    def vectors(self, ids: pa.Array, sources: Sequence[Source]) -> FloatArray | None:
        """Vectors of these ids as in training, zeros without a source: (ids, sum of dims) float32.

        Raises SchemaError for another number of tables, or vectors of another length.
        """
        if not sources:
            return np.zeros((len(ids), sum(self.dims)), np.float32) if self.dims else None
        if len(sources) != len(self.dims):
            lengths = f" (of length {', '.join(map(str, self.dims))})" if self.dims else ""
            raise SchemaError(
                f"the model was trained on {len(self.dims)} tables of vectors{lengths}; "
                f"found {len(sources)}; name --vectors as often and in the same order"
            )
        parts = vector_parts(ids, sources)
        for source, part, dim in zip(sources, parts, self.dims, strict=True):
            if part.shape[1] != dim:
                raise SchemaError(
                    f"{source.label}: vectors of length {part.shape[1]}; the model was trained on "
                    f"length {dim}; name --vectors in the same order"
                )
        return join_vectors(parts)

    def nearest_types(self, vectors: FloatArray) -> IntArray:
        """Of each row the type whose centre is nearest, -1 for zero rows: (rows,) int64.

        Raises ValueError where types are no clusters.
        """
        if self.centres is None:
            raise ValueError("the types of this model have names of their own")
        # |v - m|^2 without |v|^2, which is the same for every centre
        distances = (self.centres**2).sum(axis=1) - 2 * vectors @ self.centres.T
        return np.where(vectors.any(axis=1), distances.argmin(axis=1), -1).astype(np.int64)

    def tables(self) -> dict[str, pa.Table]:
        """Members `vocabulary` (rows in the order of the codes) and what else there is."""
        rows = [(name, a.column, value) for name, a in self.attributes.items() for value in a.names]
        columns = list(zip(*rows, strict=True)) or [(), (), ()]
        names = ("attribute", "column", "name")
        arrays = [pa.array(values, pa.string()) for values in columns]
        members = {MEMBER: pa.table(dict(zip(names, arrays, strict=True)))}
        if self.words is not None:
            words = pa.array(self.words.words, pa.string())
            members[_WORDS] = pa.table({"word": words, "rarity": self.words.rarity})
        if self.dims:
            made_by = [*self.makers, *[""] * (len(self.dims) - len(self.makers))]
            lengths = pa.array(self.dims, pa.int64())
            members[_VECTORS] = pa.table(
                {"dim": lengths, "made_by": pa.array(made_by, pa.string())}
            )
        if self.centres is not None:
            members[CENTRES] = pa.table({c.VECTOR: vector_array(self.centres)})
        return members


def learn_vocabulary(
    products: pa.Table,
    dims: Sequence[int] = (),
    centres: FloatArray | None = None,
    makers: Sequence[str] = (),
) -> Vocabulary:
    """What the products' attributes and titles hold.

    Attributes: category, brand, the entries of list columns (paths), and further columns of words
    or flags whose values many products share. Words of one product only, or of more than half of
    them, tell nothing; the others weigh more the rarer they are (Sparck Jones, J. Documentation
    1972, inverse document frequency).
    """
    words = _learn_words(_split_titles(products))
    return Vocabulary(_learn_attributes(products), words, tuple(dims), centres, tuple(makers))


def load_vocabulary(read: ReadTable, has: frozenset[str]) -> Vocabulary:
    """The stored vocabulary. Raises SchemaError where its tables are none."""
    try:
        attributes: dict[str, Attribute] = {}
        rows = read(MEMBER)
        texts = (rows.column(name).to_pylist() for name in ("attribute", "column", "name"))
        grouped: dict[tuple[str, str], list[str]] = {}
        for attribute, column, name in zip(*texts, strict=True):
            grouped.setdefault((attribute, column), []).append(name)
        for (attribute, column), names in grouped.items():
            attributes[attribute] = Attribute(column, tuple(names))
        words = _load_words(read(_WORDS)) if _WORDS in has else None
        dims, makers = _load_lengths(read(_VECTORS)) if _VECTORS in has else ((), ())
        centres = None
        if CENTRES in has:
            centres = to_matrix(read(CENTRES).column(c.VECTOR), CENTRES)
    except (KeyError, ValueError, TypeError) as error:
        raise SchemaError(f"{MEMBER}: its tables do not hold a vocabulary; {error}") from error
    return Vocabulary(attributes, words, dims, centres, makers)


def _load_lengths(table: pa.Table) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Of each table of vectors its length, and what made it; models of before tell no makers."""
    makers = table.column("made_by").to_pylist() if "made_by" in table.column_names else []
    return tuple(table.column("dim").to_pylist()), tuple(makers)


def _load_words(table: pa.Table) -> Words:
    rarity = table.column("rarity").to_numpy().astype(np.float64)
    if not (np.isfinite(rarity) & (rarity > 0)).all():
        raise ValueError("a word's rarity must be a positive number")
    return Words(tuple(table.column("word").to_pylist()), rarity)


def _learn_attributes(products: pa.Table) -> dict[str, Attribute]:
    learnt: dict[str, Attribute] = {}
    found = [*_texts(products)]
    if c.TITLE in products.column_names and all(name != c.BRAND for name, _, _ in found):
        found.append((c.BRAND, c.TITLE, title_brand(products.column(c.TITLE))))
    for name, column, texts in found:
        codes, names = encode(texts)
        # columns that we do not know may name products, not kinds of them
        is_further = name == column and name not in (c.CATEGORY, c.BRAND)
        is_shared = 2 <= len(names) <= _MOST_VALUES_SHARE * (codes >= 0).sum()
        if names and (is_shared or not is_further):
            learnt[name] = Attribute(column, names)
    return learnt


def _texts(products: pa.Table) -> Iterator[tuple[str, str, pa.Array]]:
    """What may be an attribute: its name, the column it is read from, and its strings.

    What is blank is unknown: products without a brand do not have the same one.
    """
    for name, column, texts in _columns_and_paths(products):
        yield name, column, without_blanks(texts)


def _columns_and_paths(products: pa.Table) -> Iterator[tuple[str, str, pa.Array]]:
    for name in products.column_names:
        column = products.column(name).combine_chunks()
        if name in (c.CATEGORY, c.BRAND) and pa.types.is_string(column.type):
            yield name, name, column
        elif name not in _NO_ATTRIBUTES and _is_word(column.type):
            yield name, name, column.cast(pa.string())
        elif _is_path(column.type):
            yield from _path_texts(name, column)


def _is_word(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_dictionary(kind)
        or pa.types.is_boolean(kind)
    )


def _is_path(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(
        is_list
        and (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type))
    )


def _path_texts(name: str, column: pa.Array) -> Iterator[tuple[str, str, pa.Array]]:
    rows = column.to_pylist()
    depth = min(_PATH_DEPTH, max((len(row) for row in rows if row), default=0))
    for i in range(depth):
        entries = [row[i] if row and len(row) > i else None for row in rows]
        yield f"{name}_{i}".lower(), name, pa.array(entries, pa.string())


def _other_texts(products: pa.Table, name: str, column: str) -> pa.Array:
    """The title's brand, or what holds no text here, such as the sizes 42 and 43; else nulls."""
    if column in products.column_names:
        if (name, column) == (c.BRAND, c.TITLE):
            return title_brand(products.column(column))
        with contextlib.suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
            if name == column:
                return products.column(name).combine_chunks().cast(pa.string())
    return pa.nulls(products.num_rows, pa.string())


def title_brand(titles: pa.ChunkedArray) -> pa.Array:
    """A stand-in for a missing brand column: titles lead with the maker's name."""
    words = pc.utf8_split_whitespace(pc.utf8_lower(pc.utf8_trim_whitespace(titles)))
    first = pc.list_slice(words, 0, 1)
    flat = [row[0] if row else None for row in first.to_pylist()]
    # of a blank title the first word is ""
    return without_blanks(pa.array(flat, pa.string()))


def _split_titles(products: pa.Table) -> _Titles:
    """The different words of each title; none without a title."""
    place: dict[str, int] = {}
    rows, codes = array("q"), array("q")
    titles = products.select([name for name in (c.TITLE,) if name in products.column_names])
    number = 0
    for batch in titles.to_batches(max_chunksize=_TITLES_AT_ONCE) if titles.num_columns else []:
        for title in batch.column(0).to_pylist():
            # sorted: the order of a set is another one in every process
            for word in sorted(set(_WORD.findall((title or "").lower()))):
                rows.append(number)
                codes.append(place.setdefault(word, len(place)))
            number += 1
    row_of, code_of = (np.array(values, dtype=np.int64) for values in (rows, codes))
    return _Titles(products.num_rows, row_of, code_of, tuple(place))


def _learn_words(titles: _Titles) -> Words | None:
    counts = np.bincount(titles.codes, minlength=len(titles.words))
    n = titles.count
    names = {titles.words[code]: code for code in np.flatnonzero((counts >= 2) & (counts <= n / 2))}
    if not names:
        return None
    kept = sorted(names)
    return Words(tuple(kept), np.log(n / counts[[names[word] for word in kept]]))
