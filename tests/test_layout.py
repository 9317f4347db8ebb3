"""Imports only ever point down: a room imports itself and the rooms below it."""

import ast
import re
from pathlib import Path

import pytest

from chainrule import _core

PACKAGE = Path(__file__).parents[1] / "src" / "chainrule"

# From the ground up.
ROOMS = [
    "_core",
    "errors",
    "caches",
    "trees",
    "checks",
    "system",
    "graph",
    "ops",
    "compiler",
    "execute",
    "nn",
    "optim",
    "data",
    "train",
    "inspect",
    "cli",
]
# These stand on top of all rooms; "" is chainrule/__init__.py.
TOP = ["", "__main__", "testing"]


def level(room):
    return ROOMS.index(room) if room in ROOMS else len(ROOMS)


def module_name(file, package):
    """graph/tensor.py is chainrule.graph.tensor, graph/__init__.py is chainrule.graph."""
    parts = [package.name, *file.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(file, package):
    """(line, full name) of every import statement of a file, inside functions too."""
    name = module_name(file, package)
    parents = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            # `from chainrule import x` may mean the room x or a name of the package itself.
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def room_of(module):
    """The room of a module's full name, "" for the package itself and the names defined in it."""
    room = module.split(".")[1] if "." in module else ""
    return room if room in ROOMS + TOP else ""


def upward_imports(package):
    """'file:line: imports module' for every import that points up."""
    found = []
    for file in sorted(package.rglob("*.py")):
        own = room_of(module_name(file, package))
        for line, module in imported_modules(file, package):
            if module.split(".")[0] != package.name:
                continue
            target = room_of(module)
            if target != own and level(target) >= level(own) and own not in TOP:
                found.append(f"{file.relative_to(package).as_posix()}:{line}: imports {module}")
    return found


def test_imports_point_down():
    assert upward_imports(PACKAGE) == []


def test_every_room_has_a_level():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py"}
    rooms |= {path.name for path in PACKAGE.iterdir() if any(path.glob("*.py"))}
    assert rooms - {"__init__"} <= {*ROOMS, *TOP}


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("graph/tensor.py", "import chainrule.ops"),
        ("graph/tensor.py", "import numpy, chainrule.ops.matmul as matmul"),
        ("graph/tensor.py", "from chainrule.ops import add"),
        ("graph/tensor.py", "from chainrule import ops"),
        ("graph/tensor.py", "from ..ops import add"),
        ("graph/tensor.py", "from .. import ops"),
        ("graph/__init__.py", "from ..ops import add"),
        ("nn/layers/linear.py", "from ...optim import SGD"),
        ("graph/tensor.py", "def f():\n    from chainrule.ops import add"),
        ("nn/module.py", "from chainrule import Tensor"),
        ("nn/module.py", "import chainrule"),
        ("cli/main.py", "import chainrule.testing"),
    ],
)
def test_an_upward_import_is_found(tmp_path, file, statement):
    package = tmp_path / "chainrule"
    (package / file).parent.mkdir(parents=True)
    (package / file).write_text(statement)
    assert [found.split(":")[0] for found in upward_imports(package)] == [file]


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("ops/matmul.py", "from chainrule.graph.tensor import Tensor"),
        ("ops/matmul.py", "from ..graph import Tensor"),
        ("ops/matmul.py", "from .shape import reshape"),
        ("nn/layers/linear.py", "from ..module import Module"),
        ("system/machine.py", "from chainrule import _core"),
        ("graph/tensor.py", "import numpy"),
        ("__init__.py", "from .cli import main"),
        ("__init__.py", "from chainrule import testing"),
        ("testing.py", "import chainrule"),
    ],
)
def test_a_downward_import_is_allowed(tmp_path, file, statement):
    package = tmp_path / "chainrule"
    (package / file).parent.mkdir(parents=True, exist_ok=True)
    (package / file).write_text(statement)
    assert upward_imports(package) == []


def parameters(source):
    """{function: names of its parameters} of Python source text; methods as "Class.name"."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = [arg.arg for arg in node.args.args]
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.decorator_list:
                    found[f"{node.name}.{method.name}"] = [arg.arg for arg in method.args.args]
    return found


def native_parameters(module):
    """The same of a nanobind module, from the signatures that it keeps as Python source."""
    found = {}
    for name, member in vars(module).items():
        if name.startswith("_"):
            continue
        methods = vars(member) if isinstance(member, type) else {"": member}
        for method, function in methods.items():
            if hasattr(function, "__nb_signature__") and not isinstance(function, type):
                # A backslash and a number stand in place of a default; arrays are no Python.
                source = re.sub(r"\\\d+", "...", function.__nb_signature__[0][0])
                source = re.sub(r"ndarray\[[^\]]*\]", "ndarray", source)
                (arguments,) = parameters(f"{source}: ...").values()
                found[f"{name}.{method}" if method else name] = arguments
    return found


def test_stub_of_the_core_agrees_with_the_core():
    stub = (PACKAGE / "_core.pyi").read_text(encoding="utf-8")
    found = native_parameters(_core)
    assert "Plan.add" in found and "fma_peak" in found
    assert parameters(stub) == found
