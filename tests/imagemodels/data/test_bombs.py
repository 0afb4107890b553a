"""Files made to cost more than they are: each is refused in a line, before memory or time is spent on it."""

import bz2
import gzip
import io
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from imagemodels.data import BadImage, archive_files, load_dataset, tar_files, tar_reading, webdataset
from imagemodels.data.decoding import decode_bytes, decode_whole
from tests.imagemodels.data.test_archives import write_tar

NAME = b"a.png"


def header(size: bytes = b"00000000010\0", kind: bytes = b"0", name: bytes = NAME) -> bytes:
    """One block of a tar, with its checksum."""
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size + b"00000000000\0" + b" " * 8 + kind
    block = block.ljust(257, b"\0") + b"ustar\x0000"
    block = block.ljust(512, b"\0")
    return block[:148] + f"{sum(block):06o}\0 ".encode() + block[156:]


def base256(number: int) -> bytes:
    return (b"\x80" if number >= 0 else b"\xff") + (number % 2**88).to_bytes(11, "big")


HEADERS = {
    "a size below nought": header(base256(-512)),
    "a long name of an exabyte": header(base256(2**60), b"L"),
    "facts of an exabyte": header(base256(2**60), b"x"),
    "facts of the whole archive": header(base256(2**60), b"g"),
    "a link of an exabyte": header(base256(2**60), b"K"),
    "facts about facts about facts": header(b"00000000000\0", b"x") * 3000,
    "facts that are none": header(b"00000000020\0", b"x") + b"99 \0path=\xff\xfe".ljust(512, b"x"),
    "a sparse map that is none": header(b"00000000010\0", b"S"),
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS.keys())
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_header_of_a_tar_is_not_believed(tmp_path: Path, content: bytes, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(pack(content + bytes(1024)))
    began = time.monotonic()
    with pytest.raises(BadImage) as caught:
        load_dataset(f"tar:{path}", image_size=16)
    assert str(path) in str(caught.value)
    assert time.monotonic() - began < 5.0


def test_a_compressed_tar_is_not_unpacked_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_reading, "MAX_UNPACKED_BYTES", 10_000_000)
    before_the_end, after_it = header(base256(10**15)), bytes(1024)
    for number, content in enumerate((before_the_end + bytes(10**6), after_it + bytes(2 * 10**7))):
        path = tmp_path / f"{number}.tar.bz2"
        path.write_bytes(bz2.compress(content))
        with pytest.raises(BadImage, match="unpacked it has more than 10,000,000 bytes"):
            load_dataset(f"tar:{path}", image_size=16)


def test_a_tar_of_too_many_members_or_of_holes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_reading, "MAX_MEMBERS", 10)
    place = write_tar(tmp_path / "a.tar", {f"{number}.txt": b"" for number in range(11)})
    with pytest.raises(BadImage, match="more than 10 members"):
        load_dataset(place, image_size=16)
    monkeypatch.setattr(tar_files, "MAX_SPARSE_BYTES", 1000)
    sparse = bytearray(header(b"00000000000\0", b"S"))
    sparse[386:410] = b"00000000000\0" * 2
    sparse[483:495] = b"00000200000\0"
    sparse[148:156] = b" " * 8
    sparse[148:156] = f"{sum(sparse):06o}\0 ".encode()
    path = tmp_path / "b.tar"
    path.write_bytes(bytes(sparse) + bytes(1024))
    with pytest.raises(BadImage, match="sparse file of 65,536 bytes"):
        load_dataset(f"tar:{path}", image_size=16)


def test_a_zip_that_unpacks_to_more_than_its_images_can_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_files, "PLAIN_BYTES", 100_000)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.ppm", b"P6 4000 4000 255\n" + bytes(10**6))
    with pytest.raises(BadImage, match=r"a.ppm: too large: [0-9,]+ bytes that unpack to 1,000,017"):
        load_dataset(f"zip:{path}", image_size=16)
    monkeypatch.setattr(archive_files, "MAX_LISTING_BYTES", 20)
    with pytest.raises(BadImage, match="its list of members has"):
        load_dataset(f"zip:{path}", image_size=16)


def test_a_zip_with_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ä.png", b"x")
    path.write_bytes(path.read_bytes().replace("ä".encode(), b"\xff\xfe"))
    with pytest.raises(BadImage, match="damaged or truncated archive"):
        load_dataset(f"zip:{path}", image_size=16)


def test_the_table_beside_a_shard_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = io.BytesIO()
    Image.new("L", (16, 16)).save(image, "PNG")
    place = write_tar(tmp_path / "a.tar", {"a.png": image.getvalue(), "b.png": image.getvalue(), "b.json": b"[" * 9000})
    table = {"key": ["a", "b"], "label": [0, 1]}
    for other in ({"key": [1, 2], "label": [0, 1]}, {"key": ["a", "b"], "label": ["x", "y"]}):
        pq.write_table(pa.table(other), tmp_path / "a.parquet")
        assert load_dataset(place).labels is None
    for names in (b"{}", b"[" * 9000, b"7"):
        pq.write_table(pa.table(table).replace_schema_metadata({b"pixmill.class_names": names}), tmp_path / "a.parquet")
        with pytest.raises(BadImage, match="the table of the shard cannot be read"):
            load_dataset(place)
    monkeypatch.setattr(webdataset, "MAX_TABLE_ROWS", 1)
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(BadImage, match="it has 2 rows"):
        load_dataset(place)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *extra: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + pixels + chunk(b"IEND", b"")


def tiff(width: int, height: int) -> bytes:
    """Of one bit a pixel, which fits many of them into nothing."""
    entries = ((256, 4, width), (257, 4, height), (258, 3, 1), (259, 3, 1), (262, 3, 0), (273, 4, 8), (279, 4, 8))
    fields = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + fields + bytes(4)


def saved(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, kind, **options)
    return file.getvalue()


BOMBS = {
    "a PNG of 10^10 pixels": png(100_000, 100_000),
    "a PNG of most pixels": png(2**31 - 1, 2**31 - 1),
    "a TIFF of 10^12 pixels": tiff(10**6, 10**6),
    "a PNG with less than it says": png(7000, 7000),
    "text that unpacks to 100 MB": png(16, 16, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))),
    "a profile that unpacks to 100 MB": png(16, 16, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8)))),
    "EPS, which runs a program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\nquit\n",
    "a GIF that is cut off": saved("GIF")[:30],
    "PSD, which nobody asked for": b"8BPS\0\x01" + bytes(100),
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS.keys())
def test_an_image_that_is_a_bomb_is_a_bad_image_at_once(content: bytes) -> None:
    began = time.monotonic()
    with suppress(BadImage):
        assert decode_bytes(content, 16, 3).shape == (16, 16, 3), "what is beside the pixels is left out"
    with suppress(BadImage):
        assert decode_whole(content, 3).shape == (16, 16, 3)
    assert time.monotonic() - began < 5.0


def test_names_say_nothing_about_formats(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, content in enumerate(BOMBS.values()):
        (folder / f"{number}.png").write_bytes(content)
    (folder / "good.png").write_bytes(saved("PNG"))
    found = load_dataset(f"folder:{folder}", image_size=16, on_bad_image="skip")
    assert len(found) + len(found.bad_images) == len(BOMBS) + 1
    assert any("known format" in reason for _name, reason in found.bad_images)


def test_what_stands_in_exif_and_profiles_is_never_run_or_believed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 99  # an orientation that does not exist
    exif[0x010E] = "\x1b[2J" * 1000
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        content = saved(kind, exif=exif.tobytes(), icc_profile=b"\xff" * 3000)
        assert decode_bytes(content, 16, 3).shape == (16, 16, 3)
        assert np.array_equal(decode_whole(content, 3), decode_bytes(content, 16, 3))


def test_of_an_animation_the_first_frame_alone_is_decoded() -> None:
    frames = [Image.new("L", (16, 16), number % 256) for number in range(300)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert decode_bytes(file.getvalue(), 16, 1).max() == 0


def test_a_member_of_a_tar_that_is_a_device_or_a_link_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    image = saved("PNG")
    with tarfile.open(path, "w") as archive:
        for number, kind in enumerate((tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)):
            entry = tarfile.TarInfo(f"{number}.png")
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        entry = tarfile.TarInfo("good.png")
        entry.size = len(image)
        archive.addfile(entry, io.BytesIO(image))
    assert len(load_dataset(f"tar:{path}")) == 1
