"""A report of every kind of job and every state, and one of a model."""

from dataclasses import replace
from datetime import timedelta

from reports.data import (
    CaptionedImage,
    DecompressSection,
    FidelityLine,
    FidelityTable,
    JobReport,
    RateLine,
    Series,
)
from reports.gates import GateLine, GateSection
from reports.history import LogTail, ProgressLine
from reports.levels import Level
from reports.modelline import (
    MadeRow,
    MeasureLine,
    ModelReport,
    MoveRow,
    PictureRow,
    VerdictRow,
    VersionPicture,
    VersionRow,
)
from reports.summary import KeyFigure
from tests.reports.examples import (
    NET,
    START,
    compress_report,
    digit_images,
    evaluate_report,
    generate_report,
    history,
    noisy_grid,
    tile,
    train_report,
)


def decompress_report() -> JobReport:
    """Give the report of the decompression of those files."""
    section = DecompressSection(
        images=500,
        verified=500,
        differing=0,
        size_bytes=90_000,
        sheet=tile(digit_images()[:100], 10),
        manifest="/srv/pixmill/runs/43/43/1/manifest.json",
        files_sha256="9f3a" * 16,
        compressed_by=42,
        rates=[RateLine(name="digits-codec@2", bits_per_pixel=0.373, psnr=23.65, ssim=0.94, n=500)],
        model={"model": "digits-codec@2", "preset": "fsq-ae"},
    )
    return JobReport(name="digits, again", kind="decompress", decompress=section, **history())


def animate_report() -> JobReport:
    """Give the report of two animations of six frames."""
    made = replace(
        generate_report(),
        kind="animate",
        name="walks",
    )
    assert made.generate is not None
    section = replace(
        made.generate,
        sheet_caption="Frame by frame: a row is an animation.",
        animations=[CaptionedImage(caption=f"Animation {number}", image=digit_images()[number]) for number in range(2)],
        animations_made=2,
    )
    return replace(made, generate=section)


def restore_report() -> JobReport:
    """Give the report of restored images, whose true ones are known."""
    fidelity = FidelityTable(
        lines=[
            FidelityLine(name="restored", psnr=21.5, ssim=0.91),
            FidelityLine(name="as they were given", psnr=14, ssim=0.6),
        ],
        note="Means over 10,000 images.",
    )
    made = generate_report()
    assert made.generate is not None
    return replace(made, kind="restore", generate=replace(made.generate, restores=True, restoration=fidelity))


def gate_report() -> JobReport:
    """Give the report of a gate with a verdict."""
    lines = [
        GateLine(gate="kid", rule="regression", outcome="passed", text="kid 0.012 against 0.015 … passed"),
        GateLine(gate="kid", rule="primary", outcome="not earned", text="primary kid: on average worse … not earned"),
    ]
    section = GateSection(verdict="HOLD", model="digits@7", against="digits@6", lines=lines, facts={"seeds": "0, 1, 2"})
    return JobReport(name="digits-gate", kind="gate", gate=section, **history())


def failed_report() -> JobReport:
    """Give the report of a job that has failed, with the end of its log."""
    tail = LogTail(title="Attempt 2: task 0 (train) on mill-2", lines=["reading", f"ERROR {'a long line ' * 30}"])
    fields = {**history("failed"), "reason": "OOM: CUDA is out of memory", "log": tail}
    return JobReport(name="too-large", kind="train", **fields)


def running_report() -> JobReport:
    """Give the report of a training that is half done."""
    progress = ProgressLine(done=120_000, total=240_000, phase="training", eta_seconds=290.0)
    return replace(train_report(), state="running", finished_at=None, progress=progress)


def every_report() -> dict[str, JobReport]:
    """Give a report of every kind and state that looks like no other, by name."""
    ping = JobReport(name="anybody there", kind="ping", **history())
    page = {"page": "/srv/pixmill/reports/pipelines/night/run-3.html", "size": "133 kB"}
    return {
        "train": train_report(),
        "generate": generate_report(),
        "animate": animate_report(),
        "restore": restore_report(),
        "evaluate": evaluate_report(),
        "gate": gate_report(),
        "compress": compress_report(),
        "decompress": decompress_report(),
        "report": replace(ping, name="report-3", kind="report", left=page),
        "ping": ping,
        "failed": failed_report(),
        "running": running_report(),
        "waiting": JobReport(
            job_id=7,
            name="waits",
            kind="edit",
            state="pending",
            reason="Resources: all devices are busy",
            created_at=START,
        ),
    }


def model_report() -> ModelReport:
    """Give the report of three versions, of which a gate has promoted the second and rejected the third."""
    versions = [
        VersionRow(
            version=number,
            aliases=["champion"] if number == 2 else [],
            made_at=START + timedelta(days=number),
            job=number,
            preset="vae",
            images_seen=60_000 * number,
            dataset="digits",
            fingerprint="f839" * 16,
            parent=f"digits@{number - 1}" if number > 1 else "",
            metric=f"kid@{NET}",
            value=0.03 / number,
            files="removed 2026-03-20 02:00:00 UTC" if number == 1 else "1.51 MB",
        )
        for number in (3, 2, 1)
    ]
    kid = Series(name=f"kid@{NET}, n = 2,000", images_seen=[1, 2, 3], values=[0.03, 0.012, 0.06])
    pictures = [
        VersionPicture(version=number, image=noisy_grid(0.3 * number), note="60k images") for number in (1, 2, 3)
    ]
    moved = MoveRow(
        at=START,
        who="pipeline night",
        what="promote",
        alias="champion",
        before=1,
        after=2,
        why="run 3: PROMOTE",
    )
    refused = VerdictRow(
        job=9, at=START, model="digits@3", against="digits@2", verdict="REJECT", why="kid 0.06: at most 0.05 … failed"
    )
    made = MadeRow(
        job=8,
        kind="generate",
        name="ten-thousand",
        state="succeeded",
        at=START,
        versions=[2],
        images=10_000,
        size_bytes=9**8,
    )
    return ModelReport(
        name="digits",
        told_at=START + timedelta(days=9),
        verdict="digits@2 is champion. The last verdict is REJECT, on digits@3 against digits@2.",
        frozen="digits is frozen: a paper is written about it",
        figures=[KeyFigure(label="champion", value="@2", note="1 change")],
        versions=versions,
        moves=[moved],
        measures=[
            MeasureLine(
                measure="kid",
                better="lower",
                series=[kid],
                levels=[Level(name="gate: at most", value=0.05)],
                is_asked=True,
                asked="The last gate asks: at most 0.05.",
            )
        ],
        verdicts=[refused],
        pictures=[PictureRow(title="The versions at the gate", told="Of one seed.", pictures=pictures)],
        made=[made],
        newest={"model": "digits@3", "weights": "a5b8" * 16},
    )
