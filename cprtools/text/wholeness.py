"""Whether a model's folder holds all of the model: transformers makes up what it does not find."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cprtools.errors import DataError, quote

_FLOATS = {"F64", "F32", "F16", "BF16"}
# a head over the first token, which sentence models do without
_UNUSED = "pooler."


def check_whole(model: Any) -> None:
    """Raise DataError where a SentenceTransformer's weights or words are not those of its folder.

    Weights that are missing are drawn at random, whole numbers are taken for weights, and without
    its files a tokenizer knows no word: vectors come out all the same.
    """
    network, tokenizer = getattr(model[0], "auto_model", None), model.tokenizer
    place = Path(getattr(network, "name_or_path", ""))
    if network is None or not place.is_dir():
        return
    label = f"--model {quote(str(place))}"
    if hasattr(tokenizer, "get_vocab"):
        words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
        if not words:
            raise DataError(f"{label}: its tokenizer knows no words; is tokenizer.json missing?")
    stored = _stored_kinds(place)
    names = [n for n, _ in network.named_parameters() if not n.startswith(_UNUSED)]
    kinds = {name: _kind_of(name, stored) for name in names}
    missing = [name for name in names if kinds[name] is None]
    # names may be others in the file, and be mapped while it is read
    missing = missing and sorted(set(missing) & _not_found(network, place))
    if missing:
        raise DataError(
            f"{label}: its weights lack {len(missing):,} of {len(names):,} that config.json asks "
            f"for, such as {missing[0]}; copy the model again"
        )
    whole = [name for name, kind in kinds.items() if kind is not None and kind not in _FLOATS]
    if whole and getattr(network.config, "quantization_config", None) is None:
        raise DataError(
            f"{label}: {whole[0]} is stored as {kinds[whole[0]]}; weights must be float32, "
            "float16 or bfloat16"
        )


def _stored_kinds(place: Path) -> dict[str, str]:
    """Of each tensor in the folder its type, as safetensors calls it."""
    from safetensors import safe_open

    kinds = {}
    for path in sorted(place.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            kinds.update({name: file.get_slice(name).get_dtype() for name in names})
    return kinds


def _kind_of(name: str, stored: dict[str, str]) -> str | None:
    """The type that the parameter is stored in; None where it is not, under this name."""
    if name in stored:
        return stored[name]
    # a file of a larger model names the encoder's weights bert.encoder...
    parts = name.split(".")
    shorter: Iterable[str] = (".".join(parts[i:]) for i in range(1, len(parts) - 1))
    longer = (key for key in stored if key.endswith("." + name))
    found = next(longer, None) or next((key for key in shorter if key in stored), None)
    return None if found is None else stored[found]


def _not_found(network: Any, place: Path) -> set[str]:
    """What transformers itself does not find, in its names; read again to be told."""
    _, told = type(network).from_pretrained(
        str(place), local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    return set(told["missing_keys"])
