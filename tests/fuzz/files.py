"""Targets that read files: images, archives, manifests, tables, models, training states, compressed images."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.fuzz import draw as st
from tests.fuzz.harness import Act, Target, Wrong
from tests.fuzz.strategies import bent, damaged, scalars, texts, values

CLASSES = ("zero", "one")


def picture(kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    """A small image file."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


@cache
def pictures() -> tuple[bytes, ...]:
    """One of each kind that is read, and some of those that are not."""
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.new("P", (10, 12), number) for number in range(3)]
    animated = io.BytesIO()
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])
    plain = [picture(kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "EPS")]
    more = [
        picture("JPEG", exif=exif.tobytes(), icc_profile=b"x" * 200), picture("JPEG", "CMYK"), picture("PNG", "P"),
        picture("PNG", "I;16"), picture("PNG", "LA"), picture("TIFF", "F"), picture("TIFF", compression="tiff_lzw"),
        picture("TIFF", "1", compression="group4"), picture("JPEG", progressive=True), animated.getvalue(),
        picture("PNG", "RGBA"), picture("TIFF", compression="tiff_deflate"), picture("BMP", "1"),
    ]  # fmt: skip
    return (*plain, *more)


@contextmanager
def decoder(_folder: Path) -> Iterator[Act]:
    """One image file, as a data set's images are decoded."""
    from imagemodels.data.decoding import decode_bytes, decode_whole, open_image

    def act(content: bytes) -> None:
        with suppress_bad(), open_image(io.BytesIO(content)) as image:
            _ = image.size
        with suppress_bad():
            whole = decode_whole(content, 1)
            if whole.dtype != np.uint8 or whole.ndim != 3:
                raise Wrong(f"{whole.dtype} {whole.shape}")
        pixels = decode_bytes(content, 8, 3)
        if pixels.shape != (8, 8, 3) or pixels.dtype != np.uint8:
            raise Wrong(f"{pixels.dtype} {pixels.shape}")

    yield act


def suppress_bad() -> Any:
    """Let a refusal pass."""
    from imagemodels.data.errors import BadImage

    return suppress(BadImage)


def _tar(mode: str = "w", **options: Any) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, **options) as archive:  # type: ignore[call-overload]
        for name, content in _members():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def _members() -> list[tuple[str, bytes]]:
    small = picture()
    return [
        ("a/0.png", small), ("a/0.cls", b"1"), ("b/1.png", picture("JPEG")), ("b/1.json", b'{"label": "cat"}'),
        ("b/" + "long" * 40 + ".png", small),
    ]  # fmt: skip


def _zip(compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in _members():
            archive.writestr(name, content)
    return file.getvalue()


@cache
def archives() -> tuple[bytes, ...]:
    """Of each kind one."""
    plain = _tar(format=tarfile.PAX_FORMAT)
    zips = [_zip(method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)]
    return (plain, _tar(format=tarfile.GNU_FORMAT), gzip.compress(plain), _tar("w:xz"), _tar("w:bz2"), *zips)


@contextmanager
def archive_reader(folder: Path) -> Iterator[Act]:
    """A data set in an archive."""
    from imagemodels.data import load_dataset

    def act(content: bytes) -> None:
        kind = "zip" if content[:2] == b"PK" else "tar"
        path = folder / f"set.{kind}"
        path.write_bytes(content)
        load_dataset(f"{kind}:{path}", image_size=8, on_bad_image="skip")

    yield act


def _header(size: bytes, kind: bytes, name: bytes, link: bytes) -> bytes:
    block = name[:100].ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size[:12].ljust(12, b"\0")
    block += b"00000000000\0" + b" " * 8 + kind + link[:100].ljust(100, b"\0") + b"ustar\x0000"
    block = block.ljust(512, b"\0")
    return block[:148] + f"{sum(block):06o}\0 ".encode() + block[156:]


_headers = st.builds(
    _header,
    st.sampled_from(
        [b"00000000000\0", b"00000001000\0", b"77777777777\0", b"\x80" + b"\0" * 3 + b"\xff" * 8, b"\xff" * 12]
    )
    | st.binary(most=12),
    st.sampled_from([b"0", b"5", b"2", b"1", b"3", b"6", b"L", b"K", b"x", b"g", b"S", b"X", b"\0"]),
    st.sampled_from([b"a.png", b"../../outside/x.png", b"/etc/x.png", b"a.cls", b"a.json", b"\xff.png"])
    | texts.map(lambda text: text.encode(errors="replace")),
    st.sampled_from([b"", b"/etc/passwd", b"../../outside/secret"]),
)
_bodies = st.binary(most=30).map(lambda body: body.ljust(512, b"\0")) | st.just(
    b"30 path=../../x.png\n".ljust(512, b"\0")
)
_made_tars = st.lists(st.tuples(_headers, _bodies).map(b"".join), least=1, most=4).map(
    lambda parts: b"".join(parts) + bytes(1024)
)


@contextmanager
def idx_reader(folder: Path) -> Iterator[Act]:
    """Files of the MNIST family."""
    from imagemodels.data.idx import read_idx_images, read_idx_labels

    def act(content: bytes) -> None:
        path = folder / "images-idx3-ubyte"
        path.write_bytes(content)
        read_idx_labels(path, 3) if content[3:4] == b"\x01" else read_idx_images(path)

    yield act


def _idx(*shape: int) -> bytes:
    head = bytes([0, 0, 8, len(shape)]) + b"".join(side.to_bytes(4, "big") for side in shape)
    return head + bytes(int(np.prod(shape)))


@cache
def samples() -> dict[str, Any]:
    """What the product itself writes beside images, as JSON."""
    from storage.markers import ShardMarker, ShardMeta
    from storage.records import ShardRecord

    record = ShardRecord(0, 0, 2, "a" * 64, 100, "b" * 64, 100)
    meta = ShardMeta(checkpoint_sha256="d" * 64, precision="fp32", seed=0, class_names=CLASSES)
    marker = ShardMarker(record, meta, 8, 8, 1, "png-up-isal", "2")
    image = {"name": "a.png", "size_bytes": 1, "sha256": "a" * 64, "pixels_sha256": "b" * 64}
    facts = {
        "model": "m@1",
        "model_digest": "d" * 64,
        "computed_on": "cpu",
        "image_size": 8,
        "channels": 1,
        "version": 1,
    }
    index = {
        "format": "pixmill-dataset", "version": 1, "name": "x", "images": 2, "class_names": list(CLASSES),
        "details": {},
        "image": {"height": 8, "width": 8, "channels": 1}, "shards": [record.to_json()],
        "made_from": {"checkpoints": ["d" * 64], "precisions": ["fp32"], "seeds": [0], "encoders": ["png-up-isal 2"]},
    }  # fmt: skip
    animation = {"number": 0, "first_index": 0, "frames": 2, "webp_sha256": "a" * 64, "gif_sha256": "b" * 64}
    return {
        "shard-000000.json": marker.to_json(),
        "dataset.json": index,
        "manifest.json": {**facts, "images": [image]},
        "animations.json": {"format": "pixmill-animations", "version": 1, "animations": [animation]},
        "lines.jsonl": {"images": 800, "losses": {"kl": 0.5}},
    }


@contextmanager
def manifest_reader(folder: Path) -> Iterator[Act]:
    """Markers, indexes and manifests; also those that name files, which are looked for and verified."""
    from pages.jsonlines import read_json_lines
    from pixmill.errors import PixmillError
    from storage.animations import animation_problems, read_animation_index
    from storage.filesets import read_manifest, verify_files
    from storage.index import read_dataset_index
    from storage.markers import find_markers, read_marker
    from storage.records import ShardRecord
    from storage.verify import verify_output

    def act(case: tuple[str, bytes]) -> None:
        name, content = case
        for file in folder.iterdir():
            file.unlink()
        (folder / name).write_bytes(content)
        find_markers(folder)
        for reader in (
            lambda: read_marker(folder, 0), lambda: read_dataset_index(folder),
            lambda: read_animation_index(folder), lambda: read_manifest(folder / name),
            lambda: list(read_json_lines(folder / name)), lambda: list(animation_problems(folder)),
        ):  # fmt: skip
            with suppress(PixmillError):
                reader()
        verify_files(folder / name, "a" * 64)
        verify_output(folder, [ShardRecord.from_json(samples()["shard-000000.json"]["shard"]["record"])])

    yield act


@cache
def shard() -> tuple[bytes, dict[str, Any]]:
    """The table of a real shard, and its record."""
    import tempfile

    from storage.shards import ImageBatch, ShardMeta, write_shard

    with tempfile.TemporaryDirectory() as name:
        batch = ImageBatch(
            first_index=0,
            images=np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8),
            seeds=np.arange(20),
            labels=np.arange(20) % 2,
        )
        meta = ShardMeta(checkpoint_sha256="d" * 64, precision="fp32", seed=0, class_names=CLASSES)
        record = write_shard(Path(name), 0, [batch], meta)
        return (Path(name) / record.parquet).read_bytes(), record.to_json()


@contextmanager
def table_reader(folder: Path) -> Iterator[Act]:
    """A table that somebody else has written, beside a shard and as one of ours."""
    from imagemodels.data.webdataset import read_table as read_labels
    from imagemodels.errors import ModelError
    from pixmill.errors import PixmillError
    from storage.manifest import read_manifest, read_metadata
    from storage.querying import Condition, find_rows
    from storage.records import ShardRecord

    record = ShardRecord.from_json(shard()[1])
    path = folder / record.parquet

    def act(content: bytes) -> None:
        path.write_bytes(content)
        for reader in (
            lambda: read_manifest(path), lambda: read_metadata(path), lambda: read_labels(path.with_suffix(".tar")),
            lambda: list(find_rows(folder, [record], [Condition("label", "==", "zero")])),
        ):  # fmt: skip
            with suppress(PixmillError, ModelError):
                reader()

    yield act


@contextmanager
def query(folder: Path) -> Iterator[Act]:
    """Conditions of `output query` over a real table."""
    from storage.querying import find_rows, parse_condition
    from storage.records import ShardRecord

    record = ShardRecord.from_json(shard()[1])
    (folder / record.parquet).write_bytes(shard()[0])

    def act(conditions: list[str]) -> None:
        for row in find_rows(folder, [record], [parse_condition(text) for text in conditions]):
            json.dumps(row)

    yield act


_conditions = st.lists(
    st.one_of(
        texts,
        st.builds(
            lambda column, comparison, value: f"{column} {comparison} {value}",
            st.sampled_from(["index", "key", "seed", "label", "class", "sha256", "offset", "size", "width"]) | texts,
            st.sampled_from(["==", "=", "!=", "<", "<=", ">", ">=", "in", "~", "is"]),
            scalars.map(str) | st.lists(scalars.map(str), most=4).map(",".join),
        ),
    ),
    least=1,
    most=2,
)


@cache
def saved_model() -> dict[str, bytes]:
    """The two files of a small generator."""
    import tempfile

    import torch

    from imagemodels.card import Metadata
    from imagemodels.export import save_model
    from imagemodels.networks.decoder import ConvDecoder
    from imagemodels.networks.specs import ConvDecoderSpec
    from imagemodels.runtime import Runtime
    from imagemodels.sampling import Generator

    runtime = Runtime(threads=1)
    spec = ConvDecoderSpec(image_size=8, channels=1, latent_size=4, width=4, num_classes=2, initialisation="orthogonal")
    network = ConvDecoder(spec)
    network(torch.randn(8, 4), torch.arange(8) % 2)
    runtime.place(network)
    facts = Metadata(preset="vae", images_seen=1, seed=0, class_names=CLASSES, settings={})
    with tempfile.TemporaryDirectory() as name:
        save_model(Path(name), Generator(network, runtime), facts)
        return {path.name: path.read_bytes() for path in Path(name).iterdir()}


@contextmanager
def model_reader(folder: Path) -> Iterator[Act]:
    """A model that somebody else has written; sums that fit what was changed are put right, as he would."""
    import hashlib

    from imagemodels.card import CARD_FILE, WEIGHTS_FILE
    from imagemodels.export import load_model
    from imagemodels.identity import identity
    from imagemodels.runtime import Runtime

    runtime = Runtime(threads=1)

    def act(case: tuple[Any, bytes]) -> None:
        card, weights = case
        with suppress(TypeError, KeyError, AttributeError, ValueError, RecursionError):
            card["weights_sha256"] = hashlib.sha256(weights).hexdigest()
            card["digest"] = identity(card["architecture"], dict(card["spec"]), card["weights_sha256"])
        (folder / CARD_FILE).write_text(json.dumps(card), encoding="utf-8")
        (folder / WEIGHTS_FILE).write_bytes(weights)
        load_model(folder, runtime)

    yield act


def _models() -> st.Cases:
    card = json.loads(saved_model()["model.json"])
    weights = saved_model()["weights.safetensors"]
    return st.one_of(
        st.tuples(bent(card), st.just(weights)),
        st.tuples(st.builds(json.loads, st.just(json.dumps(card))), damaged([weights])),
    )


@cache
def training_state() -> bytes:
    """Of a small autoencoder, after a few steps."""
    from tests.imagemodels.training.test_trainer import finished_state, small_config

    return finished_state(small_config("vae", seed=9))[0]


@contextmanager
def state_reader(_folder: Path) -> Iterator[Act]:
    """A training state that somebody else has written."""
    from tests.imagemodels.training.test_trainer import new_trainer, small_config

    trainer = new_trainer(small_config("vae", seed=9))

    def act(content: bytes) -> None:
        trainer.begin(io.BytesIO(content))

    yield act


def _zipped(content: bytes) -> list[bytes]:
    """The same archive, and others with one member replaced."""
    found = [content]
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        names = old.namelist()
        for changed_name in names[:2]:
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w") as new:
                for name in names:
                    new.writestr(name, b"\x80\x02cos\nsystem\nU\x02idR." if name == changed_name else old.read(name))
            found.append(file.getvalue())
    return found


@cache
def code_format() -> Any:
    """How one model's images are written."""
    from imagemodels.coding.files import CodeFormat
    from imagemodels.coding.tables import uniform_tables

    return CodeFormat("ab" * 32, (4, 4), 4, uniform_tables((4, 4)))


@contextmanager
def code_reader(_folder: Path) -> Iterator[Act]:
    """A compressed image."""
    yield lambda content: code_format().read(content)


def targets(errors: tuple[type[BaseException], ...]) -> list[Target]:
    """All of them."""
    named = st.sampled_from(sorted(samples()))
    manifests = named.flatmap(
        lambda name: st.one_of(
            bent(samples()[name]).map(lambda value: json.dumps(value).encode()),
            damaged([json.dumps(samples()[name]).encode()]),
            values.map(lambda value: json.dumps(value).encode()),
        ).map(lambda content: (name, content))
    )
    states = st.deferred(lambda: damaged(_zipped(training_state())))
    plain = _idx(3, 4, 4)
    idx = damaged([plain, _idx(3), _idx(2, 4, 4, 3), gzip.compress(plain)])
    codes = st.deferred(lambda: damaged([code_format().write(np.zeros((2, 4, 4), np.uint8))]))
    tables = st.deferred(lambda: damaged([shard()[0]]))
    return [
        Target(
            name="images", share=8_000, cases=st.deferred(lambda: damaged(pictures())), prepare=decoder, allowed=errors
        ),
        Target(
            name="archives",
            share=4_000,
            cases=st.deferred(lambda: damaged(archives())) | _made_tars,
            prepare=archive_reader,
            allowed=errors,
        ),
        Target(name="idx", share=3_000, cases=idx, prepare=idx_reader, allowed=errors),
        Target(name="manifests", share=5_000, cases=manifests, prepare=manifest_reader, allowed=errors),
        Target(name="tables", share=2_000, cases=tables, prepare=table_reader, allowed=errors),
        Target(name="queries", share=2_500, cases=_conditions, prepare=query, allowed=errors),
        Target(name="models", share=1_000, cases=st.deferred(_models), prepare=model_reader, allowed=errors),
        Target(name="states", share=1_000, cases=states, prepare=state_reader, allowed=errors),
        Target(name="codes", share=2_500, cases=codes, prepare=code_reader, allowed=errors),
    ]
