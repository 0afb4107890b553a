"""What a network between images and maps of codes is made of. Free of torch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FsqSpec:
    """An autoencoder whose codes are whole numbers on a grid."""

    image_size: int  # pixels
    channels: int
    width: int  # channels after the first halving; doubled with each further one
    halvings: int  # of the side, from the image to the grid of codes
    blocks: int  # residual blocks at the grid, on each side
    levels: tuple[int, ...]  # of each code channel
    num_classes: int = 0  # it knows none
