"""From an exception to what a person sees and what a script gets: `error: …`, `hint: …`, an exit code."""

import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

import click

from cli.formatting import printable
from cli.output import has_colors
from pixmill.errors import PixmillError, UserError
from pixmill.names import did_you_mean

INTERRUPTED = 130  # as a shell reports SIGINT
LONGEST_MESSAGE = 4000  # characters; it may repeat what was given
_ROOT_OPTIONS = ("--config", "--home", "--debug", "--utc")


def run_reporting(act: Callable[[], object], *, wants_debug: Callable[[], bool]) -> NoReturn:
    """Run a command and end the process with its exit code, whatever it raises."""
    try:
        result = act()
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.Abort as error:
        code = _report_abort(error)
    except click.ClickException as error:
        code = _report_click(error)
    except BrokenPipeError:
        code = _quiet_pipe()
    except PixmillError as error:
        code = report(error, debug=wants_debug())
    except UnicodeEncodeError as error:  # bytes of a command line that are no text reach neither a screen nor a row
        code = report(UserError(f"{error.object[:100]!a} is not UTF-8", hint="give names and texts in UTF-8"))
    except Exception as error:  # noqa: BLE001  the last border: nothing may reach the user as a bare traceback
        code = _report_unexpected(error, debug=wants_debug())
    else:
        code = result if isinstance(result, int) else 0
    sys.exit(code)


def report(error: PixmillError, *, debug: bool = False) -> int:
    """Print an expected error; gives its exit code."""
    if debug:
        traceback.print_exception(error)
    _print(error.message, error.hint)
    return error.exit_code


def _report_click(error: click.ClickException) -> int:
    hint = None
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"{error.ctx.command_path} --help"
    message = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption):
        is_global = error.option_name in _ROOT_OPTIONS
        message = f"no option {error.option_name!r} here" if is_global else _unknown_option(error)
        if is_global:
            hint = f"it goes before the command: pixmill {error.option_name} …"
    _print(message[:1].lower() + message[1:], hint)
    return error.exit_code


def _unknown_option(error: click.NoSuchOption) -> str:
    known = (
        [] if error.ctx is None else [opt for param in error.ctx.command.get_params(error.ctx) for opt in param.opts]
    )
    near = did_you_mean(error.option_name, [opt for opt in known if opt.startswith("--")])
    return f"no option {error.option_name!r}" + (f"; did you mean {near!r}?" if near else "")


def _report_abort(error: click.Abort) -> int:
    if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    click.echo("nothing was changed", err=True)
    return 1


def _report_unexpected(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    first_line = next(iter(str(error).splitlines()), "") or "no message"
    hint = None if debug else "this is a defect; `pixmill --debug …` shows where it comes from"
    _print(f"unexpected {type(error).__name__}: {first_line}", hint)
    return 1


def _quiet_pipe() -> int:
    """The reader of our output has gone: so do we, without another word, not even at the interpreter's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _print(message: str, hint: str | None) -> None:
    message = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"
    colored = has_colors(sys.stderr)
    label = click.style("error:", fg="red", bold=True) if colored else "error:"
    click.echo(f"{label} {printable(message)}", err=True, color=True)
    if hint:
        label = click.style("hint:", bold=True) if colored else "hint:"
        click.echo(f"{label}  {printable(hint)}", err=True, color=True)
