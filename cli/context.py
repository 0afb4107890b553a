"""What every command works on: the workspace that the global options choose, and whether to show where errors arise."""

import os

import click

import client.workspace
from client.workspace import user_name

__all__ = ["Workspace", "pass_workspace", "user_name"]


class Workspace(client.workspace.Workspace):
    """The settings and the database that the global options choose."""

    def __init__(self) -> None:
        super().__init__()
        self.debug = bool(os.environ.get("PIXMILL_DEBUG"))


pass_workspace = click.make_pass_decorator(Workspace)
