"""Read a data set here and now, with a bar, for commands that register and compare it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli.context import Workspace
from cli.output import can_animate
from pixmill.errors import DatasetError

if TYPE_CHECKING:
    from imagemodels.data import ImageDataset
    from pixmill.kinds import OnBadImage

_STEPS = 1000  # of a bar


def read_dataset(
    workspace: Workspace,
    source: str,
    *,
    image_size: int | None,
    channels: int | None,
    on_bad_image: "OnBadImage",
    again: bool = False,
) -> "ImageDataset":
    """All images of a data set, as a worker reads them; with `again` each file, also where they are packed.

    Raises DatasetError, StorageError or PermissionDenied.
    """
    from imagemodels.data import PackedStore, load_dataset
    from imagemodels.errors import ModelError
    from storage.faults import named_faults
    from storage.paths import Layout

    layout = Layout(workspace.settings.storage_root)
    try:
        with _progress(f"reading {source}") as progress, named_faults(layout.packed):
            return load_dataset(
                source,
                image_size=image_size,
                channels=channels,
                root=layout.datasets,
                on_bad_image=on_bad_image,
                progress=progress,
                packed=PackedStore(layout.packed, again=again),
            )
    except ModelError as error:
        first, *rest = str(error).splitlines()
        raise DatasetError("; ".join([first, *(line.strip() for line in rest)])) from None


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str, float], None] | None]:
    if not can_animate():
        yield None
        return
    from cli.bars import CountBar

    with CountBar(title) as bar:
        yield lambda _phase, share: bar.show(int(share * _STEPS), _STEPS)
