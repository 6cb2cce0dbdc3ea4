"""Reports on the screen and as files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from shared.domain.objections import NotValid
from shared.journal.reports import Numbers
from shared.operators import reports
from shared.operators.reports import Counted, Wanted
from shared.pages import formats
from tools.office import EVERYTHING, open_office
from tools.stack_access import stack
from tools.target import Json, fail, print_json

COLUMNS = (
    "requests", "pings", "refused", "bids", "sales", "fill_percent", "revenue_cents", "payout_cents", "margin_cents",
)  # fmt: skip
"""Of those on the screen. A file has all."""


def report(
    context: typer.Context,
    named: Annotated[str, typer.Argument(metavar="RANGE", help=f"One of {', '.join(reports.RANGES)}.")] = "",
    start: Annotated[str, typer.Option("--from", help="The first day, like 2026-11-01, in place of a range.")] = "",
    end: Annotated[str, typer.Option("--to", help="The last day; today without one.")] = "",
    zone: Annotated[str, typer.Option(help="A time zone, like America/New_York; without one, the account's.")] = "",
    by: Annotated[str, typer.Option(help=f"Up to three of {', '.join(reports.GROUPS)}, with commas.")] = "",
    sort: Annotated[str, typer.Option(help="The name of a group or of a number.")] = "",
    order: Annotated[str, typer.Option(help="up or down.")] = "",
    dated_by: Annotated[str, typer.Option(help="sale or event: by which time what belongs to a sale counts.")] = "",
    limit: Annotated[str, typer.Option(help="How many groups at most; 100 without.")] = "",
    numbers: Annotated[str, typer.Option(help="all, or counts: faster, without times and live buyers.")] = "",
    csv: Annotated[Path | None, typer.Option(help="Write all numbers to this file, too.")] = None,
    as_json: Json = False,
) -> None:
    """Count what happened in a range: requests, pings, sales, amounts, in groups."""
    wanted = Wanted(
        range=named,
        start=start,
        end=end,
        zone=zone,
        by=by,
        sort=sort,
        order=order,
        dated_by=dated_by,
        limit=limit,
        numbers=numbers,
    )
    with stack(context) as records, open_office(records) as office:
        try:
            found = reports.describe(office, reports.read_report(office, EVERYTHING, wanted))
        except NotValid as wrong:
            said = [(name, each) for name, sentences in wrong.errors.items() for each in sentences]
            fail("\n".join(f"Or ask Athena:\n{each}" if name == "athena" else f"{name} {each}" for name, each in said))
    if csv:
        try:
            csv.write_text(reports.csv_of(found, EVERYTHING), newline="")
        except OSError as wrong:
            fail(f"{csv}: {wrong.strerror}.")
    if as_json:
        print_json(found)
        return
    for line in _table(found):
        typer.echo(line)


def _table(found: Counted) -> list[str]:
    heads = [name.removesuffix("_cents").replace("_percent", " %") for name in COLUMNS]
    rows = [[*(group.keys[name] or "none" for name in found.by), *_cells(group.numbers)] for group in found.items]
    rows = rows if found.by else []
    for said, numbers in (("all", found.total), ("before", found.before.numbers)):
        rows.append([said, *[""] * (len(found.by) - 1), *_cells(numbers)])
    table = [[*(found.by or [""]), *heads], *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [_line(row, widths, len(found.by) or 1) for row in table]


def _line(row: Sequence[str], widths: Sequence[int], keys: int) -> str:
    cells = [cell.ljust(width) if place < keys else cell.rjust(width) for place, (cell, width) in enumerate(
        zip(row, widths, strict=True))]  # fmt: skip
    return "  ".join(cells).rstrip()


def _cells(numbers: Numbers) -> list[str]:
    return [_cell(name, getattr(numbers, name)) for name in COLUMNS]


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name.endswith("_cents"):
        return formats.money(int(value))
    return f"{value:.1f}" if name.endswith("_percent") else formats.plain(int(value))
