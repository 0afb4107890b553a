"""Images by number: the very bytes, of any format, and nothing but images."""

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from client.gallery import Found, Gallery
from client.outputs import Output
from client.workspace import Workspace
from pixmill.errors import NotFound
from storage.encoders import find_encoder
from storage.shards import ImageBatch, ShardMeta, read_images, read_rows, write_shard
from tests.server.standing import GENERATE, Dashboard


def test_an_image_is_sent_as_it_is_stored(dashboard: Dashboard, standing_home: Path) -> None:
    rows = read_rows(standing_home / "outputs" / str(GENERATE), 1)
    answer = dashboard.get(f"/outputs/{GENERATE}/images/27")
    assert hashlib.sha256(answer.content).digest() == rows[7].sha256
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    again = dashboard.get(f"/outputs/{GENERATE}/images/27", **{"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_pages_of_images_follow_one_another(dashboard: Dashboard) -> None:
    def shown(query: str) -> list[int]:
        return [
            int(text) for text in re.findall(r'src="/outputs/2/images/(\d+)"', dashboard.page(f"/outputs/2{query}"))
        ]

    assert shown("") == list(range(40))
    assert shown("?n=15") == list(range(15))
    page = dashboard.page("/outputs/2?n=15")
    assert 'href="/outputs/2?from=15&amp;n=15"' in page
    assert shown("?from=35&n=15") == [35, 36, 37, 38, 39]
    assert shown("?label=one") == list(range(1, 40, 2))
    assert shown("?label=1&from=10&n=2") == [11, 13]
    assert 'href="/outputs/2?from=15&amp;label=one&amp;n=2"' in dashboard.page("/outputs/2?label=one&from=11&n=2")
    assert "There is no such image" in dashboard.page("/outputs/2?from=4000")


def test_an_image_has_its_row_and_the_command_that_makes_it_again(dashboard: Dashboard) -> None:
    page = dashboard.page(f"/outputs/{GENERATE}/27")
    assert "pixmill output regenerate 2 --index 27 --to image.png" in page
    assert "<dd>one (label 1)</dd>" in page
    assert "shard-000001.tar, byte " in page
    assert 'href="/outputs/2/26"' in page
    assert 'href="/outputs/2/28"' in page
    assert dashboard.get("/outputs/2/40").status_code == 404


def test_the_contact_sheet_is_there(dashboard: Dashboard) -> None:
    answer = dashboard.get(f"/outputs/{GENERATE}/contact-sheet.png")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")


def test_an_image_whose_bytes_have_changed_is_not_shown(dashboard: Dashboard, standing_home: Path) -> None:
    archive = standing_home / "outputs" / str(GENERATE) / "shard-000000.tar"
    row = read_rows(archive.parent, 0)[3]
    whole = archive.read_bytes()
    broken = bytearray(whole)
    broken[row.offset + 20] ^= 1
    archive.write_bytes(broken)
    try:
        answer = dashboard.get(f"/outputs/{GENERATE}/images/3")
        assert (answer.status_code, "has changed" in answer.text) == (500, True)
    finally:
        archive.write_bytes(whole)


@pytest.mark.parametrize(
    ("format_name", "encoder", "media_type"),
    [
        ("raw", "png", "image/png"),
        ("files", "webp", "image/webp"),
        ("parquet", "jpeg", "image/jpeg"),
        ("webdataset", "png-small", "image/png"),
    ],
)
def test_images_of_every_format_can_be_looked_at(
    tmp_path: Path, format_name: str, encoder: str, media_type: str
) -> None:
    images = np.random.default_rng(1).integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)
    batch = ImageBatch(first_index=0, images=images, seeds=np.arange(6), labels=np.arange(6) % 2)
    meta = ShardMeta(checkpoint_sha256="d" * 64, precision="fp32", seed=0, class_names=("a", "b"), label_files=False)
    written = write_shard(
        tmp_path, 0, [batch], meta, encoder=find_encoder(encoder), format_name=format_name, expected_count=6
    )
    workspace = Workspace()
    told: dict[str, Any] = {"kind": "generate", "name": "seven", "spec": {}, "result": {"images": 6}}
    found = Found(Output(job_id=7, place=tmp_path, workspace=workspace, **told), [written])
    gallery = Gallery(workspace)
    picture = gallery.picture(found, 4)
    assert picture.media_type == media_type
    with Image.open(io.BytesIO(picture.content)) as opened:
        pixels = np.asarray(opened.convert("L"))[..., None]
    assert np.array_equal(pixels, read_images(tmp_path, 0, start=4, count=1)[0][0][..., :1]) or encoder == "jpeg"
    assert [row.index for row in gallery.rows(found, 1, 10, 1)] == [1, 3, 5]
    with pytest.raises(NotFound, match="output 7 has no image 6"):
        gallery.picture(found, 6)
