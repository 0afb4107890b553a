import hashlib
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from pixmill.errors import CorruptFile, StorageError
from storage.png import ENCODER, MAX_PIXELS, ZLIB_ENCODER, Encoder, Images, decode_png, encode_batch
from tests.storage.samples import random_images

ENCODERS = pytest.mark.parametrize("encoder", [ENCODER, ZLIB_ENCODER], ids=["default", "zlib"])


@st.composite
def image_batches(draw: st.DrawFn) -> Images:
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 70)), draw(st.integers(1, 70)), draw(st.sampled_from([1, 3])))
    kind = draw(st.sampled_from(["noise", "flat", "sparse"]))
    if kind == "sparse":
        sparse: Images = draw(hnp.arrays(np.uint8, shape, fill=st.integers(0, 255)))
        return sparse
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256 if kind == "noise" else 2, shape, dtype=np.uint8)


@ENCODERS
@given(images=image_batches())
@settings(max_examples=60, deadline=None)
def test_pillow_decodes_every_file_to_the_same_pixels(encoder: Encoder, images: Images) -> None:
    for image, file in zip(images, encode_batch(images, encoder), strict=True):
        with Image.open(BytesIO(file)) as opened:
            assert opened.mode == ("L" if images.shape[3] == 1 else "RGB")
            opened.verify()  # chunk checksums
        np.testing.assert_array_equal(decode_png(file), image)


@ENCODERS
def test_the_bytes_of_a_file_do_not_depend_on_its_neighbours(encoder: Encoder) -> None:
    images = random_images(40, 33, 50, 3)  # more than one block of the filter
    assert encode_batch(images, encoder) == [encode_batch(images[i : i + 1], encoder)[0] for i in range(40)]


@ENCODERS
def test_the_layout_in_memory_does_not_matter(encoder: Encoder) -> None:
    images = random_images(3, 9, 11, 3)
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    assert encode_batch(planes, encoder) == encode_batch(images, encoder)


def test_isal_is_the_default_where_it_is_installed() -> None:
    import isal

    assert ENCODER.name == "png-up-isal"
    assert ENCODER.version.endswith(isal.__version__)
    assert ZLIB_ENCODER.version.endswith(zlib.ZLIB_RUNTIME_VERSION)


def test_another_version_names_every_change_of_bytes() -> None:
    rng = np.random.default_rng(1)
    images = np.concatenate([random_images(1, 40, 24, 3), rng.integers(0, 256, (1, 40, 24, 3), dtype=np.uint8)])
    known = {
        "2+isal-1.9.1": "e76af5c3e2540ea9bd204822452e68e20760bd02a08d000fc090d1aac1403586",
        "2+zlib-1.2.13": "75d82e65b9233c224f57230a4191c1337a7c263200080950af1f3dea4799a3e3",
    }
    for encoder in (ENCODER, ZLIB_ENCODER):
        digest = hashlib.sha256(b"".join(encode_batch(images, encoder))).hexdigest()
        assert digest == known.get(encoder.version, digest), f"other bytes: {encoder.name} needs another version"


@ENCODERS
@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 64, 3), (190, 150, 3), (256, 256, 3)])  # some, of several blocks
def test_noise_is_stored_as_it_is_and_what_can_be_deflated_is_deflated(
    encoder: Encoder, shape: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 256, (4, *shape), dtype=np.uint8)
    faint = (128 + rng.normal(0, 5, (4, *shape))).astype(np.uint8)
    raw_bytes = shape[0] * (1 + shape[1] * shape[2])
    for image, file in zip(noise, encode_batch(noise, encoder), strict=True):
        blocks = -(-raw_bytes // 65535)
        assert len(file) == raw_bytes + 57 + 6 + 5 * blocks  # chunks of PNG, frame of zlib, heads of blocks
        np.testing.assert_array_equal(decode_png(file), image)
    assert all(len(file) < 0.9 * raw_bytes for file in encode_batch(faint, encoder))


def test_smooth_images_are_compressed() -> None:
    gradient = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None], (2, 64, 64, 3))
    assert all(len(file) < 64 * 64 for file in encode_batch(gradient))


def test_no_images_give_no_files() -> None:
    assert encode_batch(np.empty((0, 8, 8, 3), np.uint8)) == []


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 8, 8, 3)),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 4), np.uint8),
        np.zeros((1, 0, 8, 3), np.uint8),
    ],
    ids=["float", "three axes", "four channels", "no rows"],
)
def test_another_type_or_shape_is_refused_by_name(images: npt.NDArray[Any]) -> None:
    with pytest.raises(StorageError, match="cannot store images of type") as caught:
        encode_batch(images)
    assert str(images.shape) in caught.value.message


def test_an_image_bomb_is_refused_before_it_is_unpacked() -> None:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    assert MAX_PIXELS < 60_000**2
    with pytest.raises(CorruptFile, match="60000 × 60000 pixels"):
        decode_png(bomb)


def test_other_modes_than_gray_and_rgb_are_refused() -> None:
    buffer = BytesIO()
    Image.new("RGBA", (4, 4)).save(buffer, "PNG")
    with pytest.raises(CorruptFile, match="mode RGBA"):
        decode_png(buffer.getvalue())


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_refused_or_decoded_but_never_breaks_the_reader(data: st.DataObject) -> None:
    file = bytearray(encode_batch(random_images(1, 12, 12, 3))[0])
    for _ in range(data.draw(st.integers(1, 3))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(file)))
    for damaged in (bytes(file), bytes(file[:cut])):
        try:
            assert decode_png(damaged).dtype == np.uint8
        except CorruptFile:
            continue
