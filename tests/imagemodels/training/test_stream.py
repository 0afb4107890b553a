import pytest
import torch
from torch import Tensor

from imagemodels.errors import DataError
from imagemodels.pixels import to_float
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.stream import ImageStream

COUNT = 11
CONFIG = TrainConfig(preset="vae", image_size=8, channels=1, images=100, batch_size=4)


def numbered(count: int = COUNT) -> Tensor:
    """Images whose every pixel is the image's number."""
    return torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 1, 8, 8).clone()


def stream(images: Tensor | None = None, labels: Tensor | None = None, **changes: object) -> ImageStream:
    values = {"preset": "vae", "image_size": 8, "channels": 1, "images": 100, "batch_size": 4}
    return ImageStream(
        TrainConfig.from_mapping(values | changes), numbered() if images is None else images, labels, Runtime()
    )


def numbers(source: ImageStream, steps: range) -> list[int]:
    batches = torch.cat([source.batch(step).images[:, 0, 0, 0] for step in steps])
    return [round(value) for value in ((batches + 1) * 127.5).tolist()]


def test_every_epoch_shows_every_image_once_though_batches_cross_its_border() -> None:
    order = numbers(stream(), range(COUNT))
    epochs = [order[start : start + COUNT] for start in range(0, 4 * COUNT, COUNT)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_a_batch_depends_on_its_number_alone() -> None:
    forwards, backwards = stream(), stream()
    expected = [numbers(forwards, range(step, step + 1)) for step in range(8)]
    assert [numbers(backwards, range(step, step + 1)) for step in reversed(range(8))] == expected[::-1]


def test_rows_are_trained_on_where_they_lie_as_if_they_were_all() -> None:
    rows, images = torch.tensor([1, 3, 4, 8, 10]), numbered()
    there = ImageStream(CONFIG, images, None, Runtime(), rows)
    alone = ImageStream(CONFIG, images[rows], None, Runtime())
    assert (there.count, there.digest) == (5, alone.digest)
    for step in range(6):
        assert torch.equal(there.batch(step).images, alone.batch(step).images)
    assert ImageStream(CONFIG, images, None, Runtime(), rows.flip(0)).digest != alone.digest


def test_another_seed_is_another_order() -> None:
    assert numbers(stream(seed=1), range(3)) != numbers(stream(seed=2), range(3))


def test_batches_are_full_even_when_there_are_fewer_images() -> None:
    assert sorted(numbers(stream(numbered(3), batch_size=6), range(1))) == [0, 0, 1, 1, 2, 2]


def test_labels_stay_with_their_images() -> None:
    labels = torch.arange(COUNT) % 3
    batch = stream(labels=labels, num_classes=3).batch(1)
    assert batch.labels is not None
    shown = ((batch.images[:, 0, 0, 0] + 1) * 127.5).round().long()
    assert torch.equal(batch.labels, shown % 3)


def test_flips_mirror_some_images_and_no_others() -> None:
    images = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).expand(40, 1, 8, 8).clone()
    batch = stream(images, overrides={"horizontal_flips": True}, batch_size=40).batch(0).images
    plain, mirrored = to_float(images[:1])[0], to_float(images[:1].flip(3))[0]
    flipped = [bool(torch.equal(image, mirrored)) for image in batch]
    assert all(torch.equal(image, mirrored if flip else plain) for image, flip in zip(batch, flipped, strict=True))
    assert 8 < sum(flipped) < 32


@pytest.mark.parametrize(
    ("images", "labels", "num_classes", "message"),
    [
        (numbered().float(), None, 0, "uint8 images"),
        (numbered()[:, :, :7], None, 0, r"uint8 images \(N, \(1, 8, 8\)\), got torch.uint8 \(11, 1, 7, 8\)"),
        (numbered(0), None, 0, "at least one image"),
        (numbered(), None, 3, "needs labels; these images have none"),
        (numbered(), torch.zeros(5, dtype=torch.int64), 3, r"int64 of shape \(11,\)"),
        (numbered(), torch.zeros(COUNT, dtype=torch.int32), 3, r"int64 of shape \(11,\)"),
        (numbered(), torch.arange(COUNT), 3, "between 0 and 2, got 0 to 10"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(
    images: Tensor, labels: Tensor | None, num_classes: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        stream(images, labels, num_classes=num_classes)
