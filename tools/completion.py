"""Shell completion of the operator's command."""

import shlex
from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script

from tools.target import ROOT

NAME = "ringpost"
VARIABLE = "_RINGPOST_COMPLETE"
CALLS = {"bash": "$1", "zsh": f"complete_zsh {NAME}", "fish": f"(commandline -cp) {NAME}"}
"""Where typer's scripts call the command by its name, which need not be on the PATH."""


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help=f"One of {', '.join(Shell)}.")],
) -> None:
    """Print what a shell needs to complete commands and options. For bash: eval "$(./ringpost completion bash)"."""
    script = get_completion_script(prog_name=NAME, complete_var=VARIABLE, shell=shell)  # nosec B604 (the name of one)
    call, path = CALLS[shell], shlex.quote(str(ROOT / NAME))
    typer.echo(script.replace(call, call.replace("$1", NAME).replace(NAME, path)))
