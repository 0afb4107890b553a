"""Arrays and sweeps are asked for on the command line."""

from typing import Any

import pytest

from tests.cli.running import Runner, split
from tests.cli.world import World

TRAIN = ("submit", "train", "--model", "vae", "--dataset", "digits")
FOLDS = """
kind: train
model: vae
dataset: digits
name: fold-{index}
labels: {fold: "{index}"}
images: 10k
"""


def items(run: Runner, *flags: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("ps", "--all", *flags, "-o", "json").json["items"]
    return found


def specs(run: Runner, key: str) -> list[Any]:
    return [item["spec"][key] for item in items(run)]


def test_an_array_is_a_job_for_each_index_whose_seeds_differ(run: Runner) -> None:
    found = run(*TRAIN, "--array", "0-3%2", "--seed", 10, "--name", "digits")
    assert (found.code, found.out) == (0, "")
    assert "submitted array 1 of 4 jobs (train vae on digits, 200k images; what differs: seeds 10-13)" in found.err
    assert "to queue default, at most 2 at once" in found.err
    assert "pixmill wait --array 1" in found.err
    assert specs(run, "seed") == [10, 11, 12, 13]
    assert [item["name"] for item in items(run)] == ["digits"] * 4
    assert items(run)[3]["array"] == {"id": 1, "index": 3, "size": 4, "max_running": 2}
    run("submit", "ping")
    assert items(run)[4]["array"] is None


def test_the_seed_follows_the_index_so_that_an_array_can_be_continued(run: Runner) -> None:
    assert run(*TRAIN, "--array", "1,3,5-9:2", "-q").out == "1\n2\n3\n4\n5\n"
    assert specs(run, "seed") == [1, 3, 5, 7, 9]


def test_what_holds_the_index_differs_and_then_the_seed_does_not(run: Runner, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    world.trained(worker, name="digits-vae")
    models = ("submit", "generate", "--model", "digits-vae@{index}", "--n", 10, "--name", "of-{index}", "--seed", 7)
    assert run(*models, "--array", "1-2", "-q").code == 0
    made = items(run, "--kind", "generate")
    assert [(item["name"], item["spec"]["model"], item["spec"]["seed"]) for item in made] == [
        ("of-1", "digits-vae@1", 7),
        ("of-2", "digits-vae@2", 7),
    ]


def test_a_name_with_the_index_alone_leaves_the_seeds_to_differ(run: Runner) -> None:
    assert run("submit", "-f", "-", "--array", "0-2", "-q", stdin=FOLDS).code == 0
    assert [item["name"] for item in items(run)] == ["fold-0", "fold-1", "fold-2"]
    assert [item["labels"] for item in items(run)] == [{"fold": "0"}, {"fold": "1"}, {"fold": "2"}]
    assert specs(run, "seed") == [0, 1, 2]


def test_a_sweep_is_a_job_for_each_combination_labelled_with_its_values(run: Runner) -> None:
    sweep = ("--sweep", "learning_rate=1e-4,2e-4", "--sweep", "seed=0..2", "--array-limit", 4)
    found = run(*TRAIN, *sweep, "--set", "width=16", "-l", "seed=mine", "--name", "v-{learning_rate}")
    assert "submitted array 1 of 6 jobs" in found.err
    assert "what differs: seed, learning_rate" in found.err
    assert "at most 4 at once" in found.err
    chosen = [(item["spec"]["options"], item["spec"]["seed"]) for item in items(run)]
    assert chosen == [({"learning_rate": rate, "width": 16}, seed) for rate in (1e-4, 2e-4) for seed in (0, 1, 2)]
    assert items(run)[0]["labels"] == {"learning_rate": "0.0001", "seed": "mine"}
    assert [item["id"] for item in items(run, "-l", "learning_rate=0.0002")] == [4, 5, 6]
    assert items(run)[5]["name"] == "v-0.0002"


def test_values_have_the_type_that_the_spec_wants(run: Runner, world: World) -> None:
    sweep = "--sweep model=vae,beta-vae --sweep images=10k,20k --sweep conditional=true,false --sweep channels=1,3"
    assert run("submit", "train", "--dataset", "digits", *split(sweep), "-q").code == 0
    found = [item["spec"] for item in items(run)]
    assert len(found) == 16
    assert run(*TRAIN, "--array", "0-1", "--set", "width={index}", "--dry-run").code == 2, "width 0"
    assert (found[0]["model"], found[0]["images"], found[0]["conditional"]) == ("vae", 10_000, True)
    assert (found[-1]["model"], found[-1]["images"], found[-1]["channels"]) == ("beta-vae", 20_000, 3)
    world.trained(world.worker(), name="digits-vae")
    made = run("submit", "generate", "--model", "digits-vae", "--n", 10, "--sweep", "classes=zero,one", "-q")
    assert made.code == 0, made.err
    assert [item["spec"]["classes"] for item in items(run, "--kind", "generate")] == [["zero"], ["one"]]
    unknown = run("submit", "generate", "--model", "digits-vae", "--n", 10, "--classes", "{index}", "--array", 3)
    assert "'3'" in unknown.err


def test_a_file_holds_an_array_or_a_sweep_and_flags_go_over_it(run: Runner) -> None:
    file = "kind: train\nmodel: vae\ndataset: digits\nsweep: {width: [8, 16], seed: 0..1}\narray_limit: 3\n"
    assert run("submit", "-f", "-", "--sweep", "seed=5", "-q", stdin=file).out == "1\n2\n"
    assert specs(run, "seed") == [5, 5]
    both = "kind: ping\narray: 0-1\n---\nkind: ping\nname: alone\n---\nkind: ping\narray: 3\n"
    found = run("submit", "-f", "-", stdin=both)
    assert "submitted array 3 of 2 jobs" in found.err
    assert "submitted job 5" in found.err
    assert "submitted array 6 of 1 job" in found.err
    assert "submitted array 7 of 1 job" in run("submit", "-f", "-", stdin="kind: ping\narray: 0\n").err
    assert [item["array"] and item["array"]["index"] for item in items(run)[2:]] == [0, 1, None, 3, 0]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--array 0-10000", "asks for 10,001 jobs; an array has at most 10,000"),
        ("--sweep seed=0..200 --sweep width=0..200", "the sweep asks for 40,401 jobs"),
        ("--array 3-1", "holds no index"),
        ("--array 0-3%0", "'%0' is no limit"),
        ("--sweep learning-rat=1", "did you mean 'learning_rate'?"),
        ("--sweep lr=1e-4", "sweep: unknown key 'lr'"),
        ("--sweep priority=1,2", "sweep: unknown key 'priority'"),
        ("--sweep width=8,8", "elements 0 and 1 would do the same work"),
        ("--sweep seed=1 --sweep seed=2", "--sweep seed is given twice"),
        ("--sweep seed=", "error: sweep: '': '' holds no value"),
        ("--sweep seed=0..100000", "error: sweep: '0..100000' asks for 100,001 jobs; an array has at most 10,000"),
        ("--sweep nokey=1", "sweep: unknown key 'nokey'"),
        ("--array 0-3 --sweep seed=1,2", "not both at once"),
        ("--array-limit 4", "there is no array"),
        ("--array 0-3 --sweep width=8,x", "not both at once"),
        ("--sweep width=8,x", "'x'"),
        ("--array 0-3 --name a[{index}]", "'name'"),
    ],
)
def test_a_wrong_array_is_one_clear_error_and_adds_nothing(flags: str, words: str, run: Runner) -> None:
    found = run(*TRAIN, *split(flags))
    assert (found.code, found.out) == (2, ""), found.err
    assert found.err.startswith("error: ")
    assert words in found.err
    assert items(run) == []


def test_jobs_in_which_nothing_is_drawn_need_something_else_that_differs(run: Runner, world: World) -> None:
    world.trained(world.worker(), name="codec")
    found = run("submit", "compress", "--model", "codec", "--array", "0-3")
    assert found.code == 2
    assert "a compress job like this does not depend on its seed" in found.err
    assert len(items(run)) == 1


def test_all_are_added_or_none(run: Runner) -> None:
    found = run("submit", "generate", "--model", "job:{index}", "--n", 5, "--array", "1-3")
    assert found.code == 3
    assert items(run) == []


def test_a_dry_run_prints_the_first_jobs_and_as_json_all(run: Runner) -> None:
    found = run(*TRAIN, "--array", "0-9", "--images", "10k", "--dry-run")
    assert found.out.count("kind: train") == 3
    assert "would submit an array of 10 jobs with 10 tasks, 100k images; nothing was added" in found.err
    assert "-o json prints all" in found.err
    listed = run(*TRAIN, "--array", "0-9", "--dry-run", "-o", "json").json["items"]
    assert [item["seed"] for item in listed] == list(range(10))
    assert items(run) == []


def test_the_same_key_and_array_are_the_same_jobs(run: Runner, world: World) -> None:
    array = (*TRAIN, "--key", "night", "--array")
    assert run(*array, "0-2", "-q").out == "1\n2\n3\n"
    again = run(*array, "0-2")
    assert (again.code, "array 1 was submitted under key 'night' already" in again.err) == (0, True)
    assert run(*array, "0-2", "-q").out == "1\n2\n3\n"
    other = run(*array, "0-3")
    assert other.code == 4
    assert "key 'night' belongs to array 1, which has elements 0-2; 0-3 were asked for" in other.err
    changed = run(*array, "0-2", "--images", "7k")
    assert (changed.code, "belongs to job 1, which asks for something else: images" in changed.err) == (4, True)
    assert run(*TRAIN, "--key", "night").code == 4
    assert run(*TRAIN, "--key", "alone", "-q").code == 0
    alone = run(*TRAIN, "--key", "alone", "--array", "0-1")
    assert (alone.code, "belongs to job 4, which is no array" in alone.err) == (4, True)
    assert len(items(run)) == 4


def test_a_key_finds_its_array_although_a_name_has_come_to_mean_another_version(run: Runner, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    made = ("submit", "generate", "--model", "digits-vae", "--n", 10, "--array", "0-1", "--key", "k", "-q")
    assert run(*made).out == "2\n3\n"
    world.trained(worker, name="other")
    assert run(*made).out == "2\n3\n"


def test_two_large_arrays_do_not_wait_for_each_other_job_by_job(run: Runner) -> None:
    run("submit", "ping", "--array", "0-999", "-q")
    found = run("submit", "ping", "--array", "0-100", "--after", "array:1")
    assert found.code == 2
    assert "101 jobs that wait for 1,000 others each are 101,000 dependencies; 100,000 are allowed" in found.err
    assert "let one job stand between" in found.err


def test_schedules_and_pipelines_ask_for_single_jobs(run: Runner) -> None:
    found = run("schedule", "add", "n", "--cron", "0 2 * * *", "-f", "-", stdin="kind: ping\narray: 0-3\n")
    assert found.code == 2
    assert "'array' makes many jobs, and one is wanted here" in found.err
