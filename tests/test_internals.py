"""docs/internals.md and CONTRIBUTING.md name files that exist, and names that stand in them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "internals.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
QUOTED = re.compile(r"`([^`\n]+)`")
IN_THE_REPOSITORY = re.compile(r"\w[\w.-]*/[\w./-]*|\w+\.md")
NAME = re.compile(r"\w+((\.|::)\w+)*")

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documentation is missing")


def missing_files(text):
    """The paths in a text that lead nowhere, from the root or from the package."""
    paths = (quoted for quoted in QUOTED.findall(text) if IN_THE_REPOSITORY.fullmatch(quoted))
    folders = ROOT, ROOT / "src" / "chainrule"
    return [path for path in paths if not any((folder / path).exists() for folder in folders)]


def missing_names(text):
    """(file, name) of each name beside a file, in a row of a table, that the file does not have."""
    missing = []
    for row in re.findall(r"^\|.*\|$", text, re.MULTILINE):
        quoted = QUOTED.findall(row)
        files = [q for q in quoted if IN_THE_REPOSITORY.fullmatch(q) and (ROOT / q).is_file()]
        if not files:
            continue
        words = set(re.findall(r"\w+", "".join((ROOT / f).read_text("utf-8") for f in files)))
        for name in quoted:
            if NAME.fullmatch(name) and not words.issuperset(re.findall(r"\w+", name)):
                missing.append((files[0], name))
    return missing


def test_the_files_of_the_page_exist():
    text = PAGE.read_text("utf-8")
    assert text.count("src/chainrule/") > 20
    assert missing_files(text) == []
    assert missing_files(CONTRIBUTING.read_text("utf-8")) == []


def test_the_names_of_the_page_stand_in_their_files():
    text = PAGE.read_text("utf-8")
    assert missing_names(text) == []


def test_a_missing_file_or_name_is_found():
    text = "in `src/chainrule/train/gone.py`, `compiler/lowering.py`, `ops/` and `CONTRIBUTING.md`"
    assert missing_files(text) == ["src/chainrule/train/gone.py", "compiler/lowering.py"]
    row = "| `src/chainrule/train/trainer.py` | `Trainer.fit` calls `no_such_name` |"
    assert missing_names(row) == [("src/chainrule/train/trainer.py", "no_such_name")]
