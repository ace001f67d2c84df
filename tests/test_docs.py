"""Links of the documentation: every page, picture and heading that one of them names is there.

So is every test that a page, CONTRIBUTING or the source cites.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCED = re.compile(
    r"^ {0,3}(```+|~~~+).*?^ {0,3}\1[`~]*[ \t]*$", re.MULTILINE | re.DOTALL
)
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
CITED = re.compile(r"(?<![\w/])(?:tests/[\w/]*\w|test_\w+)\.py\b")
CITING = [*PAGES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "src").rglob("*.py"))]
LINKS = (
    re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)"),  # [text](target "title"), pictures, too
    re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE),  # [name]: target
    re.compile(r"""(?:href|src)=["']([^"']+)["']"""),
)


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page: lower case, no punctuation, hyphens for blanks,
    numbered from the second.
    """
    before: Counter[str] = Counter()
    names = set(re.findall(r"""<a (?:id|name)=["']([^"']+)["']""", prose(page)))
    for heading in HEADING.findall(prose(page)):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        names.add(f"{name}-{before[name]}" if before[name] else name)
        before[name] += 1
    return names


def links(page: Path) -> Iterator[str]:
    """Targets within the repository."""
    text = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", prose(page))
    for pattern in LINKS:
        yield from (
            target
            for target in pattern.findall(text)
            if not re.match(r"[a-z][a-z0-9+.-]*:|//", target)
        )


def broken(page: Path) -> list[str]:
    """Links that lead nowhere, and why."""
    found = []
    for target in links(page):
        path, _, anchor = unquote(target).partition("#")
        other = page.parent / path if path else page
        if not other.exists():
            found.append(f"{target}: there is no {path}")
        elif anchor and other.suffix == ".md" and anchor not in anchors(other):
            found.append(f"{target}: no heading is called so")
    return found


def missing_tests(text: str) -> list[str]:
    """Tests that a text cites, by path or by the name of the file alone, and that are not there."""
    tests = ROOT / "tests"
    return [
        cited
        for cited in CITED.findall(text)
        if not (
            (ROOT / cited).is_file() or ("/" not in cited and any(tests.rglob(cited)))
        )
    ]


@pytest.mark.parametrize(
    "page", CITING, ids=[str(page.relative_to(ROOT)) for page in CITING]
)
def test_cited_tests_exist(page: Path) -> None:
    assert missing_tests(page.read_text("utf-8")) == []


def test_a_test_that_is_cited_and_missing_is_named() -> None:
    text = "(`test_docs.py`, `tests/test_docs.py`, tests/cli/test_docs.py, `test_no_such.py`)."
    assert missing_tests(text) == ["tests/cli/test_docs.py", "test_no_such.py"]
    cited = [name for page in CITING for name in CITED.findall(page.read_text("utf-8"))]
    assert len(cited) > 100


@pytest.mark.parametrize(
    "page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES]
)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_pages_have_links_to_follow() -> None:
    assert len(PAGES) > 10
    assert sum(1 for page in PAGES for _ in links(page)) > 20


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text(
        "# p_T of `Jet_pt`, and [more](x.md)\n\n## Again\n\n```\n# none\n```\n\n## Again\n"
    )
    assert anchors(tmp_path / "other.md") == {
        "p_t-of-jet_pt-and-more",
        "again",
        "again-1",
    }
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#again-1) [b](other.md#again-2) ![c](c.png) [d](https://x.org/#y) [e](#here)\n# Here\n"
        "[over two\nlines](other.md#none) `[f](code.md)` <img src='g.png'> [h]\n\n[h]: h.md\n\n```\n[i](i.md)\n```\n"
    )
    assert broken(page) == [
        "other.md#again-2: no heading is called so",
        "c.png: there is no c.png",
        "other.md#none: no heading is called so",
        "h.md: there is no h.md",
        "g.png: there is no g.png",
    ]
