import numpy as np
import pytest

from imagemodels.tiles import Tiling

SHAPES = [(8, 8), (5, 8), (3, 2), (9, 8), (30, 17), (16, 41)]


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_tiles_cover_an_image_and_join_to_what_they_were_cut_from(height: int, width: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    tiling = Tiling(height, width, side=8)
    tiles = tiling.cut(images)
    assert tiles.shape == (2 * len(tiling.corners), 8, 8, 3)
    joined = tiling.joined(tiles.astype(np.float32))
    np.testing.assert_allclose(joined, images, atol=1e-9)
    assert Tiling(height, width, side=8).cut(images[..., 0]).shape == tiles.shape[:3]


def test_neighbours_overlap_by_a_quarter_at_least() -> None:
    rows = sorted({row for row, _column in Tiling(65, 8, side=16).corners})
    assert (rows[0], rows[-1]) == (0, 65 - 16)
    assert max(np.diff(rows)) <= 12


def test_the_border_between_two_tiles_is_blended_without_a_seam() -> None:
    tiling = Tiling(8, 14, side=8)
    dark, light = np.zeros((8, 8, 1), np.float32), np.ones((8, 8, 1), np.float32)
    (joined,) = tiling.joined(np.stack((dark, light)))
    # Columns 6 and 7 are in both: the first counts half as much in the tile that begins there.
    assert joined[0, :, 0].tolist() == pytest.approx([0, 0, 0, 0, 0, 0, 1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1])
