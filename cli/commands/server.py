"""`pixmill server`: the dashboard."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.context import Workspace, pass_workspace
from cli.output import say
from cli.params import examples
from pixmill.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

PORT = 8765


@click.command(
    "server",
    epilog=examples(
        "pixmill server",
        "pixmill server --allow-writes",
        "pixmill server --host 0.0.0.0 --token-file /etc/pixmill/token --allowed-host pixmill.internal",
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0: any that is free.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Ask everybody for the token in FILE; needed to listen to other machines.",
)
@click.option("--allow-writes", is_flag=True, help="Let jobs be cancelled, held, retried …, and queues be paused.")
@click.option("--allowed-host", "allowed_hosts", multiple=True, metavar="NAME", help="A name it goes by; repeatable.")
@pass_workspace
def command(
    workspace: Workspace,
    host: str,
    port: int,
    token_file: Path | None,
    allowed_hosts: "Sequence[str]",
    *,
    allow_writes: bool,
) -> None:
    """Show jobs, devices, models and images as pages, until SIGTERM or Ctrl-C.

    Only this machine can reach it unless a token is asked for, and it changes nothing unless --allow-writes is given.
    Prints its address; logs go to stderr.
    """
    try:
        from server.options import chosen_options
        from server.reading import ReadingWorkspace
        from server.serving import serve
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in {"starlette", "uvicorn", "httptools"}:
            raise
        raise ConfigError(
            f"the dashboard needs {package}, which is not installed", hint="pip install 'pixmill[server]'"
        ) from error
    from pixmill.logs import log_to_stderr

    options = chosen_options(
        host=host, port=port, token_file=token_file, allow_writes=allow_writes, allowed_hosts=allowed_hosts
    )
    reading = ReadingWorkspace(workspace.config, workspace.home)
    settings = reading.settings  # what is wrong with them is told before anything listens
    log_to_stderr(settings.log.format, settings.log.level)
    serve(reading, options, click.echo)
    say("the dashboard has ended")
