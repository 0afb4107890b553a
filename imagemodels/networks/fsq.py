"""An autoencoder with whole numbers in the middle: what lossy compression of images needs.

Shapes: N images, C channels, S side in pixels, D code channels, B side of the map of codes.
"""

import torch
from torch import Tensor, nn

from imagemodels.coding.tables import Tables, table_shape, uniform_tables
from imagemodels.networks.quantisation import FiniteScalarQuantiser
from imagemodels.networks.spatial import SpatialDecoder, SpatialEncoder, grid_plan
from imagemodels.networks.spatialspecs import FsqSpec


class FsqAutoencoder(nn.Module):
    """Map images (N, C, S, S) in [-1, 1] to codes (N, D, B, B) and back.

    What is rounded is normalised over the batch first. Without, the quickest way to a black background is to drive
    all codes into one corner, where the tanh has no gradient left to bring them back.

    The frequencies by which the codes are written into files are part of it, as whole numbers.
    """

    frequencies: Tensor

    def __init__(self, spec: FsqSpec) -> None:
        super().__init__()
        self.spec = spec
        self.plan = grid_plan(spec.image_size, spec.halvings)
        shape = (self.plan, spec.channels, spec.width, spec.blocks, len(spec.levels))
        self.encoder = SpatialEncoder(*shape, bias=False)
        self.norm = nn.BatchNorm2d(len(spec.levels), affine=False)
        self.quantiser = FiniteScalarQuantiser(spec.levels)
        self.decoder = SpatialDecoder(*shape)
        self.register_buffer("frequencies", torch.zeros(table_shape(spec.levels), dtype=torch.int32))
        self.use_frequencies(uniform_tables(spec.levels))

    def forward(self, images: Tensor) -> Tensor:
        """Return the decoded images (N, C, S, S) in [-1, 1], float32, with gradients past the rounding."""
        decoded: Tensor = self.decoder(self._fitting(self.quantiser(self._normal(images))))
        return decoded

    def encode(self, images: Tensor) -> Tensor:
        """Return the codes (N, D, B, B), uint8, of images (N, C, S, S) in [-1, 1]."""
        return self.quantiser.codes(self._normal(images))

    def decode(self, codes: Tensor) -> Tensor:
        """Return images (N, C, S, S) in [-1, 1], float32, for codes (N, D, B, B)."""
        decoded: Tensor = self.decoder(self._fitting(self.quantiser.values(codes)))
        return decoded

    def use_frequencies(self, tables: Tables) -> None:
        """Take over frequencies (D, K, L)."""
        self.frequencies.copy_(torch.from_numpy(tables))

    def _normal(self, images: Tensor) -> Tensor:
        normal: Tensor = self.norm(self.encoder(images).float())
        return normal

    def _fitting(self, values: Tensor) -> Tensor:
        return values.to(self.decoder.head.weight.dtype)
