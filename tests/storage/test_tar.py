import tarfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmill.errors import StorageError
from storage.tar import BLOCK_BYTES, MAX_PAYLOAD_BYTES, RECORD_BYTES, TarWriter, member_header

MEMBERS = st.lists(
    st.tuples(st.from_regex(r"[a-z0-9_./-]{1,40}[a-z0-9]", fullmatch=True), st.binary(max_size=1500)),
    max_size=12,
    unique_by=lambda member: member[0],
)


def written(members: list[tuple[str, bytes]]) -> tuple[bytes, list[int]]:
    stream = BytesIO()
    writer = TarWriter(stream)
    half = len(members) // 2
    offsets = []
    for part in (members[:half], members[half:]):
        offsets += writer.add([name for name, _ in part], [payload for _, payload in part])
    writer.finish()
    assert writer.size_bytes == len(stream.getvalue())
    return stream.getvalue(), offsets


@given(MEMBERS)
def test_the_standard_library_reads_names_payloads_and_offsets_back(members: list[tuple[str, bytes]]) -> None:
    archive, offsets = written(members)
    with tarfile.open(fileobj=BytesIO(archive), mode="r:") as opened:
        infos = opened.getmembers()
        assert [info.name for info in infos] == [name.removesuffix("/") for name, _ in members]
        assert [info.offset_data for info in infos] == offsets
        for info, offset, (_, payload) in zip(infos, offsets, members, strict=True):
            extracted = opened.extractfile(info)
            assert extracted is not None
            assert extracted.read() == payload == archive[offset : offset + len(payload)]


def test_times_and_owners_are_zero_and_the_file_is_a_plain_one_that_all_may_read() -> None:
    archive, _ = written([("000000001.png", b"x" * 700)])
    with tarfile.open(fileobj=BytesIO(archive)) as opened:
        (info,) = opened.getmembers()
    assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")
    assert info.mode == 0o644
    assert info.isfile()


def test_a_header_equals_that_of_the_standard_library() -> None:
    info = tarfile.TarInfo("000012345.png")
    info.size = 54_321
    theirs = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    ours = bytearray(member_header(info.name, info.size))
    # The library writes device numbers as octal zeros, we leave them empty, as POSIX allows for a regular file.
    for header in (theirs, ours):
        header[329:345] = bytes(16)
        header[148:156] = bytes(8)
    assert ours == theirs


@pytest.mark.parametrize("count", [0, 1, 9, 18, 19, 20, 40])
def test_an_archive_ends_with_two_zero_blocks_on_a_whole_record(count: int) -> None:
    archive, _ = written([(f"{index}", b"") for index in range(count)])
    assert len(archive) % RECORD_BYTES == 0
    assert len(archive) - count * BLOCK_BYTES >= 2 * BLOCK_BYTES
    assert not any(archive[count * BLOCK_BYTES :])


@pytest.mark.parametrize("name", ["", "é.png", "x" * 101])
def test_a_name_that_ustar_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(StorageError, match="cannot name a member"):
        member_header(name, 1)


def test_a_payload_of_eight_gibibytes_is_refused() -> None:
    assert b"77777777777" in member_header("big", MAX_PAYLOAD_BYTES)
    with pytest.raises(StorageError, match=r"8,589,934,592 bytes"):
        member_header("big", MAX_PAYLOAD_BYTES + 1)
