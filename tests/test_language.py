"""Plain English: words of a private dialect stay out of identifiers and docstrings, first lines say what a thing is or does."""

import ast
import io
import re
import tokenize
from collections import Counter
from pathlib import Path

import pytest

import flowtuple

ROOT = Path(flowtuple.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
DIALECT = {"found", "kept", "asked", "told", "beside", "apart", "held"}
MOST = 20  # of each word in the whole package
RIDDLES = re.compile(
    r"(What|Of|Told|Whether|Where|How|Which|Whose|Those|That|It|Its|Their|Listens|Points|Not|Nothing)\b"
)


def docstrings(text: str) -> list[str]:
    """List the docstrings of a module, its classes and its functions."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    return [docstring for node in nodes if (docstring := ast.get_docstring(node))]


def words(text: str) -> Counter[str]:
    """Count the words of the dialect in a module's docstrings and in the parts of its identifiers."""
    counts: Counter[str] = Counter()
    for docstring in docstrings(text):
        counts.update(re.findall("[a-z]+", docstring.lower()))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            counts.update(token.string.lower().split("_"))
    return Counter({word: count for word, count in counts.items() if word in DIALECT})


def first_lines_to_mend(text: str) -> list[str]:
    """List the first lines that begin like a riddle."""
    lines = [docstring.splitlines()[0] for docstring in docstrings(text)]
    return [line for line in lines if RIDDLES.match(line)]


@pytest.mark.slow
def test_dialect_is_rare():
    counts: Counter[str] = Counter()
    for path in SOURCES:
        counts.update(words(path.read_text(encoding="utf-8")))
    assert {word: count for word, count in counts.items() if count > MOST} == {}


@pytest.mark.slow
def test_first_lines_say_what_a_thing_is_or_does():
    faults = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if (lines := first_lines_to_mend(path.read_text(encoding="utf-8")))
    }
    assert faults == {}


def test_faults_are_seen():
    text = 'def f():\n    """What is kept."""\n    found_here, held = 1, 2\n'
    assert words(text) == {"kept": 1, "found": 1, "held": 1}
    assert first_lines_to_mend(text) == ["What is kept."]
    assert first_lines_to_mend('"""Return the loss."""') == []
