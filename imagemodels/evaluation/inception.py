"""The Fréchet inception distance in its clean form: weights from a file, images resized as floats.

Parmar et al. 2022 (arXiv 2104.11222): images are resized to 299 pixels by Pillow's bicubic filter, each channel as
floats that are never rounded, and clipped to 0 … 255; the network sees (x − 128) / 128.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from imagemodels.errors import DataError
from imagemodels.evaluation.features import measuring_runtime
from imagemodels.evaluation.metrics import FeatureSides, distance_metrics
from imagemodels.evaluation.report import Metric
from imagemodels.identity import sha256_hex
from imagemodels.memory import in_batches_that_fit
from imagemodels.networks.inception import INCEPTION_FEATURES, INCEPTION_SIDE, InceptionNetwork
from imagemodels.runtime import Runtime

Images = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]

PUBLISHED_SHA256 = "6726825d"  # how that of pt_inception-2015-12-05-6726825d.pth begins
LARGEST_FILE_BYTES = 500_000_000  # of weights; the published ones have 95 million
NAMED_DIGITS = 7  # of the sha256, in the names of metrics
BATCH = 32  # images of 299 pixels
COUNTER = "num_batches_tracked"  # of a batch norm; older files lack it, and nothing depends on it


@dataclass
class InceptionNet:
    """The network with its weights, and the name that every number made by it carries."""

    network: InceptionNetwork
    sha256: str  # of the file
    runtime: Runtime
    batch_size: int = BATCH
    side: int = INCEPTION_SIDE  # pixels to which images are resized; what is published has 299

    @property
    def name(self) -> str:
        """``inception-`` and the first digits of the file's sha256."""
        return f"inception-{self.sha256[:NAMED_DIGITS]}"

    @property
    def is_published(self) -> bool:
        """Whether these are the weights with which papers measure."""
        return self.sha256.startswith(PUBLISHED_SHA256)

    def features(self, images: Images, tell: Callable[[float], None] = lambda _share: None) -> Features:
        """Return float32 (N, 2048) for uint8 images (N, H, W, C), gray or RGB, of any size.

        ``tell`` hears the share that is done before each batch.
        """

        def in_batches(size: int) -> list[Features]:
            parts = []
            for first in range(0, len(images), size):
                tell(first / len(images))
                parts.append(self._batch(images[first : first + size]))
            return parts

        with torch.inference_mode(), self.runtime.activated():
            parts, self.batch_size = in_batches_that_fit(
                in_batches, self.batch_size, "a pass of the Inception network", self.runtime.torch_device
            )
        return np.concatenate(parts)

    def _batch(self, images: Images) -> Features:
        pixels = self.runtime.put(torch.from_numpy(clean_resize(images, self.side)))
        features: Features = self.network((pixels - 128.0) / 128.0).float().cpu().numpy()
        return features


def clean_resize(images: Images, side: int = INCEPTION_SIDE) -> Features:
    """Return uint8 images (N, H, W, C) as float32 (N, 3, side, side) in [0, 255], gray ones as three equal channels."""
    resized = np.stack([[_resized(channel, side) for channel in image.transpose(2, 0, 1)] for image in images])
    return np.repeat(resized, 3, axis=1) if resized.shape[1] == 1 else resized


def _resized(channel: Images, side: int) -> Features:
    image = Image.fromarray(channel.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image).clip(0.0, 255.0)


def load_inception(path: Path, runtime: Runtime) -> InceptionNet:
    """Return the network with the weights in a file, such as that of the library pytorch-fid; it holds tensors alone.

    Raises DataError when it is no such file: names, shapes and types of all tensors are compared.
    """
    sha256, weights = _read(path)
    with torch.device("meta"):
        network = InceptionNetwork()
    _require_fit(path, network.state_dict(), weights)
    network.load_state_dict(_with_counters(network, weights), assign=True)
    exact = measuring_runtime(runtime)
    exact.place(network.eval())
    return InceptionNet(network, sha256, exact)


def _read(path: Path) -> tuple[str, Mapping[str, Tensor]]:
    try:
        size_bytes = path.stat().st_size
        content = path.read_bytes() if size_bytes <= LARGEST_FILE_BYTES else b""
    except OSError as error:
        raise DataError(f"weights {path} cannot be read: {error.strerror}") from error
    if not content:
        raise DataError(f"{path} has {size_bytes:,} bytes: the weights of Inception have some 95 million")
    try:
        found = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever an unpickler raises over a file of another kind
        reason = str(error).strip().partition(". ")[0].partition("\n")[0] or type(error).__name__
        raise DataError(f"{path} is no file of weights: {reason}") from error
    if not isinstance(found, Mapping) or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        raise DataError(f"{path} holds a {type(found).__name__}, no weights by their names")
    return sha256_hex(content), found


def _require_fit(path: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    strangers = sorted(set(found) - set(wanted))
    missing = sorted(name for name in set(wanted) - set(found) if not name.endswith(COUNTER))
    for words, names in (("lacks", missing), ("also holds", strangers)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise DataError(f"{path} is not the Inception network of the FID: it {words} {names[0]}{more}")
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(wanted[name].shape)}"
            raise DataError(f"{path} is not the Inception network of the FID: {name} has shape {shapes}")
        if not name.endswith(COUNTER) and not (tensor.dtype == torch.float32 and bool(tensor.isfinite().all())):
            raise DataError(f"{path}: {name} is not of finite float32 numbers")


def _with_counters(network: InceptionNetwork, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    counters = {name: torch.zeros((), dtype=torch.int64) for name in network.state_dict() if name.endswith(COUNTER)}
    return {**counters, **weights}


def inception_metrics(
    net: InceptionNet, sides: Mapping[str, Images], seed: int, tell: Callable[[str, float], None]
) -> list[Metric]:
    """Return the Fréchet and the kernel distance of Inception's features, with the controls of the other distances.

    ``sides`` are the images ``generated``, ``training``, ``held_out`` and ``noise``; ``tell`` hears of each.
    """
    features = {
        side: net.features(images, partial(tell, f"Inception features, {side}")) for side, images in sides.items()
    }
    copies = features["training"][: len(features["generated"])]
    found = distance_metrics(FeatureSides(**features, copies=copies), net.name, seed)
    names = {"fd": "fid-clean", "kid": "kid-clean"}
    return [replace(metric, name=f"{names[metric.name.partition('@')[0]]}@{net.name}") for metric in found]


def inception_cautions(net: InceptionNet, metrics: list[Metric]) -> tuple[str, ...]:
    """Return what a reader must know before trusting Inception's numbers among these metrics."""
    texts = []
    if not net.is_published:
        texts.append(
            f"the weights of {net.name} are not the published ones, whose sha256 begins with {PUBLISHED_SHA256}: its "
            "numbers are no FID that others report"
        )
    fewest = min(min(metric.n, metric.reference_n) for metric in metrics if metric.name.endswith(f"@{net.name}"))
    if fewest <= INCEPTION_FEATURES:
        texts.append(
            f"with {fewest:,} images the covariance of {INCEPTION_FEATURES:,} features is singular, and fid-clean says "
            f"little: measure more than {INCEPTION_FEATURES:,}, better 10,000"
        )
    return tuple(texts)
