"""Includes of cpp/ run one way: a room includes itself and the rooms below it, without a circle."""

import re
from pathlib import Path

import pytest

CPP = Path(__file__).parents[2] / "cpp"

# From the ground up; rooms of one line may include each other.
FLOORS = [
    {"kernels/simd"},
    {"kernels/math"},
    {"kernels", "kernels/attention", "kernels/conv", "kernels/gemm"},
    {"plan"},
    {"tasks", "tasks/program"},
    {"runtime"},
    {"bindings"},
]


def sources(root):
    return [file for file in sorted(root.rglob("*")) if file.suffix in {".h", ".cpp", ".def"}]


def includes(root):
    """{file: [(line, file that it includes)]}, as paths from the root; of quoted names only."""
    found = {}
    for file in sources(root):
        lines = file.read_text(encoding="utf-8").splitlines()
        matches = [
            (n, re.match(r'\s*#\s*include\s+"(.+)"', line)) for n, line in enumerate(lines, 1)
        ]
        name = file.relative_to(root).as_posix()
        found[name] = [(n, match[1]) for n, match in matches if match]
    return found


def floor(file):
    room = file.rpartition("/")[0]
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def faults(root):
    """'file:line: what is wrong' of includes that are not written from the root, or point up."""
    graph = includes(root)
    found = []
    for file, lines in graph.items():
        for line, target in lines:
            if target not in graph:
                found.append(f"{file}:{line}: {target} is no path from cpp/")
            elif floor(target) > floor(file):
                found.append(f"{file}:{line}: includes {target}, which is above it")
    return found


def circle(root):
    """The files of a circle of includes, in order; empty if there is none."""
    graph = {file: [target for _, target in lines] for file, lines in includes(root).items()}
    done = set()

    def search(file, path):
        if file in path:
            return [*path[path.index(file) :], file]
        if file in done:
            return []
        for target in graph.get(file, []):
            if found := search(target, [*path, file]):
                return found
        done.add(file)
        return []

    return next((found for file in graph if (found := search(file, []))), [])


def test_includes_are_written_from_the_root_and_point_down():
    assert faults(CPP) == []


def test_no_file_includes_itself_by_way_of_others():
    assert circle(CPP) == []


def test_every_file_is_in_a_room():
    rooms = {file.parent.relative_to(CPP).as_posix() for file in sources(CPP)}
    assert rooms == set().union(*FLOORS)


def test_files_are_short_and_their_names_differ_by_more_than_a_letter():
    for file in sources(CPP):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 500, file
    names = {file.stem for file in sources(CPP) if file.suffix != ".def"}
    assert not {name for name in names if f"{name}s" in names}


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("file", "target"),
    [
        ("plan/plan.h", "tasks/task.h"),
        ("kernels/simd/vector.h", "kernels/kernels.h"),
        ("kernels/simd/vector.h", "kernels/math/power.h"),
        ("kernels/gemm/gemm.h", "plan/plan.h"),
        ("runtime/executor.cpp", "bindings/plan.h"),
    ],
)
def test_an_upward_include_is_found(tmp_path, file, target):
    write(tmp_path, {file: f'#pragma once\n#include "{target}"\n', target: ""})
    assert faults(tmp_path) == [f"{file}:2: includes {target}, which is above it"]
    assert circle(tmp_path) == []


def test_an_include_that_is_not_written_from_the_root_is_found(tmp_path):
    write(tmp_path, {"plan/plan.h": '#include "names.h"\n', "plan/names.h": ""})
    assert faults(tmp_path) == ["plan/plan.h:1: names.h is no path from cpp/"]


def test_a_circle_is_found(tmp_path):
    files = {"plan/a.h": "plan/b.h", "plan/b.h": "plan/c.h", "plan/c.h": "plan/a.h"}
    write(tmp_path, {file: f'#include "{target}"\n' for file, target in files.items()})
    assert faults(tmp_path) == []
    assert circle(tmp_path) == ["plan/a.h", "plan/b.h", "plan/c.h", "plan/a.h"]


def test_a_downward_include_is_allowed(tmp_path):
    write(
        tmp_path, {"tasks/task.h": '#include "plan/plan.h"\n#include <vector>\n', "plan/plan.h": ""}
    )
    assert faults(tmp_path) == []
    assert circle(tmp_path) == []
