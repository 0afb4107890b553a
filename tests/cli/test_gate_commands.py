"""`submit gate`, and what is shown of a gate job: on the screen, as JSON, on its page, and of its models."""

from pathlib import Path

import pytest

from tests.cli.gating import NET, SUBMIT, gated, metrics, two_versions
from tests.cli.running import Runner, split
from tests.cli.world import World
from tests.reports.pages import Page


@pytest.fixture
def two(world: World) -> World:
    two_versions(world)
    return world


def test_every_flag_reaches_the_spec_and_the_alias_is_pinned(two: World, run: Runner, tmp_path: Path) -> None:
    gates = tmp_path / "gates.yaml"
    gates.write_text("gates:\n  coverage: {min: 0.5, worse_by: 0.1}\n  kid: {max: 1}\nprimary: coverage\n")
    flags = split("--dataset digits --images 1k --seeds 5 --seed 7 --on-bad-image skip")
    found = run(*SUBMIT, *flags, "--gates", gates)
    assert found.code == 0, found.err
    assert "(gate digits-vae@2 against digits-vae@champion by 1k images of 5 seeds)" in found.err
    shown = run("job", "show", 3, "-o", "json").json["item"]
    assert shown["spec"] == {
        "version": 1,
        "kind": "gate",
        "model": "digits-vae@2",
        "against": "digits-vae@1",
        "dataset": "digits",
        "images": 1000,
        "seeds": 5,
        "seed": 7,
        "gates": {"coverage": {"min": 0.5, "worse_by": 0.1}, "kid": {"max": 1.0}},
        "primary": "coverage",
        "on_bad_image": "skip",
    }
    assert any("digits-vae@champion is digits-vae@1" in (event["detail"] or "") for event in shown["events"])
    repeated = tmp_path / "job.yaml"
    repeated.write_text(run("job", "show", 3, "--spec").out)
    assert run("submit", "-f", repeated, "-q").out == "4\n"
    assert run("job", "show", 4, "-o", "json").json["item"]["spec"] == shown["spec"]
    assert "coverage (min=0.5, worse_by=0.1), kid (max=1)" in run("job", "show", 3).out


def test_a_dry_run_prints_the_gates_of_the_family(two: World, run: Runner) -> None:
    document = run(*SUBMIT, "--dry-run", "-o", "json").json["item"]
    assert document["gates"]["kid"] == {"worse_by": 0.005}
    assert "class_agreement" in document["gates"]
    assert run("ps", "--all", "-o", "ids").out == "1\n2\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kid: {max: 1}\n", "holds no 'gates'"),
        ("gates: {kid: {max: 1}}\nprimry: kid\n", "unknown key 'primry'"),
        ("gates: {kid: {max: low}}\n", "'gates.kid.max' is 'low'"),
        ("gates: {psnr: {min: 20}}\n", "gate 'psnr': nothing of that name is measured of a model that makes images"),
        ("gates: [kid]\n", "each gate of a list has a 'measure'"),
        ("gates: {coverage: {min: 0.5}}\n", "primary measure kid has no gate"),
    ],
)
def test_a_wrong_file_is_one_line_and_adds_nothing(
    two: World, run: Runner, tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "gates.yaml"
    file.write_text(text)
    found = run(*SUBMIT, "--gates", file)
    assert found.code == 2, found.err
    assert message in found.err.splitlines()[0]
    assert [line.partition(":")[0] for line in found.err.splitlines()] == ["error", "hint"]
    assert run("ps", "--all", "-o", "ids").out == "1\n2\n"


def test_a_champion_that_is_not_there_is_exit_code_3(two: World, run: Runner, tmp_path: Path) -> None:
    found = run("submit", "gate", "--model", "digits-vae@2", "--against", "digits-vae@challenger")
    assert found.code == 3
    assert "model digits-vae has no alias 'challenger'" in found.err
    assert "leave out --against digits-vae@challenger" in found.err
    assert run(*SUBMIT, "--gates", tmp_path / "none.yaml").code == 2


def test_job_show_prints_a_line_for_each_gate(two: World, run: Runner) -> None:
    job_id = gated(two, run)
    found = run("job", "show", job_id)
    lines = found.lines
    assert "verdict" in found.out
    assert any(line.split()[:2] == ["verdict", "PROMOTE"] for line in lines)
    (kid,) = [line for line in lines if line.split()[:2] == ["kid", "regression"]]
    assert "kid 0.0125 ± 0.00635 against 0.0155 ± 0.00635: better by 0.003" in kid
    assert "not worse beyond 0.005 … passed" in kid
    assert f"kid@{NET}" in found.out
    item = run("job", "show", job_id, "-o", "json").json["item"]
    result = item["tasks"][0]["result"]
    assert (result["verdict"], result["against"], result["dataset"]) == ("PROMOTE", "digits-vae@1", "digits")
    assert [row["rule"] for row in result["gates"]] == ["health", "health", "max", "regression", "min", "primary"]
    assert item["metrics"] == metrics(0.012)


def test_the_page_has_the_verdict_and_the_pictures_of_both(two: World, run: Runner, tmp_path: Path) -> None:
    job_id = gated(two, run, kid=0.1)
    page = tmp_path / "page.html"
    assert run("job", "report", job_id, "--out", page).code == 0
    read = Page(page.read_text(encoding="utf-8"))
    assert "The verdict on digits-vae@2 against digits-vae@1 (champion) is REJECT." in read.text
    assert "worse beyond 0.005 … failed" in read.text
    assert "only 100 images were measured" in read.text
    assert [image["alt"] for image in read.attributes_of("img")] == [
        "Images of digits-vae@2",
        "Images of digits-vae@1 (champion)",
    ]
    assert "Challenger digits-vae@2 Champion digits-vae@1 (champion)" in read.text
    assert "A column for each class: zero, one." in read.text


def test_both_models_have_what_was_measured(two: World, run: Runner) -> None:
    job_id = gated(two, run)
    for name, kid in (("digits-vae@2", 0.012), ("digits-vae@1", 0.0155)):
        (item,) = run("model", "show", name, "-o", "json").json["item"]["measurements"]
        assert (item["job_id"], item["kind"], item["count"], item["metrics"]) == (job_id, "gate", 100, metrics(kid))
    item = run("model", "compare", "digits-vae@1", "digits-vae@2", "-o", "json").json["item"]
    (metric,) = item["metrics"]
    assert (metric["name"], metric["verdict"]) == ("kid", "second")
    assert [item[side]["evaluation_job_id"] for side in ("first", "second")] == [job_id, job_id]
