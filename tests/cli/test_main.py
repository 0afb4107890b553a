import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cli.commands.job.group import COMMANDS as JOB_COMMANDS
from cli.main import SECTIONS
from pixmill import __version__
from tests.cli.running import REPOSITORY, Runner, environment, in_subprocess
from tests.cli.tree import COMMANDS

HEAVY = ("torch", "celery", "redis", "alembic", "kombu", "pyarrow", "numpy", "rich", "jinja2")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example(name: str, run: Runner) -> None:
    found = run(*name.split()[1:], "--help")

    assert found.code == 0
    assert re.search(r"^  Examples?:\n    \S", found.out, re.MULTILINE)
    described = found.out.partition("\n\n")[2]
    assert re.match(r"  [A-Z].*\.", described, re.DOTALL)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_command_name_commands_that_exist(name: str) -> None:
    epilog = COMMANDS[name].epilog or ""
    for call in re.findall(r"(?<![/\w])pixmill((?: [a-z]+)+)", epilog):
        words = call.split()
        assert any(f"pixmill {' '.join(words[:length])}" in COMMANDS for length in (1, 2)), call


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_explains_itself(name: str) -> None:
    options = [option for option in COMMANDS[name].params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_the_page_of_the_command_line_has_a_section_for_each_command() -> None:
    page = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    titles = set(re.findall(r"^#+ `(pixmill[^`]*)`", page, re.MULTILINE))
    leaves = {name for name, command in COMMANDS.items() if not isinstance(command, click.Group)}
    shortcuts = {name for name in leaves if name.split()[1] in {"ps", "logs", "wait", "cancel"}}
    submits = {name for name in leaves if "submit" in name.split()[:-1]}

    assert titles == (leaves - shortcuts - submits) | {"pixmill submit"}


def test_the_page_of_the_command_line_names_every_option() -> None:
    page = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    named = {
        opt
        for command in COMMANDS.values()
        for option in command.params
        if isinstance(option, click.Option)
        for opt in [*option.opts, *option.secondary_opts]
        if opt.startswith("--")
    }
    assert {option for option in named if f"`{option}" not in page} == set()


def test_help_of_the_root_imports_no_command_and_is_quick() -> None:
    code = "import sys, time\nfrom cli.main import command\ncommand(['--help'])"
    tell = "lambda: print(time.process_time(), *sys.modules, file=sys.stderr)"
    script = f"import atexit\natexit.register({tell})\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=True)

    seconds, *names = done.stderr.split()
    loaded = set(names)
    assert "cli.main" in loaded
    assert loaded.isdisjoint({*HEAVY, "pydantic", "sqlalchemy"})
    assert not [name for name in loaded if name.startswith("cli.commands")]
    assert float(seconds) < 0.5  # of processor time; 0.15 on an idle machine


def test_ps_never_imports_what_only_others_need(home: Path) -> None:
    script = (
        "import sys\nfrom cli.main import command\n"
        "try:\n    command(['ps', '-o', 'json'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=True)

    loaded = set(done.stderr.split())
    assert "sqlalchemy" in loaded
    assert loaded.isdisjoint(HEAVY)
    assert "pixmill.specs" not in loaded  # its models alone take a tenth of a second
    # Of databases and tables only what is asked: each table costs milliseconds, the other dialect forty.
    assert loaded.isdisjoint({"psycopg", "sqlalchemy.dialects.postgresql"})
    assert loaded.isdisjoint(f"db.tables.{name}" for name in ("models", "pipelines", "published", "schedules", "all"))


def test_a_dry_run_of_a_train_job_never_imports_torch(home: Path) -> None:
    args = "['submit', 'train', '--model', 'vae', '--dataset', 'digits', '--dry-run']"
    script = (
        f"import sys\nfrom cli.main import command\n"
        f"try:\n    command({args})\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=True)

    assert set(done.stderr.split()).isdisjoint({"torch", "celery", "redis", "alembic"})


def test_the_module_runs_as_the_command() -> None:
    assert in_subprocess("--version").out == f"pixmill {__version__}\n"


def test_an_unknown_command_is_a_usage_error_that_names_the_nearest(run: Runner) -> None:
    found = run("pss")
    assert (found.code, found.out) == (2, "")
    assert "no command 'pss'; did you mean 'ps'?" in found.err
    assert "hint:  pixmill --help" in found.err


def test_an_unknown_option_names_the_nearest(run: Runner) -> None:
    found = run("ps", "--stat", "failed")
    assert found.code == 2
    assert "--state" in found.err
    assert "hint:  pixmill ps --help" in found.err


def test_a_global_option_after_the_command_is_told_where_it_goes(run: Runner) -> None:
    assert "it goes before the command: pixmill --home" in run("ps", "--home", "x").err


def test_the_home_option_is_stronger_than_the_variable(run: Runner, tmp_path: Path) -> None:
    other = tmp_path / "other"
    found = run("--home", other, "config", "show", "--sources", "-o", "json")
    (home,) = [item for item in found.json["items"] if item["key"] == "home"]
    assert home == {"key": "home", "value": str(other), "source": "flag"}


def test_the_summaries_of_job_commands_are_those_of_their_shortcuts() -> None:
    daily = dict(SECTIONS[0][1])
    same = {"submit": "submit", "ps": "ls", "logs": "logs", "wait": "wait", "cancel": "cancel"}
    assert {name: daily[name] for name in same} == {name: JOB_COMMANDS[inner] for name, inner in same.items()}


def test_completion_knows_commands_and_options(home: Path) -> None:
    def complete(words: str) -> list[str]:
        number = len(words.split(" ")) - 1
        found = in_subprocess(_PIXMILL_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(number))
        return [line.partition(",")[2] for line in found.lines]

    assert complete("pixmill st") == ["status"]
    assert "--dataset" in complete("pixmill submit train --da")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str, run: Runner) -> None:
    found = run("completion", shell)
    assert found.code == 0
    assert "_PIXMILL_COMPLETE" in found.out
