import gzip
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import pytest

from imagemodels.data import DownloadFailed, load_dataset
from imagemodels.data.download import download_verified
from imagemodels.data.published import MNIST, PUBLICATIONS, published_files
from tests.imagemodels.data.pictures import write_idx_parts

CONTENT = gzip.compress(b"the published bytes" * 1000, mtime=0)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Mirror:
    """A real HTTP server on this machine, and what it was asked for."""

    address: str
    asked: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server calls
            served.asked.append(self.path)
            content = served.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            cut = len(content) // 2 if self.path.startswith("/truncated") else len(content)
            self.wfile.write(content[:cut])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named so by http.server
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Mirror(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_whole_file_arrives_under_its_name(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/file.gz"] = CONTENT
    target = download_verified([f"{mirror.address}/file.gz"], tmp_path / "new" / "file.gz", SHA256)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file.gz"]


def test_the_next_mirror_is_tried_after_a_missing_a_corrupted_and_a_truncated_file(
    tmp_path: Path, mirror: Mirror
) -> None:
    mirror.files["/corrupted"] = CONTENT[:-1] + b"?"
    mirror.files["/truncated"] = CONTENT
    mirror.files["/good"] = CONTENT
    paths = ["/absent", "/corrupted", "/truncated", "/good"]
    download_verified([mirror.address + path for path in paths], tmp_path / "file.gz", SHA256)
    assert mirror.asked == paths
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_when_no_mirror_delivers_each_reason_is_told_and_nothing_is_left(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["/corrupted"] = b"not it"
    mirror.files["/truncated"] = CONTENT
    urls = [mirror.address + path for path in ("/absent", "/corrupted", "/truncated")]
    with pytest.raises(DownloadFailed) as caught:
        download_verified([*urls, "http://127.0.0.1:9/refused"], tmp_path / "file.gz", SHA256)
    message = str(caught.value)
    assert "/absent: HTTP Error 404" in message
    assert f"/corrupted: wrong checksum: sha256 {hashlib.sha256(b'not it').hexdigest()}" in message
    assert f"/truncated: truncated: {len(CONTENT) // 2:,} of {len(CONTENT)} bytes" in message
    assert "refused" in message
    assert f"put it at {tmp_path / 'file.gz'}" in message
    assert list(tmp_path.iterdir()) == []


def test_published_files_are_fetched_once_and_then_taken_from_the_folder(tmp_path: Path, mirror: Mirror) -> None:
    source = write_idx_parts(tmp_path / "source")
    sums = {}
    for path in source.iterdir():
        mirror.files[f"/{path.name}"] = path.read_bytes()
        sums[path.name.removesuffix(".gz")] = hashlib.sha256(path.read_bytes()).hexdigest()
    publication = replace(MNIST, mirrors=(f"{mirror.address}/",), sha256=MappingProxyType(sums))
    target = tmp_path / "target"
    first = published_files(publication, target)
    assert {path.name for path in first.values()} == {path.name for path in source.iterdir()}
    assert published_files(publication, target) == first
    assert len(mirror.asked) == 4


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_files_in_the_root_are_read_without_a_network(tmp_path: Path, name: str) -> None:
    write_idx_parts(tmp_path / name, train=30, test=8, packed=name == "mnist")
    (tmp_path / name / "note.txt").write_text("other files do no harm")
    dataset = load_dataset(name, root=tmp_path, image_size=16)
    assert dataset.name == name
    assert dataset.class_names == PUBLICATIONS[name].class_names
    assert len(dataset.class_names) == 10
    assert len(dataset.test_indices) == 8


def test_every_publication_has_secure_mirrors_and_four_checksums() -> None:
    for publication in PUBLICATIONS.values():
        assert len(publication.mirrors) >= 2
        assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in publication.mirrors)
        assert len(set(publication.sha256.values())) == 4
        assert all(len(bytes.fromhex(checksum)) == 32 for checksum in publication.sha256.values())
