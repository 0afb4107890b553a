"""The data sets that are published as IDX files: where they are, and the sha256 of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from platformdirs import user_cache_path

from imagemodels.data.download import download_verified
from imagemodels.data.idx import find_idx

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"


@dataclass(frozen=True)
class Publication:
    """A published data set: its mirrors in the order they are tried, its class names, and the sha256 of each .gz."""

    name: str
    mirrors: tuple[str, ...]
    class_names: tuple[str, ...]
    sha256: MappingProxyType[str, str]


MNIST = Publication(
    name="mnist",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    class_names=tuple("0123456789"),
    sha256=MappingProxyType(
        {
            TRAIN_IMAGES: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            TRAIN_LABELS: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            TEST_IMAGES: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            TEST_LABELS: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        }
    ),
)

FASHION_MNIST = Publication(
    name="fashion-mnist",
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
    ),
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    sha256=MappingProxyType(
        {
            TRAIN_IMAGES: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            TRAIN_LABELS: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            TEST_IMAGES: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            TEST_LABELS: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        }
    ),
)

PUBLICATIONS = MappingProxyType({publication.name: publication for publication in (MNIST, FASHION_MNIST)})


def publication_folder(name: str, root: Path | None) -> Path:
    """Return where the files are sought and kept: root/NAME, or NAME in the user's cache.

    Never root itself: the files of all these data sets bear the same names, and one would be taken for the other.
    """
    base = user_cache_path("pixmill") / "datasets" if root is None else root.expanduser()
    return base / name


def published_files(publication: Publication, folder: Path, mirrors: Sequence[str] | None = None) -> dict[str, Path]:
    """Return the four files by name, downloading those that the folder lacks.

    A file already in the folder is taken as it is. Raises DownloadFailed when a missing one cannot be had.
    """
    bases = publication.mirrors if mirrors is None else mirrors
    return {name: find_idx(folder, name) or _download(publication, folder, name, bases) for name in publication.sha256}


def _download(publication: Publication, folder: Path, name: str, mirrors: Sequence[str]) -> Path:
    file_name = f"{name}.gz"
    urls = [f"{mirror}{file_name}" for mirror in mirrors]
    return download_verified(urls, folder / file_name, publication.sha256[name])
