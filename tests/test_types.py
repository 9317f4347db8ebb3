"""Types for users: scripts of theirs pass type checkers, and what is inferred is right."""

import ast
import runpy
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "typed_script.py"


def test_what_users_write_is_well_typed():
    api = pytest.importorskip("mypy.api")
    output, errors, code = api.run(["--config-file", str(ROOT / "pyproject.toml"), str(SCRIPT)])
    assert code == 0, output + errors


def test_and_it_runs(capsys):
    found = runpy.run_path(str(SCRIPT))
    assert len(found["losses"].seen) == 2
    assert "[2.0, 4.0] [2. 2.]" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["data", "nn", "optim", "optim.lr_scheduler", "train"])
def test_public_names_are_put_together_as_type_checkers_read_them(name):
    """Pyright reads lists of texts and other modules' `__all__`, but no `*` in a list."""
    module = import_module(f"chainrule.{name}")
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            assert not [part for part in ast.walk(node) if isinstance(part, ast.Starred)]


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_arguments_that_take_several_types_have_one(name):
    """Without it a checker takes the type of the default, and refuses all others."""
    estimators = pytest.importorskip("chainrule.sklearn")
    notes = getattr(estimators, name).__init__.__annotations__
    given = {"activation", "solver", "batch_size", "learning_rate", "loss", "dropout", "verbose"}
    assert all(notes.get(argument) == "Any" for argument in given)
