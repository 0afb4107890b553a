"""Reading data sets from Python."""

import numpy as np
import pytest

from client import Client
from pixmill.errors import Conflict, CorruptFile, NotFound, UserError
from storage.shards import read_images
from tests.cli.world import World


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Files are the same with either database."""
    return sqlite_url


@pytest.fixture
def job_id(world: World) -> int:
    """A data set of 50 images in three shards."""
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    return world.generated(worker, model="digits-vae@1", n=50)


def test_the_manifest_has_a_row_for_each_image(pixmill: Client, job_id: int) -> None:
    output = pixmill.output(job_id)
    assert (output.kind, output.images_count, len(output.shards)) == ("generate", 50, 3)
    assert output.path is not None
    assert output.url == str(output.path)
    table = output.manifest()
    assert table.column("index").to_pylist() == list(range(50))
    assert table.column_names[:5] == ["index", "key", "seed", "label", "sha256"]
    assert [batch.num_rows for batch in output.batches()] == [20, 20, 10]
    ones = list(output.rows("class == one", "index < 6"))
    assert [row["index"] for row in ones] == [1, 3, 5]
    with pytest.raises(UserError, match="there is no class 'two'"):
        list(output.rows("class == two"))


def test_images_come_in_order_with_their_classes(pixmill: Client, job_id: int) -> None:
    output = pixmill.output(job_id)
    assert output.path is not None
    stored = np.concatenate([read_images(output.path, number)[0] for number in range(3)])
    for index, label, image in output.images():
        assert label == ("zero", "one")[index % 2]
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), stored[index, :, :, 0])
    assert index == 49
    chosen = [(index, label) for index, label, _image in output.images([45, 3, 20, 3])]
    assert chosen == [(3, "one"), (20, "zero"), (45, "one")]
    assert list(output.images([])) == []
    for unknown in (50, -1):
        with pytest.raises(NotFound, match=f"there is no image {unknown}"):
            list(output.images([0, unknown]))


def test_two_may_read_at_once(pixmill: Client, job_id: int) -> None:
    output = pixmill.output(job_id)
    both = zip(output.images(), output.images(), strict=True)
    assert all(first[0] == second[0] for first, second in both)


def test_what_was_changed_is_told(pixmill: Client, job_id: int) -> None:
    output = pixmill.output(job_id)
    assert output.path is not None
    assert output.verify().is_intact
    tar = output.path / output.shards[1].tar
    content = bytearray(tar.read_bytes())
    content[600] ^= 1
    tar.unlink()
    tar.write_bytes(content)
    report = output.verify()
    assert (report.is_intact, report.images) == (False, 50)
    assert next(output.images([0]))[0] == 0
    with pytest.raises(CorruptFile, match="image 20 has changed"):
        list(output.images([20]))


def test_what_is_not_complete_or_makes_nothing_has_no_output(pixmill: Client, world: World) -> None:
    trained = world.trained(world.worker(), name="digits-vae")
    with pytest.raises(NotFound, match="makes no output"):
        pixmill.output(trained)
    with pytest.raises(Conflict, match="not complete"):
        pixmill.output(pixmill.generate("digits-vae", 40))
