"""The operator's command. It works on the deployed stage that `--stage` names; else on the stack that the RINGPOST_…
variables name, as the functions do; without them, on the local run.
"""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer._completion_classes import completion_init
from typer.core import TyperCommand, TyperGroup

from tools.target import DATA, Target

NAME = "ringpost"
SECTIONS = {
    "Run and deploy": {
        "run": "tools.running:run",
        "bootstrap": "tools.running:bootstrap",
        "deploy": "tools.running:deploy",
        "destroy": "tools.running:destroy",
    },
    "Configuration": {
        "check": "tools.document:check",
        "diff": "tools.configure:diff",
        "apply": "tools.configure:apply",
        "history": "tools.configure:history",
        "schedules": "tools.outlook:schedules",
        "caps": "tools.outlook:caps",
    },
    "Users": {
        "users": "tools.users:users",
        "tokens": "tools.users:tokens",
        "sign-in": "tools.users:sign_in",
        "sign-out": "tools.users:sign_out",
    },
    "Calls and decisions": {
        "report": "tools.report:report",
        "route": "tools.configure:route",
        "replay": "tools.replay:replay",
        "leases": "tools.leases:app",
        "unsettled": "tools.live:unsettled",
        "settle": "tools.live:settle",
    },
    "Telephone numbers": {
        "numbers": "tools.telephone_numbers:app",
    },
    "Callers": {
        "suppression": "tools.suppression:app",
        "erase": "tools.upkeep:erase",
        "erasures": "tools.upkeep:erasures",
    },
    "Keys and upkeep": {
        "secrets": "tools.live:secrets",
        "journal": "tools.journaling:app",
        "repair": "tools.upkeep:repair",
    },
    "This command": {
        "completion": "tools.completion:completion",
    },
}
"""The commands as the help shows them, each with the module that has it. Only the module of the command that is called
is imported: all of them take two seconds."""


class Lazy(TyperCommand):
    """A command whose module is imported when it is called. Its help is read from the source."""

    def __init__(self, name: str, target: str, section: str) -> None:
        self.module, _, self.attribute = target.partition(":")
        text = _help(self.module, self.attribute)
        first = text.replace("\n", " ").partition(". ")[0].removesuffix(".") + "."
        super().__init__(name, help=text, short_help=first, rich_help_panel=section)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> Any:
        found = getattr(import_module(self.module), self.attribute)
        if isinstance(found, typer.Typer):
            return typer.main.get_group(found)
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(found)
        return typer.main.get_command(alone)


class Commands(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for section, commands in SECTIONS.items():
            self.commands.update({name: Lazy(name, target, section) for name, target in commands.items()})


def _help(module: str, attribute: str) -> str:
    """The docstring of a function, or the `help` of a group."""
    source = Path(__file__).parents[1].joinpath(*module.split(".")).with_suffix(".py")
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name == attribute:
            return ast.get_docstring(node) or ""
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            assigned = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if attribute in assigned:
                return next(_texts(node.value, "help"), "")
    return ""


def _texts(call: ast.Call, keyword: str) -> Iterator[str]:
    return (ast.literal_eval(each.value) for each in call.keywords if each.arg == keyword)


app = typer.Typer(cls=Commands, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        from infra.version import version

        typer.echo(f"{NAME} {version()}")
        raise typer.Exit


@app.callback(help=__doc__)
def _options(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="The data directory of the local run.")] = DATA,
    stage: Annotated[
        str, typer.Option(help="A deployed stage, in the account that your AWS credentials are for.")
    ] = "",
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = Target(data, stage)


def main() -> None:
    completion_init()  # typer does it only for its own completion options
    app(prog_name=NAME)


if __name__ == "__main__":
    main()
