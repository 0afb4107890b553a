"""The real images of a job."""

from imagemodels.data import ImageDataset, PackedStore, load_dataset
from pixmill.specs import OnBadImage
from storage.faults import named_faults
from worker.device.desk import Desk


def read_real_images(
    desk: Desk, name: str, *, image_size: int | None, channels: int | None, on_bad_image: OnBadImage
) -> ImageDataset:
    """Read a data set by its name.  Raises what load_dataset does, or DiskFull."""
    layout = desk.layout
    with named_faults(layout.packed):
        return load_dataset(
            name,
            image_size=image_size,
            channels=channels,
            root=layout.datasets,
            on_bad_image=on_bad_image,
            progress=desk.measuring,
            packed=PackedStore(layout.packed),
        )
