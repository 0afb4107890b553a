"""The Inception network of the FID under random weights: its layers, its input, its file, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from imagemodels.data import dataset_from_arrays
from imagemodels.errors import DataError
from imagemodels.evaluation import EvaluationReport, evaluate
from imagemodels.evaluation.inception import InceptionNet, clean_resize, load_inception
from imagemodels.identity import sha256_hex
from imagemodels.networks.inception import InceptionNetwork
from imagemodels.runtime import Runtime
from tests.imagemodels.evaluation.conftest import Study

Floats = npt.NDArray[np.float64]
MAPS = [  # channels and side after each part, as the graph of TensorFlow has them
    (64, 73),
    (192, 35),
    (256, 35),
    (288, 35),
    (288, 35),
    (768, 17),
    (768, 17),
    (768, 17),
    (768, 17),
    (768, 17),
    (1280, 8),
    (2048, 8),
    (2048, 8),
]


@pytest.fixture(scope="module")
def network() -> InceptionNetwork:
    """Random weights under which every layer has about as much to say as the one before it."""
    torch.manual_seed(5)
    network = InceptionNetwork().eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("conv.weight"):
            tensor.normal_(0.0, (2.0 / tensor[0].numel()) ** 0.5)
        elif name.endswith("running_mean"):
            tensor.normal_(0.0, 0.1)
    return network


@pytest.fixture(scope="module")
def file(network: InceptionNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save({name: tensor for name, tensor in network.state_dict().items() if "tracked" not in name}, path)
    return path


@pytest.fixture(scope="module")
def net(file: Path) -> InceptionNet:
    return load_inception(file, Runtime(threads=1))


def test_maps_have_the_channels_and_sides_of_the_published_graph(network: InceptionNetwork) -> None:
    with torch.inference_mode():
        found = [tuple(maps.shape[1:3]) for maps in network.stages(torch.zeros(1, 3, 299, 299))]
    assert found == MAPS
    names = network.state_dict()
    assert len([name for name in names if name.endswith("conv.weight")]) == 94
    numbers = sum(tensor.numel() for name, tensor in names.items() if "tracked" not in name)
    parameters = 23_834_568 - 1000 * 2049  # of Inception-v3 as it is known, without its last layer
    assert numbers == parameters + 1008 * 2049 + 2 * 17_216  # and the means and variances of its channels
    assert names["Mixed_6b.branch7x7dbl_2.conv.weight"].shape == (128, 128, 7, 1)
    assert names["fc.weight"].shape == (1008, 2048)


def pooled(network: InceptionNetwork, name: str, maps: Tensor) -> Tensor:
    """What the last branch of a block makes of maps."""
    channels = len(network.state_dict()[f"{name}.branch_pool.conv.weight"])
    found: Tensor = network.get_submodule(name)(maps)
    return found[:, -channels:]


def test_averages_leave_the_border_out_and_the_last_block_takes_the_maximum(network: InceptionNetwork) -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        for name, channels in (("Mixed_5b", 192), ("Mixed_6c", 768), ("Mixed_7b", 1280), ("Mixed_7c", 2048)):
            maps = torch.rand(1, channels, 8, 8)
            layer = network.get_submodule(f"{name}.branch_pool")
            padded = functional.pad(maps, (1, 1, 1, 1), value=float("nan"))
            windows = padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4)
            mean, largest = windows.nanmean(4), windows.nan_to_num(-1.0).amax(4)
            with_border = windows.nan_to_num(0.0).mean(4)
            found = pooled(network, name, maps)
            right, wrong = (mean, largest) if name != "Mixed_7c" else (largest, mean)
            torch.testing.assert_close(found, layer(right), atol=1e-4, rtol=1e-4)
            for textbook in (wrong, with_border):
                assert (found - layer(textbook)).abs().max() > 0.01


def bicubic(side: int, target: int) -> Floats:
    """The weights (target, side) of Keys' kernel with a = -1/2, widened where the image shrinks."""
    scale = side / target
    support = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    x = np.abs((np.arange(side) + 0.5)[None] - centres[:, None]) / support
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1.0, -0.5 * x**3 + 2.5 * x**2 - 4.0 * x + 2.0
    weights = np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
    normalised: Floats = weights / weights.sum(1, keepdims=True)
    return normalised


@pytest.mark.parametrize("side", [8, 33, 640])
def test_images_are_resized_by_a_bicubic_filter_without_rounding(side: int) -> None:
    images = np.random.default_rng(side).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    rows = bicubic(side, 299)
    expected = np.einsum("ts,nsuc,vu->nctv", rows, images.astype(np.float64), rows, optimize=True).clip(0.0, 255.0)
    found = clean_resize(images)
    assert (found.dtype.name, found.shape) == ("float32", (1, 3, 299, 299))
    assert np.abs(found - expected).max() < 1e-3
    assert np.abs(found - found.round()).max() > 0.4  # rounding to bytes is the textbook mistake


def test_gray_images_have_three_equal_channels(net: InceptionNet) -> None:
    gray = np.random.default_rng(1).integers(0, 256, (1, 8, 8, 1), dtype=np.uint8)
    found = clean_resize(gray)
    assert np.array_equal(found, clean_resize(np.repeat(gray, 3, axis=3)))


def test_the_file_gives_the_network_and_its_hash_the_name(
    net: InceptionNet, network: InceptionNetwork, file: Path
) -> None:
    images = np.random.default_rng(2).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    shares: list[float] = []
    net.batch_size = 2
    found = net.features(images, shares.append)
    with torch.inference_mode():
        expected = network((torch.from_numpy(clean_resize(images)) - 128) / 128)
    assert (found.shape, shares) == ((3, 2048), [0.0, 2 / 3])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4, rtol=1e-4)
    assert np.std(found, axis=0).max() > 1e-3
    assert net.name == f"inception-{sha256_hex(file.read_bytes())[:7]}"
    assert not net.is_published


def test_an_evaluation_has_its_distances_under_the_hash_and_warns_of_few_images(
    net: InceptionNet, study: Study
) -> None:
    few = dataset_from_arrays("few", study.fresh_images[:60], study.fresh_labels[:60], study.dataset.class_names)
    heard: list[str] = []
    report = evaluate(
        few,
        study.fresh_images[60:72],
        feature_net=study.net,
        runtime=study.runtime,
        progress=lambda phase, _share: heard.append(phase),
        inception=replace(net, side=75),  # the smallest that all layers take
    )
    fid, kid = report.metric("fid-clean"), report.metric("kid-clean")
    assert (fid.name, kid.name) == (f"fid-clean@{net.name}", f"kid-clean@{net.name}")
    assert (fid.n, fid.reference_n) == (12, len(few.train_indices))
    noise, copies = fid.control("noise"), fid.control("training_copies")
    assert noise is not None
    assert copies is not None
    assert max(fid.value, copies) < 0.5 * noise
    assert {f"Inception features, {side}" for side in ("generated", "training", "held_out", "noise")} <= set(heard)
    published, singular = report.warnings[-2:]
    assert "are not the published ones, whose sha256 begins with 6726825d" in published
    assert "with 12 images the covariance of 2,048 features is singular" in singular
    assert EvaluationReport.from_json(report.to_json()) == report
    assert report.inception_sha256 == net.sha256


def spoilt(kind: str) -> object:
    with torch.device("meta"):
        shapes = InceptionNetwork().state_dict()
    weights = {key: torch.zeros(()).expand(tensor.shape) for key, tensor in shapes.items()}  # four bytes each in a file
    name = "Mixed_5b.branch1x1.conv.weight"
    match kind:
        case "lacks":
            return {key: tensor for key, tensor in weights.items() if key != name}
        case "holds":
            return {**weights, "AuxLogits.fc.weight": torch.zeros(1)}
        case "shape":
            return {**weights, "fc.weight": torch.zeros(1000, 2048)}
        case "NaN":
            return {**weights, name: torch.full_like(weights[name], float("nan"))}
    return [1, 2]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("lacks", "it lacks Mixed_5b.branch1x1.conv.weight"),
        ("holds", "it also holds AuxLogits.fc.weight"),
        ("shape", r"fc.weight has shape \(1000, 2048\), not \(1008, 2048\)"),
        ("NaN", "Mixed_5b.branch1x1.conv.weight is not of finite float32 numbers"),
        ("list", "holds a list, no weights by their names"),
    ],
)
def test_another_network_is_refused_in_one_line(kind: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(spoilt(kind), path)
    with pytest.raises(DataError, match=message) as found:
        load_inception(path, Runtime())
    assert "\n" not in str(found.value)


class Stranger:
    """What no file of weights may hold."""


def test_files_that_are_no_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    with pytest.raises(DataError, match=r"other.pth cannot be read: No such file"):
        load_inception(path, Runtime())
    for content in (b"", b"no weights", b"PK\x03\x04 broken"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"other\.pth") as found:
            load_inception(path, Runtime())
        assert "\n" not in str(found.value)
    torch.save({"fc.weight": Stranger()}, path)
    with pytest.raises(DataError, match="is no file of weights: Weights only load failed"):
        load_inception(path, Runtime())
    with path.open("wb") as huge:
        huge.truncate(600_000_000)
    with pytest.raises(DataError, match="600,000,000 bytes: the weights of Inception have some 95 million"):
        load_inception(path, Runtime())
