import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from imagemodels.data import BadImage, ImageDataset, PackedStore, load_dataset
from imagemodels.data.picture_files import FolderFiles, tell_nobody
from imagemodels.data.split import content_split
from tests.imagemodels.data.pictures import write_class_folders, write_picture

REPOSITORY = Path(__file__).parents[3]
SIDE = 96  # pixels of the images that are read; the files hold 8 × 8
RAW_BYTES = SIDE * SIDE * 3
FEW, MANY = 100, 2000


@pytest.fixture
def store(tmp_path: Path) -> PackedStore:
    return PackedStore(tmp_path / "store", above_bytes=1000)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return write_class_folders(tmp_path / "pets", {"cat": 12, "dog": 11})


def read(folder: Path, store: PackedStore | None = None, told: list[str] | None = None) -> ImageDataset:
    heard = told if told is not None else []
    return load_dataset(
        f"folder:{folder}", image_size=8, packed=store, progress=lambda phase, _share: heard.append(phase)
    )


def packs(store: PackedStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir() if path.name != "sources")


def assert_same(one: ImageDataset, other: ImageDataset) -> None:
    assert one.describe() == other.describe()
    for name in ("images", "labels", "train_indices", "test_indices"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.bad_images == other.bad_images


def test_packed_images_are_those_in_memory_and_are_decoded_once(pets: Path, store: PackedStore) -> None:
    plain, first, told = read(pets), read(pets, store), list[str]()
    second = read(pets, store, told)
    assert (plain.is_packed, first.is_packed, second.is_packed) == (False, True, True)
    assert_same(first, plain)
    assert_same(second, plain)
    assert packs(store) == [plain.fingerprint]
    assert "checking the packed images" in told
    assert "decoding" not in told
    pixels = (store.folder / plain.fingerprint / "pixels.u8").read_bytes()
    assert hashlib.sha256(pixels).digest() == hashlib.sha256(plain.images.tobytes()).digest()


def test_small_data_sets_stay_in_memory(pets: Path, tmp_path: Path) -> None:
    store = PackedStore(tmp_path / "store", above_bytes=23 * 8 * 8 * 3)
    assert not load_dataset(f"folder:{pets}", packed=store, image_size=8, channels=3).is_packed
    assert not store.folder.exists()
    assert load_dataset(f"folder:{pets}", packed=store, image_size=9, channels=3).is_packed


def test_a_data_set_that_turns_out_to_be_small_is_looked_through_once(pets: Path, tmp_path: Path) -> None:
    store, told = PackedStore(tmp_path / "store", above_bytes=23 * 20 * 20 * 3), list[tuple[str, float]]()
    found = load_dataset(f"folder:{pets}", packed=store, progress=lambda phase, share: told.append((phase, share)))
    assert not found.is_packed
    assert told.count(("reading headers", 0.0)) == 1


class EnoughHeard(Exception):
    """Ends a reading."""


def test_listing_and_comparing_many_files_is_told_of(many_files: Path, tmp_path: Path) -> None:
    """Otherwise a job would be taken for dead on a slow file system: whoever listens can also end it there."""

    def told_of(place: str) -> list[tuple[str, float]]:
        told: list[tuple[str, float]] = []

        def stop(phase: str, share: float) -> None:
            told.append((phase, share))
            if phase not in ("listing the files", "looking for changes"):
                raise EnoughHeard

        with pytest.raises(EnoughHeard):
            load_dataset(place, packed=PackedStore(tmp_path / "store", above_bytes=1000), progress=stop)
        return told

    told = told_of(f"folder:{many_files / 'many'}")
    assert sum(phase == "listing the files" for phase, _share in told) >= MANY // 64
    assert [share for phase, share in told if phase == "looking for changes"] == [n / MANY for n in range(0, MANY, 64)]
    with tarfile.open(tmp_path / "many.tar", "w") as tar:
        tar.add(many_files / "half", "half")
    told = told_of(f"tar:{tmp_path / 'many.tar'}")
    assert sum(phase == "listing the files" for phase, _share in told) >= MANY // 4 // 64


def test_what_the_reader_writes_never_reaches_the_file(pets: Path, store: PackedStore) -> None:
    dataset = read(pets, store)
    dataset.images[:] = 7
    assert_same(read(pets, store), read(pets))


def test_bad_images_are_remembered(pets: Path, store: PackedStore) -> None:
    (pets / "cat" / "bad.png").write_bytes(b"no picture")

    def skipping(packed: PackedStore | None) -> ImageDataset:
        return load_dataset(f"folder:{pets}", image_size=8, packed=packed, on_bad_image="skip")

    assert_same(skipping(store), skipping(None))
    assert_same(skipping(store), skipping(None))
    with pytest.raises(BadImage, match="1 of 24 images"):
        read(pets, store)
    assert [name for name in packs(store) if name.startswith(".")] == [], "what fails leaves nothing half made"


@pytest.mark.parametrize("act", ["changed", "added", "removed", "renamed"])
def test_a_source_that_changed_is_read_again_and_what_was_packed_of_it_goes(
    pets: Path, store: PackedStore, act: str
) -> None:
    before = read(pets, store)
    file = pets / "cat" / "003.png"
    status = file.stat()
    match act:
        case "changed":  # as slyly as a program can: size and time of writing are the old ones
            file.write_bytes((pets / "cat" / "004.png").read_bytes().ljust(status.st_size, b"\0")[: status.st_size])
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "added":
            write_picture(pets / "dog" / "new.png", 99)
        case "removed":
            file.unlink()
        case "renamed":
            file.rename(pets / "dog" / "003b.png")
    after = load_dataset(f"folder:{pets}", image_size=8, packed=store, on_bad_image="skip")
    fresh = load_dataset(f"folder:{pets}", image_size=8, on_bad_image="skip")
    assert after.fingerprint == fresh.fingerprint != before.fingerprint
    assert_same(after, fresh)


def test_what_no_source_has_any_more_is_removed_and_what_another_has_is_kept(
    pets: Path, store: PackedStore, tmp_path: Path
) -> None:
    shutil.copytree(pets, tmp_path / "copy")
    first = read(pets, store)
    pixels = hashlib.sha256(read(pets).images.tobytes()).hexdigest()
    assert read(tmp_path / "copy", store).fingerprint == first.fingerprint
    write_picture(pets / "dog" / "new.png", 99)
    second = read(pets, store)
    assert packs(store) == sorted([first.fingerprint, second.fingerprint])
    write_picture(tmp_path / "copy" / "dog" / "new.png", 99)
    read(tmp_path / "copy", store)
    assert packs(store) == [second.fingerprint]
    assert hashlib.sha256(first.images.tobytes()).hexdigest() == pixels, "who reads it at present keeps it"


def test_what_was_packed_of_a_source_that_is_gone_goes_when_another_is_packed(
    pets: Path, store: PackedStore, tmp_path: Path
) -> None:
    shutil.copytree(pets, tmp_path / "twin")
    other = write_class_folders(tmp_path / "other", {"cat": 6})
    kept, _twin, gone = read(pets, store), read(tmp_path / "twin", store), read(other, store)
    shutil.rmtree(other)
    shutil.rmtree(tmp_path / "twin")
    assert packs(store) == sorted([kept.fingerprint, gone.fingerprint])
    third = read(write_class_folders(tmp_path / "third", {"dog": 7}), store)
    assert packs(store) == sorted([kept.fingerprint, third.fingerprint]), "the twin of what is there stays"
    assert len(list((store.folder / "sources").glob("*.json"))) == 2
    told: list[str] = []
    read(pets, store, told)
    assert "decoding" not in told


def test_what_is_read_again_is_compared_by_its_bytes(pets: Path, store: PackedStore) -> None:
    before = read(pets, store)
    (record,) = (store.folder / "sources").glob("*.json")
    write_picture(pets / "cat" / "003.png", 99)
    stamp = FolderFiles(pets, tell_nobody).stamp()
    record.write_text(json.dumps({**json.loads(record.read_text()), "stamp": stamp}))  # a disk that turns bytes over
    assert read(pets, store).fingerprint == before.fingerprint, "the stamp does not tell"
    after = read(pets, PackedStore(store.folder, store.above_bytes, again=True))
    assert after.fingerprint != before.fingerprint
    assert packs(store) == [after.fingerprint]
    assert_same(read(pets, store), read(pets))


@pytest.mark.parametrize("file", ["pixels.u8", "labels.npy", "held_out.npy", "packed.json"])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_a_damaged_pack_is_made_again(pets: Path, store: PackedStore, file: str, how: str) -> None:
    fresh = read(pets, store)
    path = store.folder / fresh.fingerprint / file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(bytes(content) if how == "flipped" else bytes(content[:-1]))
    told: list[str] = []
    assert_same(read(pets, store, told), read(pets))
    assert "decoding" in told
    assert_same(read(pets, store), read(pets))


def test_a_record_that_leads_elsewhere_is_not_followed(pets: Path, store: PackedStore) -> None:
    read(pets, store)
    (record,) = (store.folder / "sources").glob("*.json")
    values = json.loads(record.read_text())
    shutil.copytree(store.folder / values["fingerprint"], store.folder.parent / "elsewhere")
    record.write_text(json.dumps({**values, "fingerprint": "../elsewhere"}))
    assert_same(read(pets, store), read(pets))
    assert (store.folder.parent / "elsewhere").is_dir()


def test_of_two_readers_one_decodes_and_the_other_waits(pets: Path, store: PackedStore) -> None:
    inside, may_end = threading.Event(), threading.Event()
    found: list[ImageDataset] = []

    def hold(phase: str, _share: float) -> None:
        if phase == "decoding":
            inside.set()
            may_end.wait(60)

    def first() -> None:
        found.append(load_dataset(f"folder:{pets}", image_size=8, packed=store, progress=hold))

    def second(phase: str, _share: float) -> None:
        told.append(phase)
        may_end.set()

    told: list[str] = []
    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(60)
    found.append(load_dataset(f"folder:{pets}", image_size=8, packed=store, progress=second))
    thread.join(60)
    assert_same(*found)
    assert "waiting for another reader" in told
    assert "decoding" not in told


def test_where_there_is_no_room_nothing_is_begun(store: PackedStore) -> None:
    reading = store.reading("folder:/a", "stamp", {}, lambda _phase, _share: None)
    with reading as source, pytest.raises(OSError, match=r"1,000,000,000,000 decoded images take 192000\.0 GB"):
        source.begin(10**12, (8, 8, 3))
    assert packs(store) == []


@pytest.fixture(scope="module")
def many_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some thousand tiny files, and folders of some of them."""
    root = tmp_path_factory.mktemp("many")
    for number in range(MANY):
        path = write_picture(root / "many" / str(number % 10) / f"{number}.png", number, (8, 8))
        for name, count in (("few", FEW), ("half", MANY // 4)):
            if number < count:
                (root / name / str(number % 10)).mkdir(parents=True, exist_ok=True)
                os.link(path, root / name / str(number % 10) / path.name)
    return root


READ = """
import sys
from pathlib import Path
from imagemodels.data import PackedStore, load_dataset
folder, packed, size = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = PackedStore(Path(packed), above_bytes=1000) if packed else None
data = load_dataset(f"folder:{folder}", image_size=size, channels=3, packed=store)
assert data.is_packed == bool(packed)
"""
TELL = """
print(next(line for line in open("/proc/self/status") if line.startswith(NAME)).split()[1])
"""
STREAM = """
import torch
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.stream import ImageStream
torch.set_num_threads(1)
def anonymous():
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1])
rows = torch.from_numpy(data.train_indices)
config = TrainConfig(preset="vae", image_size=size, channels=3, images=1000, batch_size=32)
images = torch.from_numpy(data.images).permute(0, 3, 1, 2)
ImageStream(config, images, None, Runtime(), rows[:64]).batch(0)
before, most = anonymous(), 0
stream = ImageStream(config, images, None, Runtime(), rows)
for step in range(len(rows) // 32):
    stream.batch(step)
    most = max(most, anonymous())
print(most - before)
"""


def child(program: str, folder: Path, packed: Path | str) -> int:
    """What a program in a process of its own prints last, in bytes."""
    command = [sys.executable, "-c", program, str(folder), str(packed), str(SIDE)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True)
    return 1024 * int(done.stdout.split()[-1])


KILLED = """
import os, sys
from pathlib import Path
from imagemodels.data import PackedStore, load_dataset
def die_half_way(phase, share):
    if phase == "decoding" and share > 0.5:
        os.kill(os.getpid(), 9)
store = PackedStore(Path(sys.argv[2]), above_bytes=1000)
load_dataset(f"folder:{sys.argv[1]}", image_size=96, channels=3, packed=store, progress=die_half_way)
"""


def test_a_reader_that_was_killed_half_way_leaves_nothing_that_counts(many_files: Path, store: PackedStore) -> None:
    folder = many_files / "half"
    command = [sys.executable, "-c", KILLED, str(folder), str(store.folder)]
    done = subprocess.run(command, cwd=REPOSITORY, timeout=120, check=False)
    assert done.returncode == -9
    (left,) = packs(store)
    assert left.startswith(".packing-")
    assert (store.folder / left / "pixels.u8").stat().st_size > 0
    fresh = load_dataset(f"folder:{folder}", image_size=96, channels=3, packed=store)
    assert_same(fresh, load_dataset(f"folder:{folder}", image_size=96, channels=3))
    assert packs(store) == [fresh.fingerprint]


def test_memory_stays_flat_however_many_files_are_packed(many_files: Path, tmp_path: Path) -> None:
    peak = READ + f"NAME = 'VmHWM'{TELL}"
    few = child(peak, many_files / "few", tmp_path / "few")
    many = child(peak, many_files / "many", tmp_path / "many")
    in_memory = child(peak, many_files / "many", "")
    raw = (MANY - FEW) * RAW_BYTES
    assert in_memory - few > 0.9 * raw, "the measure would see it"
    assert many - few < 0.5 * raw  # an allocator keeps some megabytes, more or less


@pytest.mark.long
def test_memory_stays_flat_while_packed_images_are_trained_on(many_files: Path, tmp_path: Path) -> None:
    assert child(READ + STREAM, many_files / "many", tmp_path / "store") < 0.4 * MANY * RAW_BYTES


def split_by_sorting(digests: list[str], seed: int) -> set[int]:
    """The rule in another way: of hashes as text, the smallest fifth."""
    order = sorted(range(len(digests)), key=lambda i: hashlib.sha256(f"{seed}:{digests[i]}".encode()).hexdigest())
    return set(order[: max(1, round(0.2 * len(order)))])


def test_hashes_part_images_in_the_order_of_their_digits() -> None:
    digests = [hashlib.sha256(bytes([number % 256, number // 256])).hexdigest() for number in range(5000)]
    test: npt.NDArray[np.int64]
    for seed in range(3):
        _, test = content_split(digests, None, seed)
        assert set(test.tolist()) == split_by_sorting(digests, seed)
