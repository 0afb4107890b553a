import errno
import hashlib
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from pixmill.errors import DiskFull, StorageError
from storage.atomic import (
    AtomicFile,
    HashingFile,
    sha256_file,
    write_atomic,
    write_json,
)
from tests.storage.samples import SizeLimit, leftover_files

KILLED_WRITER = """
import sys
from pathlib import Path
from storage.atomic import AtomicFile
file = AtomicFile(Path(sys.argv[1]))
file.stream.write(b"half")
print("written", flush=True)
sys.stdin.read()
"""


def test_bytes_and_a_writer_give_the_same_file_and_digest(tmp_path: Path) -> None:
    content = bytes(range(256)) * 400
    digests = {
        write_atomic(tmp_path / "deep" / "a", content),
        write_atomic(
            tmp_path / "deep" / "b",
            lambda file: [file.write(content[i : i + 1000]) for i in range(0, len(content), 1000)],
        ),
    }
    assert (
        {digest.sha256 for digest in digests}
        == {hashlib.sha256(content).hexdigest()}
        == {sha256_file(tmp_path / "deep" / "b")}
    )
    assert (tmp_path / "deep" / "a").read_bytes() == (tmp_path / "deep" / "b").read_bytes() == content
    assert {digest.size_bytes for digest in digests} == {len(content)}


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_atomic(path, b"old")

    def fail(file: BinaryIO) -> None:
        file.write(b"new, but not all of it")
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        write_atomic(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_size_limit_is_reported_as_a_full_disk_and_leaves_the_old_file(
    tmp_path: Path, file_size_limit: SizeLimit
) -> None:
    path = tmp_path / "weights"
    write_atomic(path, b"old")
    with file_size_limit(10_000), pytest.raises(DiskFull, match=r"weights.*MB free") as caught:
        write_atomic(path, bytes(50_000))
    assert caught.value.hint
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_found_even_when_only_the_last_flush_fails(tmp_path: Path, file_size_limit: SizeLimit) -> None:
    with file_size_limit(100), pytest.raises(DiskFull):
        write_atomic(tmp_path / "small", bytes(200))  # less than the buffer: write itself succeeds
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_even_if_the_writer_replaces_the_error(tmp_path: Path, file_size_limit: SizeLimit) -> None:
    def library_writer(file: BinaryIO) -> None:
        try:
            file.write(bytes(50_000))
        except OSError:
            raise RuntimeError("enforce fail at container.cc") from None

    with file_size_limit(10_000), pytest.raises(DiskFull):
        write_atomic(tmp_path / "weights", library_writer)
    assert list(tmp_path.iterdir()) == []


def test_the_kernels_no_space_error_is_kept() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        file = HashingFile(full)
        with pytest.raises(OSError, match="No space") as caught:
            file.write(b"x")
        file.close()
    assert file.failure is caught.value
    assert caught.value.errno == errno.ENOSPC
    assert file.size_bytes == 0


def test_an_error_of_the_writers_own_files_is_not_taken_for_ours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-source"):
        write_atomic(tmp_path / "copy", lambda _file: (tmp_path / "no-such-source").read_bytes())


def test_a_folder_in_the_place_of_the_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*taken"):
        write_atomic(tmp_path / "taken", b"x")
    assert leftover_files(tmp_path) == []


def test_the_stream_refuses_to_seek_so_that_the_hash_is_the_files(tmp_path: Path) -> None:
    with AtomicFile(tmp_path / "x") as file:
        assert file.stream.writable()
        assert not file.stream.seekable()
        file.stream.write(memoryview(b"abcd").cast("H"))
        assert file.stream.tell() == 4


def test_zip_archives_can_be_written_to_the_stream(tmp_path: Path) -> None:
    import zipfile

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.txt", "hello")

    digest = write_atomic(tmp_path / "a.zip", write)
    assert digest.sha256 == sha256_file(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("a.txt") == b"hello"


def test_a_killed_writer_leaves_no_final_name(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        writer.send_signal(signal.SIGKILL)
    assert not path.exists()
    assert len(leftover_files(tmp_path)) == 1
    write_atomic(path, b"the next attempt")
    assert path.read_bytes() == b"the next attempt"


def test_two_writers_of_one_name_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "x"
    first, second = AtomicFile(path), AtomicFile(path)
    first.stream.write(b"first")
    second.stream.write(b"second")
    second.publish()
    first.publish()
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_the_old_or_the_new_content_and_nothing_between(tmp_path: Path) -> None:
    path = tmp_path / "x"
    contents = [bytes([value]) * 100_000 for value in range(2)]
    write_atomic(path, contents[0])
    done = threading.Event()

    def replace() -> None:
        for turn in range(50):
            write_atomic(path, contents[turn % 2])
        done.set()

    writer = threading.Thread(target=replace)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_bytes())
    writer.join()
    assert seen <= set(contents)


def test_equal_values_give_equal_json(tmp_path: Path) -> None:
    digests = [write_json(tmp_path / "a", {"b": 1, "a": "é"}), write_json(tmp_path / "b", {"a": "é", "b": 1})]
    assert digests[0] == digests[1]
    assert json.loads((tmp_path / "a").read_text(encoding="utf-8")) == {"a": "é", "b": 1}
