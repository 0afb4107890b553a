"""Whether a generator invents, or hands back its training images."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imagemodels.evaluation.neighbours import nearest, radii
from imagemodels.evaluation.thumbnails import thumbnail_rows

Images = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]

THUMBNAIL_SIZE = 16  # pixels; distances between thumbnails blunt noise and shifts of a pixel
DISTANCE_DECIMALS = 6
MAX_REPEAT_IMAGES = 5000
NEAR_PERCENTILE = 1.0  # of the distances from held-out images to the training set


@dataclass(frozen=True)
class MemorisationMeasure:
    """How close generated images are to the training set, against held-out images as the yardstick.

    z                  Mann–Whitney z of generated against held-out distances; far below 0: closer than new images are
    exact_copies       generated images whose pixels equal a training image
    near_copies        generated images nearer to a training image than 99 % of held-out images are
    repeats            generated images whose pixels equal an earlier generated one
    near_repeats       share of generated images nearer to another generated one than 99 % of as many training images
                       are to each other; over repeat_images images, since more images always lie closer together
    training_near_repeats  the same share among the training images themselves, about 0.01
    near_distance      the distance below which a copy counts as near
    held_out_distance  the yardstick: distances (H,) of held-out images to the training set
    nearest_training   index into the training images of the nearest, int64 (N,)
    nearest_distance   its distance, float64 (N,)
    """

    z: float
    exact_copies: int
    near_copies: int
    repeats: int
    near_repeats: float
    training_near_repeats: float
    repeat_images: int
    near_distance: float
    held_out_distance: Matrix
    nearest_training: npt.NDArray[np.int64]
    nearest_distance: Matrix


def memorisation_measure(training: Images, held_out: Images, generated: Images) -> MemorisationMeasure:
    """Compare generated images with those that were trained on, all uint8 (N, H, W, C).

    The three-sample test of Meehan et al. 2020 (arXiv 2004.05675), on root-mean-square distances between thumbnails.
    """
    training_TF, held_out_HF, generated_NF = (_rows(images) for images in (training, held_out, generated))
    held_out_distance, _ = _nearest(held_out_HF, training_TF)
    distance, index = _nearest(generated_NF, training_TF)
    near_distance = float(np.percentile(held_out_distance, NEAR_PERCENTILE))
    repeat_images = min(len(training), len(generated), MAX_REPEAT_IMAGES)
    near_repeats, training_near_repeats = _near_repeats(
        _spread(generated_NF, repeat_images), _spread(training_TF, repeat_images)
    )
    return MemorisationMeasure(
        z=mann_whitney_z(distance, held_out_distance),
        exact_copies=_exact_copies(training, generated),
        near_copies=int((distance < near_distance).sum()),
        repeats=len(generated) - len({_pixel_digest(image) for image in generated}),
        near_repeats=near_repeats,
        training_near_repeats=training_near_repeats,
        repeat_images=repeat_images,
        near_distance=near_distance,
        held_out_distance=held_out_distance,
        nearest_training=index,
        nearest_distance=distance,
    )


def _nearest(queries: Matrix, training: Matrix) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """Round away what is left of a zero distance, so that exact copies are ties."""
    distances, indices = nearest(queries, training)
    return distances.round(DISTANCE_DECIMALS), indices


def _near_repeats(generated: Matrix, training: Matrix) -> tuple[float, float]:
    training_distance = radii(training, 1)
    limit = np.percentile(training_distance, NEAR_PERCENTILE)
    return float((radii(generated, 1) < limit).mean()), float((training_distance < limit).mean())


def _spread(rows: Matrix, count: int) -> Matrix:
    """Return so many rows, evenly spread: the first ones of a sorted folder would be all of one class."""
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


def _rows(images: Images) -> Matrix:
    """Return rows (N, F) whose Euclidean distance is the root-mean-square difference, from 0 to 1 (black to white)."""
    rows: Matrix = thumbnail_rows(images, THUMBNAIL_SIZE).astype(np.float64)
    rows /= np.sqrt(rows.shape[1])
    return rows


def mann_whitney_z(sample: Matrix, yardstick: Matrix) -> float:
    """Return the normal score of the Mann–Whitney U test, ties corrected; negative when the sample is smaller."""
    count, other_count = len(sample), len(yardstick)
    total = count + other_count
    _, inverse, sizes = np.unique(np.concatenate([sample, yardstick]), return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(sizes) - (sizes - 1) / 2.0
    statistic = mean_ranks[inverse[:count]].sum() - count * (count + 1) / 2.0
    ties = (sizes.astype(np.float64) ** 3 - sizes).sum() / (total * (total - 1))
    variance = count * other_count / 12.0 * (total + 1 - ties)
    return float((statistic - count * other_count / 2.0) / np.sqrt(variance)) if variance > 0 else 0.0


def _exact_copies(training: Images, generated: Images) -> int:
    known = {_pixel_digest(image) for image in training}
    return sum(_pixel_digest(image) in known for image in generated)


def _pixel_digest(image: Images) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()
