"""Imports only ever point down, in no circle, and stand at the top of their files."""

import ast
import functools
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from chainrule import _core

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "chainrule"

# From the ground up.
ROOMS = [
    "_core",
    "errors",
    "dtypes",
    "trees",
    "checks",
    "tables",
    "system",
    "caches",
    "drawing",
    "markup",
    "graph",
    "ops",
    "compiler",
    "execute",
    "nn",
    "optim",
    "data",
    "train",
    "tabular",
    "text",
    "inspect",
    "serve",
    "sklearn",
    "cli",
]
# These stand on top of all rooms; "" is chainrule/__init__.py.
TOP = ["", "__main__", "exercises", "linalg", "metrics", "testing"]
# PyTorch's modules: each says what to import in its place.
TOP += ["autograd", "cuda", "distributions", "utils"]

LAZY_IMPORTS = {
    # Public names, imported at their first use: csv, gzip and pathlib are slow to import.
    ("data/__init__.py", "chainrule.data.datasets"),
    ("data/__init__.py", "chainrule.data.files"),
    # The BLAS library is found and loaded at the first native run, where products need it.
    ("execute/native.py", "chainrule.execute.blas"),
    # Notebooks alone show charts.
    ("train/notebook.py", "chainrule.drawing.charts"),
    # Most models need no linear algebra.
    ("ops/__init__.py", "chainrule.ops.linalg"),
}
"""(file, module) of the allowed imports inside functions, each with its reason above it."""


def level(room):
    return ROOMS.index(room) if room in ROOMS else len(ROOMS)


def module_name(file, package):
    """graph/tensor.py is chainrule.graph.tensor, graph/__init__.py is chainrule.graph."""
    parts = [package.name, *file.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class Import(NamedTuple):
    """One name that an import statement, or a call of import_module, loads."""

    line: int
    module: str
    """The full name; of `from a import b` it is a.b, which may be a module or a name in a."""
    in_function: bool
    for_types: bool
    """Under `if TYPE_CHECKING`, so that it never runs."""


def imports_of(file, package):
    """The imports of a file, at any position."""
    name = module_name(file, package)
    parents = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    yield from _imports_below(tree, parents, in_function=False, for_types=False)


def _name(function):
    """The last name of a called function: f of a.b.f; "" where it has none."""
    return getattr(function, "attr", getattr(function, "id", ""))


def _imports_below(node, parents, in_function, for_types):
    for child in ast.iter_child_nodes(node):
        modules = []
        if isinstance(child, ast.Import):
            modules = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            base = parents[: len(parents) - child.level + 1] if child.level else []
            source = ".".join([*base, *filter(None, [child.module])])
            modules = [f"{source}.{alias.name}" for alias in child.names]
        elif isinstance(child, ast.Call) and _name(child.func).endswith("import_module"):
            modules = [arg.value for arg in child.args if isinstance(arg, ast.Constant)]
        yield from (Import(child.lineno, module, in_function, for_types) for module in modules)
        inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        yield from _imports_below(child, parents, in_function or inner, for_types or types)


@functools.cache
def own_imports(package):
    """(file, import) for every import of the package's own modules, from all of its files."""
    return [
        (file, found)
        for file in sorted(package.rglob("*.py"))
        for found in imports_of(file, package)
        if found.module.split(".")[0] == package.name
    ]


def room_of(module):
    """The room of a module's full name, "" for the package itself and the names defined in it."""
    room = module.split(".")[1] if "." in module else ""
    return room if room in ROOMS + TOP else ""


def upward_imports(package):
    """'file:line: imports module' for every import that points up."""
    upward = []
    for file, found in own_imports(package):
        own, target = room_of(module_name(file, package)), room_of(found.module)
        if target != own and level(target) >= level(own) and own not in TOP:
            name = file.relative_to(package).as_posix()
            upward.append(f"{name}:{found.line}: imports {found.module}")
    return upward


def import_circles(package):
    """{room: files of an import circle in it}; imports for types alone close no circle.

    A circle through several rooms has an import that points up.
    """
    files = {module_name(file, package): file for file in package.rglob("*.py")}
    rooms = {}
    for file, found in own_imports(package):
        name = module_name(file, package)
        target = found.module if found.module in files else found.module.rpartition(".")[0]
        room = room_of(name)
        if not found.for_types and target in files and target != name and room_of(target) == room:
            rooms.setdefault(room, {}).setdefault(name, set()).add(target)
    circles = {}
    for room, targets in rooms.items():
        try:
            TopologicalSorter(targets).prepare()
        except CycleError as error:
            names = error.args[1]
            circles[room] = [files[name].relative_to(package).as_posix() for name in names]
    return circles


def imports_in_functions(package):
    """(file, module) for every import of the package's own modules inside a function.

    Those of the room cli are left out: each command imports what it needs when it runs, so that
    `chainrule --help` comes at once.
    """
    return {
        (file.relative_to(package).as_posix(), found.module)
        for file, found in own_imports(package)
        if found.in_function and room_of(module_name(file, package)) != "cli"
    }


def test_imports_point_down():
    assert upward_imports(PACKAGE) == []


def test_every_room_has_a_level():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py"}
    rooms |= {path.name for path in PACKAGE.iterdir() if any(path.glob("*.py"))}
    assert rooms - {"__init__"} <= {*ROOMS, *TOP}


def plant(package, files):
    for name, source in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(source)
    return package


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
    package = plant(tmp_path / "chainrule", {file: statement})
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
    package = plant(tmp_path / "chainrule", {file: statement})
    assert upward_imports(package) == []


def test_no_import_circle_within_a_room():
    assert import_circles(PACKAGE) == {}


def test_imports_stand_at_the_top_of_their_files():
    assert imports_in_functions(PACKAGE) == LAZY_IMPORTS


@pytest.mark.parametrize(
    "files",
    [
        {"graph/a.py": "from .b import f", "graph/b.py": "from .a import g"},
        {"graph/a.py": "from chainrule.graph import b", "graph/b.py": "import chainrule.graph.a"},
        {"graph/a.py": "from .b import f", "graph/b.py": "def f():\n    from .a import g"},
        {"graph/a.py": "from . import f", "graph/__init__.py": "from chainrule.graph.a import g"},
        {
            "graph/a.py": "from .b import f",
            "graph/b.py": "from .deep.c import h",
            "graph/deep/c.py": "from ..a import g",
        },
    ],
)
def test_an_import_circle_is_found(tmp_path, files):
    (room, circle), *others = import_circles(plant(tmp_path / "chainrule", files)).items()
    assert not others and room == "graph"
    assert set(circle) == set(files) and circle[0] == circle[-1]


@pytest.mark.parametrize(
    "files",
    [
        {"graph/a.py": "from .b import f", "graph/b.py": "import numpy"},
        {
            "graph/a.py": "from .b import f",
            "graph/b.py": "if TYPE_CHECKING:\n    import chainrule.graph.a",
        },
        {"graph/a.py": "from .b import f", "graph/__init__.py": "from .a import g"},
        {"graph/__init__.py": "from chainrule.graph import a", "graph/a.py": ""},
    ],
)
def test_what_is_no_import_circle(tmp_path, files):
    assert import_circles(plant(tmp_path / "chainrule", files)) == {}


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("def f():\n    from chainrule.graph import b", {"chainrule.graph.b"}),
        (
            "class A:\n    def f(self):\n        if self:\n            from . import b",
            {"chainrule.graph.b"},
        ),
        ("f = lambda: import_module('chainrule.graph.b')", {"chainrule.graph.b"}),
        ("def f():\n    importlib.import_module('chainrule.graph.b')", {"chainrule.graph.b"}),
        ("def f():\n    import scipy_openblas32", set()),
        ("if True:\n    from chainrule.graph import b", set()),
    ],
)
def test_an_import_inside_a_function_is_found(tmp_path, source, modules):
    package = plant(tmp_path / "chainrule", {"graph/a.py": source, "cli/c.py": source})
    assert imports_in_functions(package) == {("graph/a.py", module) for module in modules}


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
    """The same for a nanobind module, from its signatures, which are Python source."""
    found = {}
    for name, member in vars(module).items():
        if name.startswith("_"):
            continue
        methods = vars(member) if isinstance(member, type) else {"": member}
        for method, function in methods.items():
            if hasattr(function, "__nb_signature__") and not isinstance(function, type):
                # Defaults are written as a backslash and a number; array types are not Python.
                source = re.sub(r"\\\d+", "...", function.__nb_signature__[0][0])
                source = re.sub(r"ndarray\[[^\]]*\]", "ndarray", source)
                (arguments,) = parameters(f"{source}: ...").values()
                found[f"{name}.{method}" if method else name] = arguments
    return found


def test_each_test_file_has_a_name_of_its_own():
    """They lie in no packages, so two of one name can't be collected together."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)) > 100


def test_stub_of_the_core_agrees_with_the_core():
    stub = (PACKAGE / "_core.pyi").read_text(encoding="utf-8")
    found = native_parameters(_core)
    assert "Plan.add" in found and "fma_peak" in found
    assert parameters(stub) == found


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="the documentation is missing")
def test_the_documents_list_the_rooms_in_their_order():
    from_the_top = ROOMS[::-1]
    page = (ROOT / "docs" / "internals.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"```text\n(cli .*?)```", page, re.DOTALL)
    assert re.findall(r"^\w+", listed, re.MULTILINE) == from_the_top
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"\| room \| what it does \|\n\|---\|---\|\n(.*?)\n\n", page, re.DOTALL)
    cells = "".join(row.split("|")[1] for row in listed.splitlines())
    assert [*re.findall(r"`(\w+)`", cells), "_core"] == from_the_top
    (listed,) = re.findall(r"On top of all of them stand (.*?)\n\n", page, re.DOTALL)
    assert {*re.findall(r"`(\w+)`", listed)} == {name or "__init__" for name in TOP}
