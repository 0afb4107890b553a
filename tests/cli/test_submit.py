import json
from pathlib import Path

import pytest
import yaml

from db.finding import get_job
from pixmill.specs import parse_spec
from tests.cli.running import Runner, split
from tests.cli.world import World

TRAIN = ("submit", "train", "--model", "vae", "--dataset", "digits")


def count_jobs(run: Runner) -> int:
    return len(run("ps", "--all", "-o", "json").json["items"])


def test_submit_talks_on_stderr_and_keeps_stdout_for_data(run: Runner) -> None:
    found = run(*TRAIN, "--images", "10k")

    assert (found.code, found.out) == (0, "")
    assert "submitted job 1 (train vae on digits, 10k images) to queue default" in found.err
    assert "pixmill logs -f 1" in found.err


def test_quiet_prints_the_id_and_json_the_job(run: Runner) -> None:
    assert run(*TRAIN, "-q").out == "1\n"
    found = run(*TRAIN, "-o", "json", "--name", "digits", "-l", "project=nightly")
    assert found.json["schema"] == "pixmill.job/1"
    assert found.json["item"]["id"] == 2
    assert found.json["item"]["labels"] == {"project": "nightly"}


def test_submit_succeeds_without_redis_and_says_so(run: Runner, home: Path) -> None:
    found = run(*TRAIN)

    assert found.code == 0
    assert "Redis does not answer" in found.err
    assert "the job is stored" in found.err
    assert run("ps", "-o", "ids").out == "1\n"


def test_every_flag_of_a_train_job_reaches_its_spec(run: Runner, world: World) -> None:
    flags = split("--image-size 16 --channels 1 --conditional --images 1_000_000 --seed 7 --batch-size 32")
    more = split("--precision bf16 --on-bad-image skip --set width=16 --set learning_rate=1e-4 --set residual=TRUE")
    flags += split("--skip-unchanged --accept-drift --min-images 1k --max-shrink 0.3 --max-class-shift 0.2")
    found = run(*TRAIN, *flags, *more, "--set", "norm=none", "--max-unreadable", 0.1, "--from", "none", "-q")

    assert found.code == 0, found.err
    with world.database.read() as session:
        spec = parse_spec(get_job(session, 1).spec)
    assert spec.model_dump() == {
        "version": 1,
        "kind": "train",
        "model": "vae",
        "dataset": "digits",
        "image_size": 16,
        "channels": 1,
        "conditional": True,
        "images": 1_000_000,
        "seed": 7,
        "batch_size": 32,
        "precision": "bf16",
        "on_bad_image": "skip",
        "options": {"width": 16, "learning_rate": 1e-4, "residual": True, "norm": "none"},
        "start_from": None,
        "skip_unchanged": True,
        "accept_drift": True,
        "min_images": 1000,
        "max_shrink": 0.3,
        "max_class_shift": 0.2,
        "max_unreadable": 0.1,
    }


def test_every_flag_of_a_generate_job_reaches_its_spec(run: Runner, world: World) -> None:
    world.trained(world.worker(), name="digits-vae")
    run("submit", "train", "--model", "cnn", "--dataset", "digits", "-q")
    flags = split("--n 1.5k --classes zero,one --truncation 0.7 --filter-model job:2 --min-confidence 0.6")
    flags += split("--max-tries 1k --on-reject best")
    flags += split("--shard-size 1k --seed 3 --precision auto --labels-in-tar")
    assert run("submit", "generate", "--model", "digits-vae", *flags, "-q").out == "3\n"

    spec = run("job", "show", 3, "-o", "json").json["item"]["spec"]
    assert {key: value for key, value in spec.items() if value is not None} == {
        "version": 1,
        "kind": "generate",
        "model": "digits-vae@1",
        "n": 1500,
        "classes": ["zero", "one"],
        "truncation": 0.7,
        "filter_model": "job:2",
        "min_confidence": 0.6,
        "max_tries": 1000,
        "on_reject": "best",
        "shard_size": 1000,
        "seed": 3,
        "precision": "auto",
        "labels_in_tar": True,
    }


def test_class_counts_are_the_number_of_images_too(run: Runner, world: World) -> None:
    world.trained(world.worker(), name="digits-vae")
    run("submit", "generate", "--model", "digits-vae", "--class-counts", "zero=500,one=2k", "-q")
    spec = run("job", "show", 2, "-o", "json").json["item"]["spec"]
    assert (spec["n"], spec["class_counts"]) == (2500, {"zero": 500, "one": 2000})

    mixed = ("--model", "digits-vae", "--model", "digits-vae@1", "--model-weights", "1,3", "--n", "9")
    assert "model digits-vae@1 is named twice" in run("submit", "generate", *mixed).err

    refused = run("submit", "generate", "--model", "digits-vae", "--class-weights", "zero=1,zero=2")
    assert refused.code == 2
    assert "names a class more than once" in refused.err


def test_every_flag_of_an_evaluate_job_reaches_its_spec(run: Runner, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    world.generated(worker)
    flags = split("--dataset digits --n 30 --seed 1 --no-usefulness --on-bad-image skip")
    assert run("submit", "evaluate", "--output", 2, *flags, "-q").out == "3\n"

    spec = run("job", "show", 3, "-o", "json").json["item"]["spec"]
    assert spec == {
        "version": 1,
        "kind": "evaluate",
        "output": 2,
        "dataset": "digits",
        "n": 30,
        "seed": 1,
        "usefulness": False,
        "on_bad_image": "skip",
        "judge": None,
        "inception": None,
    }


def test_every_common_flag_reaches_the_job(run: Runner) -> None:
    run(*TRAIN, "-q")
    flags = split("--name x --queue bulk --priority 5 --device cpu --after 1 --after-policy any --hold --key k")
    run(*TRAIN, *flags, "--begin", "2099-01-01T01:00:00+01:00", "-l", "a=b", "-l", "c=d=e")

    item = run("job", "show", 2, "-o", "json").json["item"]
    assert item["name"] == "x"
    assert (item["queue"], item["priority"], item["key"]) == ("bulk", 5, "k")
    assert (item["state"], item["reason"]) == ("held", "Held")
    assert item["labels"] == {"a": "b", "c": "d=e"}
    assert item["begin_at"] == "2099-01-01T00:00:00.000Z"
    assert item["waits_for"] == [1]
    assert item["options"]["after_policy"] == "any"
    assert item["options"]["device"] == "cpu"


def test_a_begin_from_now_is_in_the_future(run: Runner) -> None:
    run(*TRAIN, "--begin", "+2h")
    assert run("ps", "-o", "json").json["items"][0]["reason"].startswith("BeginTime(+1h59m")


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".yaml", "kind: train\nmodel: vae\ndataset: digits\nimages: 20k\noptions: {learning_rate: 1e-4}\nname: x\n"),
        (
            ".json",
            '{"kind":"train","model":"vae","dataset":"digits","images":20000,"name":"x","options":{"learning_rate":1e-4}}',
        ),
        (
            ".toml",
            'kind="train"\nmodel="vae"\ndataset="digits"\nimages=20_000\nname="x"\noptions={learning_rate=1e-4}\n',
        ),
    ],
)
def test_a_file_holds_a_job_and_flags_go_over_it(suffix: str, text: str, run: Runner, tmp_path: Path) -> None:
    file = tmp_path / f"job{suffix}"
    file.write_text(text, encoding="utf-8")

    found = run("submit", "train", "-f", file, "--images", "30k", "--set", "width=16", "-o", "json")

    assert found.code == 0, found.err
    spec = found.json["item"]["spec"]
    assert spec["images"] == 30_000
    assert spec["options"] == {"learning_rate": 1e-4, "width": 16}
    assert found.json["item"]["name"] == "x"


def test_a_file_alone_names_its_kind(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("kind: train\nmodel: vae\ndataset: digits\n", encoding="utf-8")
    found = run("submit", "-f", "job.yaml", "--hold", "-q")
    assert found.out == "1\n", found.err


def test_a_document_comes_through_stdin(run: Runner) -> None:
    assert run("submit", "-f", "-", "-q", stdin="kind: train\nmodel: vae\ndataset: digits\n").out == "1\n"


TWO = "kind: ping\nname: first\n---\nkind: ping\nname: second\ntime_limit_seconds: 2h\n---\n"


def test_the_documents_of_several_files_are_submitted_all_together(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(TWO, encoding="utf-8")
    (tmp_path / "one.json").write_text('{"kind": "ping", "name": "third"}', encoding="utf-8")
    found = run("submit", "-f", "two.yaml", "-f", "one.json", "--queue", "bulk", "-q")
    assert found.out == "1\n2\n3\n", found.err
    items = run("ps", "--queue", "bulk", "-o", "json").json["items"]
    assert [item["name"] for item in items] == ["first", "second", "third"]
    assert items[1]["options"]["time_limit_seconds"] == 7200


def test_several_jobs_are_told_and_given_as_a_list(run: Runner) -> None:
    found = run("submit", "-f", "-", stdin=TWO)
    assert "submitted job 1 (ping, which does no work) to queue default" in found.err
    assert "submitted job 2" in found.err
    document = run("submit", "-f", "-", "-o", "json", stdin=TWO).json
    assert document["schema"] == "pixmill.job_list/1"
    assert [item["id"] for item in document["items"]] == [3, 4]


def test_of_several_jobs_one_that_is_wrong_keeps_all_out(run: Runner) -> None:
    found = run("submit", "-f", "-", stdin="kind: ping\n---\nkind: generate\nmodel: nobody\nn: 10\n")
    assert found.code == 3
    assert count_jobs(run) == 0
    found = run("submit", "-f", "-", stdin="kind: ping\n---\n- no\n")
    assert "document 2 of stdin holds no keys and values" in found.err
    assert run("submit", "-f", "-", "--key", "k", stdin=TWO).code == 2
    assert count_jobs(run) == 0


def test_a_dry_run_of_several_jobs_prints_what_can_be_submitted(run: Runner) -> None:
    found = run("submit", "-f", "-", "--dry-run", stdin=TWO)
    assert "would submit 2 jobs with 2 tasks; nothing was added" in found.err
    assert count_jobs(run) == 0
    assert run("submit", "-f", "-", "-q", stdin=found.out).out == "1\n2\n"
    assert len(run("submit", "-f", "-", "--dry-run", "-o", "json", stdin=TWO).json["items"]) == 2


def test_a_ping_goes_through_the_line_and_ends(run: Runner, world: World) -> None:
    assert run("submit", "ping", "-q").out == "1\n"
    world.succeed(world.claim(world.worker()))
    assert run("wait", 1).code == 0
    assert run("ps").lines[1].split()[:5] == ["1", "ping", "ping", "–", "succeeded"]
    assert run("job", "show", 1, "-o", "json").json["item"]["model"] is None


def test_retries_and_time_limit_reach_the_tasks(run: Runner) -> None:
    flags = split("--retries 5 --retry-delay 1m --time-limit 2h")
    assert run("submit", "ping", *flags, "-q").code == 0
    item = run("job", "show", 1, "-o", "json").json["item"]
    (task,) = item["tasks"]
    assert (task["retries"], task["retry_seconds"], task["time_limit_seconds"]) == (5, 60, 7200)
    assert item["options"] == {"retries": 5, "retry_seconds": 60, "time_limit_seconds": 7200}
    assert "time limit  2h00m for an attempt" in run("job", "show", 1).out
    assert run("submit", "ping", "--retries", 101).code == 2


def test_a_file_of_another_kind_is_refused(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("kind: train\nmodel: vae\ndataset: digits\n", encoding="utf-8")
    found = run("submit", "generate", "-f", "job.yaml")
    assert found.code == 2
    assert "is a train spec, but a generate job was asked for" in found.err


def test_options_without_kind_or_file_say_what_is_missing(run: Runner) -> None:
    found = run("submit", "--hold")
    assert found.code == 2
    assert "train, generate, animate, edit, evaluate, gate, compress, decompress, restore or ping" in found.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--model", "vea", "--dataset", "digits"), "did you mean 'vae'?"),
        (("--model", "vae", "--dataset", "digitz"), "did you mean 'digits'?"),
        (("--model", "vae", "--dataset", "folder:/no/such/place"), "there is no such folder"),
        (("--model", "vae", "--dataset", "digits", "--set", "widht=3"), "did you mean 'width'?"),
        (("--model", "vae", "--dataset", "digits", "--set", "width"), "is not KEY=VALUE"),
        (("--model", "vae", "--dataset", "digits", "--images", "many"), "write it like 5000, 10k, 1M"),
        (("--model", "vae", "--dataset", "digits", "--images", "0"), "greater than or equal to 1"),
        (("--model", "vae", "--dataset", "digits", "--name", "a/b"), "'name'"),
        (("--model", "vae", "--dataset", "digits", "--begin", "tomorrow"), "write it like 2026-11-21T02:00:00Z"),
        (("--model", "vae"), "'dataset' is missing"),
    ],
)
def test_a_wrong_request_is_one_clear_error_and_adds_nothing(args: tuple[str, ...], words: str, run: Runner) -> None:
    found = run("submit", "train", *args)

    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("error: ")
    assert words in found.err
    assert "Traceback" not in found.err
    assert count_jobs(run) == 0


def test_no_images_at_all_are_refused(run: Runner, world: World) -> None:
    world.trained(world.worker(), name="digits-vae")
    found = run("submit", "generate", "--model", "digits-vae", "--n", "0")
    assert found.code == 2
    assert "'n' is 0" in found.err
    assert count_jobs(run) == 1


def test_an_unknown_key_of_a_file_names_the_nearest_of_spec_and_options(run: Runner) -> None:
    found = run("submit", "-f", "-", stdin="kind: train\nmodel: vae\ndataset: digits\nprority: 5\n")
    assert found.code == 2
    assert "unknown key 'prority'" in found.err
    assert "did you mean 'priority'?" in found.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no keys and values"),
        ("- kind\n", "holds no keys and values"),
        ("kind: train\nkind: train\n", "is there twice"),
        ("kind: [train\n", "cannot be read"),
        ("model: vae\n", "the spec has no 'kind'"),
        ("kind: trian\n", "did you mean 'train'?"),
        ("kind: train\nversion: 2\n", "spec version 2 is not known"),
        ("kind: !!python/object/apply:os.getcwd []\n", "cannot be read"),
    ],
)
def test_a_document_that_cannot_be_read_is_one_clear_error(text: str, words: str, run: Runner) -> None:
    found = run("submit", "-f", "-", stdin=text)
    assert (found.code, found.out) == (2, "")
    assert words in found.err


def test_a_missing_file_is_named(run: Runner) -> None:
    found = run("submit", "-f", "nope.yaml")
    assert found.code == 2
    assert "spec nope.yaml cannot be read: No such file or directory" in found.err


def test_the_same_key_and_spec_give_the_same_job(run: Runner) -> None:
    assert run(*TRAIN, "--key", "night", "-q").out == "1\n"
    again = run(*TRAIN, "--key", "night")
    assert again.code == 0
    assert "job 1 was submitted under key 'night' already" in again.err
    assert run(*TRAIN, "--key", "night", "-q").out == "1\n"
    assert count_jobs(run) == 1


def test_the_same_key_for_another_spec_is_a_conflict_that_shows_the_difference(run: Runner) -> None:
    run(*TRAIN, "--key", "night", "--images", "10k")
    found = run(*TRAIN, "--key", "night", "--images", "20k")
    assert found.code == 4
    assert "images 10000 → 20000" in found.err
    assert count_jobs(run) == 1


def test_a_dry_run_prints_a_spec_that_can_be_submitted_and_adds_nothing(run: Runner) -> None:
    found = run(*TRAIN, "--images", "10k", "--dry-run")
    assert found.code == 0
    assert "nothing was added" in found.err
    assert count_jobs(run) == 0
    assert yaml.safe_load(found.out)["images"] == 10_000

    assert run("submit", "-f", "-", "-q", stdin=found.out).out == "1\n"
    as_json = run(*TRAIN, "--dry-run", "-o", "json").json
    assert as_json["schema"] == "pixmill.job_spec/1"
    assert count_jobs(run) == 1


def test_a_dry_run_checks_what_the_database_knows(run: Runner) -> None:
    found = run("submit", "generate", "--model", "nobody", "--n", "10", "--dry-run")
    assert found.code == 3
    assert "there is no model 'nobody'" in found.err


def test_a_relative_folder_is_stored_as_an_absolute_path(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "tom.png").touch()
    run("submit", "train", "--model", "vae", "--dataset", "folder:cats")
    item = run("job", "show", 1, "-o", "json").json["item"]
    assert item["spec"]["dataset"] == f"folder:{tmp_path}/cats"


def test_a_shown_spec_repeats_the_job(run: Runner, world: World) -> None:
    flags = split("--images 10k --set width=16 --conditional --name again --priority 3 -l a=no --queue bulk")
    run(*TRAIN, *flags, "--key", "k", "--hold")
    spec = run("job", "show", 1, "--spec").out

    assert run("submit", "-f", "-", "-q", stdin=spec).out == "2\n"

    first, second = (run("job", "show", number, "-o", "json").json["item"] for number in (1, 2))
    for name in ("spec_digest", "name", "priority", "labels", "queue"):
        assert first[name] == second[name]
    assert (second["key"], second["state"]) == (None, "pending")


def test_waiting_for_a_submitted_job_ends_with_its_exit_code(run: Runner, world: World) -> None:
    run(*TRAIN, "--key", "k")
    world.succeed_training(world.claim(world.worker()))
    found = run(*TRAIN, "--key", "k", "--wait")
    assert found.code == 0
    assert "job 1 (vae-digits) succeeded" in found.err


def test_json_of_a_submit_is_plain_json(run: Runner) -> None:
    found = run(*TRAIN, "-o", "json", COLUMNS="40")
    assert json.loads(found.out)["item"]["model"] == "vae"
