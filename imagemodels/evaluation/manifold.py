"""Whether generated images lie where real ones lie, and whether they cover all of it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imagemodels.errors import DataError
from imagemodels.evaluation.neighbours import distance_chunks, radii

PRECISION_NEIGHBOURS = 3  # k of Kynkäänniemi et al.
DENSITY_NEIGHBOURS = 5  # k of Naeem et al.


@dataclass(frozen=True)
class ManifoldMeasure:
    """Four shares of overlap between real and generated features; higher is better.

    Precision and recall do not reach 1 even for equal distributions (about 0.7); density is about 1 and coverage
    about 0.97 there, so those two read more easily.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_measure(real: npt.NDArray[np.floating], generated: npt.NDArray[np.floating]) -> ManifoldMeasure:
    """Compare real features (N, F) with generated ones (M, F), best of equal number.

    Precision and recall: Kynkäänniemi et al. 2019 (arXiv 1904.06991), k = 3. Density and coverage: Naeem et al. 2020
    (arXiv 2002.09797), k = 5. Raises DataError for fewer than 6 images on a side.
    """
    if min(len(real), len(generated)) <= DENSITY_NEIGHBOURS:
        raise DataError(
            f"coverage needs more than {DENSITY_NEIGHBOURS} images on each side; "
            f"found {len(real)} real and {len(generated)} generated"
        )
    real_NF, generated_MF = real.astype(np.float64), generated.astype(np.float64)
    precision_radii, density_radii = radii(real_NF, PRECISION_NEIGHBOURS), radii(real_NF, DENSITY_NEIGHBOURS)
    generated_radii = radii(generated_MF, PRECISION_NEIGHBOURS)
    inside_M = np.zeros(len(generated_MF), dtype=bool)
    recalled, covered, balls = 0, 0, 0
    for rows, distances in distance_chunks(real_NF, generated_MF):
        inside_M |= (distances <= precision_radii[rows, np.newaxis]).any(0)
        recalled += int((distances <= generated_radii).any(1).sum())
        within = distances <= density_radii[rows, np.newaxis]
        covered += int(within.any(1).sum())
        balls += int(within.sum())
    return ManifoldMeasure(
        precision=float(inside_M.mean()),
        recall=recalled / len(real_NF),
        density=balls / (DENSITY_NEIGHBOURS * len(generated_MF)),
        coverage=covered / len(real_NF),
    )
