"""A compress task: images as small files, read back from the disk, and what was lost beside PNG and WebP."""

import logging
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from imagemodels.codec import CODEC_BATCH, Codec
from imagemodels.coding.files import SUFFIX
from imagemodels.data import ImageDataset
from imagemodels.errors import ConfigError
from imagemodels.evaluation.figures import rate_metrics
from imagemodels.evaluation.rates import Rate, measured_rate, nearest_in_size, reference_rates
from pixmill.specs import CompressSpec
from storage.filesets import FileSet, StoredImage, pixels_digest, read_image_file, seal, write_image_file
from storage.pictures import contact_sheet, save_png
from worker.assignment import ModelInput
from worker.device.desk import Desk
from worker.device.real_images import chosen_part, read_images_for
from worker.device.warm import WarmModels

log = logging.getLogger("job")

Images = npt.NDArray[np.uint8]
SHOWN = 12  # images of the picture


def run_compress(desk: Desk, warm: WarmModels) -> dict[str, Any]:
    """Compress the images, decode the very files that were written, and measure; gives the rates."""
    spec = CompressSpec.model_validate(desk.assignment.spec)
    model = desk.assignment.model
    assert model is not None
    data = read_images_for(desk, spec, model)
    assert spec.part is not None  # filled in at submit
    chosen = chosen_part(data, spec.part)[: spec.n]
    codec = load_codec(desk, warm, model)
    originals = data.images[chosen]
    stored, decoded, computed = _coded(desk, codec, originals, chosen)
    files = file_set(model, codec, computed, stored)
    manifest = seal(desk.folder, files)
    sizes = [image.size_bytes for image in stored]
    own = measured_rate(model.reference, sizes, decoded, originals, lambda: desk.measuring("measuring", 0.0))
    references = _references(desk, originals)
    rates = [rate for rate, _images in references]
    nearest, nearest_images = nearest_in_size(own, references)
    return {
        "manifest": desk.layout.relative(manifest),
        **_strips(desk, originals, decoded, nearest, nearest_images),
        "rates": [asdict(rate) for rate in (own, *rates)],
        "metrics": [asdict(metric) for metric in rate_metrics(own, rates, nearest, _part(spec))],
        "bits_per_pixel": own.bits_per_pixel,
        "bytes": files.size_bytes,
        "files_sha256": files.digest,
        "batch_size": codec.batch_size,
        **_described(desk, spec, model, data, own),
    }


def load_codec(desk: Desk, warm: WarmModels, model: ModelInput) -> Codec:
    """The model of the assignment.  Raises ConfigError when it is no codec."""
    desk.measuring("loading the model", 0.0)
    warm.prepare(model.image_size)
    loaded = warm.get(desk.layout.resolve(model.folder), model.digest, "fp32")
    if not isinstance(loaded, Codec):
        raise ConfigError(f"model {model.reference} is a {type(loaded).__name__.lower()}: it compresses no images")
    log.info("model %s, digest %s", model.reference, loaded.digest)
    return loaded


def computed_on(codec: Codec) -> str:
    """What may move a pixel of the images that were decoded last by a level, in words."""
    runtime = codec.runtime
    if runtime.torch_device.type == "cuda":
        unit = torch.cuda.get_device_name()
    else:
        threads = runtime.threads or torch.get_num_threads()
        unit = f"{torch.backends.cpu.get_cpu_capability()} with {threads} thread{'s' if threads > 1 else ''}"
    return f"torch {torch.__version__}, {runtime.device} {unit}, batches of {codec.batch_size}"


def file_set(model: ModelInput, codec: Codec, computed: Iterable[str], stored: Iterable[StoredImage]) -> FileSet:
    """The manifest of what was stored; `computed` is how the batches were, in their order."""
    return FileSet(
        model=model.reference,
        model_digest=codec.digest,
        computed_on="; ".join(dict.fromkeys(computed)),  # more than one where the memory ran out on the way
        image_size=model.image_size,
        channels=model.channels,
        images=tuple(stored),
    )


def _part(spec: CompressSpec) -> str:
    """The part of the data as the name of a metric has it."""
    return "all" if spec.part == "all" else "held_out"


def _coded(
    desk: Desk, codec: Codec, originals: Images, numbers: npt.NDArray[np.int64]
) -> tuple[list[StoredImage], Images, list[str]]:
    """Write each image's file under its number in the data set.

    Gives what was stored, what it is decoded to, and how each batch was computed.
    """
    stored: list[StoredImage] = []
    decoded, computed = np.empty_like(originals), []
    for first in range(0, len(originals), CODEC_BATCH):
        desk.check_stop()
        rows = slice(first, first + CODEC_BATCH)
        names = [f"{number:06d}{SUFFIX}" for number in numbers[rows]]
        contents = codec.compress(originals[rows])
        decoded[rows] = codec.decompress(contents)
        computed.append(computed_on(codec))
        for name, content, pixels in zip(names, contents, decoded[rows], strict=True):
            image = write_image_file(desk.folder, name, content, pixels_digest(pixels))
            read_image_file(desk.folder, image)
            stored.append(image)
        desk.progress("compressing", len(stored) - 1, len(originals))
    desk.progress("compressed", len(stored), len(stored))
    return stored, decoded, computed


def _references(desk: Desk, originals: Images) -> list[tuple[Rate, Images]]:
    """The rates of PNG and WebP; of the images that they keep, those that are shown."""
    found = reference_rates(originals, lambda share: desk.measuring("measuring PNG and WebP", share))
    return [(rate, decoded[:SHOWN].copy()) for rate, decoded in found]


def _strips(desk: Desk, originals: Images, decoded: Images, rate: Rate, reference: Images) -> dict[str, str]:
    """A picture of three rows: some images, as they are decoded, and as WebP or PNG of about the same size has them."""
    rows = [images[:SHOWN] for images in (originals, decoded, reference)]
    path = desk.folder / "strips.png"
    save_png(path, contact_sheet(np.concatenate(rows), columns=len(rows[0])))
    return {"strips": desk.layout.relative(path), "strips_reference": rate.name}


def _described(desk: Desk, spec: CompressSpec, model: ModelInput, data: ImageDataset, own: Rate) -> dict[str, Any]:
    log.info("%.4g bits per pixel, PSNR %.2f dB, SSIM %.4f (n=%d)", own.bits_per_pixel, own.psnr or 0, own.ssim, own.n)
    warnings = []
    if data.fingerprint == model.dataset_fingerprint and spec.part == "all":
        warnings.append("the model was trained on most of these images: others will lose more")
    if data.fingerprint != model.dataset_fingerprint:
        warnings.append(f"the model was trained on other data (fingerprint {model.dataset_fingerprint[:12]})")
    for warning in warnings:
        log.warning(warning)
    desk.write_json("dataset.json", data.describe())
    described = {"name": data.name, "description": data.describe()}
    return {"images": own.n, "psnr": own.psnr, "ssim": own.ssim, "dataset": described, "warnings": warnings}
