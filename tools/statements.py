"""Statements on the screen, and closing them."""

from pathlib import Path
from typing import Annotated

import typer

from shared.domain.objections import NotFound, NotValid, Refused
from shared.operators import statement_files, statements
from shared.operators.shown_statements import Statement
from shared.pages import formats
from tools.office import EVERYTHING, open_office
from tools.stack_access import stack
from tools.target import Json, fail, print_json

app = typer.Typer(no_args_is_help=True, help="Say what publishers get and buyers owe for a month, and close it.")

Month = Annotated[str, typer.Argument(metavar="MONTH", help="Like 2026-11; this one without it.")]
HEAD = ("", "state", "sales", "calls", "converted", "amount", "corrections", "total")


@app.command(name="list")
def list_(context: typer.Context, month: Month = "", as_json: Json = False) -> None:
    """The statements of everybody of whom there is something in a month."""
    with stack(context) as records, open_office(records) as office:
        try:
            found = statements.list_statements(office, EVERYTHING, month)
        except (NotValid, Refused) as wrong:
            fail(_sentence(wrong))
    if as_json:
        print_json(found)
        return
    _print(found)


@app.command()
def show(
    context: typer.Context,
    party: Annotated[str, typer.Argument(metavar="PARTY", help="publisher:NAME or buyer:ID.")],
    month: Month = "",
    csv: Annotated[Path | None, typer.Option(help="Write lines and corrections to this file, too.")] = None,
    as_json: Json = False,
) -> None:
    """One statement with its corrections."""
    with stack(context) as records, open_office(records) as office:
        try:
            found = statements.read_statement(office, EVERYTHING, party, month)
        except (NotFound, NotValid, Refused) as wrong:
            fail(_sentence(wrong))
    if csv:
        try:
            csv.write_text(statement_files.csv_of(found), newline="")
        except OSError as unwritable:
            fail(f"{csv}: {unwritable.strerror}.")
    if as_json:
        print_json(found)
        return
    _print([found])
    for each in found.corrections:
        what = f"{formats.minute_in(each.at, found.zone)}  {each.kind} of {each.period}  {each.call_id or each.ping_id}"
        typer.echo(f"  {what}  {formats.money(each.amount_cents)}  {each.by}".rstrip())


@app.command()
def close(
    context: typer.Context,
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Like 2026-11.")],
    party: Annotated[str, typer.Argument(metavar="PARTY", help="publisher:NAME or buyer:ID; everybody without.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Close a month for good. Without a party it closes that of everybody, and what is open before it."""
    whose = party or "everybody"
    if not yes and not typer.confirm(f"Close {month} of {whose}? It never changes then."):
        raise typer.Abort
    with stack(context) as records, open_office(records) as office:
        try:
            if party:
                wanted = statements.Close(party, month)
                closed = [statements.close_statement(office, EVERYTHING.name, wanted, None)]
            else:
                closed = []
                for each in statements.close_all(office, EVERYTHING.name, month):
                    typer.echo(f"Closed {each.period} of {each.party}.")
                    closed.append(each)
        except (NotFound, NotValid, Refused) as wrong:
            fail(_sentence(wrong))
    _print([each for each in closed if each.period == month])


def _print(found: list[Statement]) -> None:
    table = [HEAD, *(_cells(each) for each in found)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [cell.ljust(width) if place < 2 else cell.rjust(width) for place, (cell, width) in enumerate(
            zip(row, widths, strict=True))]  # fmt: skip
        typer.echo("  ".join(cells).rstrip())


def _cells(each: Statement) -> tuple[str, ...]:
    amounts = (each.own.amount_cents, each.corrects.amount_cents, each.total.amount_cents)
    counts = (each.total.sales, each.total.calls, each.total.converted)
    return (each.party, each.state, *map(formats.plain, counts), *map(formats.money, amounts))


def _sentence(wrong: NotFound | NotValid | Refused) -> str:
    if isinstance(wrong, NotValid):
        return "\n".join(f"{name} {each}" for name, said in wrong.errors.items() for each in said)
    return str(wrong)
