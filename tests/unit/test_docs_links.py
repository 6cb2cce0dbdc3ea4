"""What the documents point to is there: pages, headings, and files of the repository."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md")})
LOG = ROOT / "docs/decisions/log.md"
OF_THEIR_DAY = {LOG, ROOT / "CHANGELOG.md", ROOT / "LICENSES.md"}
"""Pages whose files may have other names by now."""

LINK = re.compile(r"\[(?:[^\[\]`]|`[^`]*`)*\]\(([^()\s]+)\)")
HEADING = re.compile(r"(?m)^#{1,6} (.+)$")
FENCED = re.compile(r"(?ms)^```.*?^```$")
FILE = re.compile(r"`((?:\.github|\.ci|bench|docs|examples|functions|infra|requirements|shared|tests|tools)/[\w./-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = LINK.findall(FENCED.sub("", page.read_text()))
    assert [link for link in links if not leads_somewhere(page, link)] == []


@pytest.mark.parametrize("page", sorted({*PAGES} - OF_THEIR_DAY), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_is_there(page: Path) -> None:
    named = FILE.findall(FENCED.sub("", page.read_text()))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs/README.md"
    reached, new = {index}, [index]
    while new:
        found = set(linked_pages(new.pop())) - reached
        reached |= found
        new += found
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - reached == set()


def test_every_decision_is_in_the_index_of_the_log_once() -> None:
    index, _, entries = LOG.read_text().partition("\n## 2026-11-23")
    decisions = [slug(heading) for heading in HEADING.findall(f"## 2026-11-23{entries}")]
    rows = re.findall(r"(?m)^\| ([\d-]{10}) \| \[.*?\]\(#(\S+?)\) \| \S.* \|$", index)
    assert sorted(anchor for _, anchor in rows) == sorted(decisions)
    assert [anchor for day, anchor in rows if not anchor.startswith(day)] == []


def leads_somewhere(page: Path, link: str) -> bool:
    if re.match("[a-z]+:", link):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def linked_pages(page: Path) -> Iterator[Path]:
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        target = (page.parent / link.partition("#")[0]).resolve()
        if target.is_dir():
            yield from target.glob("*.md")
        elif target.suffix == ".md" and target.exists():
            yield target


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in HEADING.findall(FENCED.sub("", page.read_text()))}


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
