"""Files are written whole or not at all, with no trace in the process or in the folder."""

import os
import stat
import subprocess
import sys
import threading

import pytest

from chainrule.system.atomic_files import check_writable, write_atomically

posix = pytest.mark.skipif(os.name != "posix", reason="of POSIX")


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_permissions_of_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "new", b"1")
        (tmp_path / "other").touch()
    finally:
        os.umask(before)
    found, wanted = (stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("new", "other"))
    assert found == wanted == 0o666 & ~mask


@posix
def test_other_threads_never_see_another_umask(tmp_path):
    """Nor does a file that replaces a private one show its content to others meanwhile."""
    (tmp_path / "private").write_bytes(b"0")
    (tmp_path / "private").chmod(0o600)
    done, modes = threading.Event(), set()

    def make_files():
        while not done.is_set():
            path = tmp_path / "of another thread"
            path.touch()
            modes.add(stat.S_IMODE(path.stat().st_mode))
            path.unlink()
            for name in os.listdir(tmp_path):
                if name.startswith(".private"):
                    try:
                        modes.add(stat.S_IMODE(os.stat(tmp_path / name).st_mode) | 0o044)
                    except FileNotFoundError:
                        continue

    before = os.umask(0o022)
    thread = threading.Thread(target=make_files)
    thread.start()
    try:
        for i in range(300):
            write_atomically(tmp_path / "new", b"1" * i)
            (tmp_path / "new").unlink()
            write_atomically(tmp_path / "private", b"1" * i)
    finally:
        done.set()
        thread.join()
        os.umask(before)
    assert modes == {0o644}
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


KILLED = """
import os, sys
from chainrule.system.atomic_files import write_atomically
os.fsync = lambda handle: os.kill(os.getpid(), 9)
write_atomically(sys.argv[1], b"half")
"""


@posix
def test_what_a_killed_program_leaves_is_removed_by_the_next_one(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for _ in range(3):
        subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert len(os.listdir(tmp_path)) == 2 and path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert os.listdir(tmp_path) == ["file"] and path.read_bytes() == b"new"


@posix
def test_what_lies_under_the_name_of_the_temporary_file_is_not_written_to(tmp_path):
    (tmp_path / "mine").write_bytes(b"1")
    os.link(tmp_path / "mine", tmp_path / ".a.0.new")
    os.symlink(tmp_path / "mine", tmp_path / ".b.0.new")
    (tmp_path / ".c.0.new").mkdir()
    for name in "abc":
        write_atomically(tmp_path / name, b"22")
        assert (tmp_path / name).read_bytes() == b"22"
    assert (tmp_path / "mine").read_bytes() == b"1"


def test_several_programs_may_write_to_one_path(tmp_path):
    path, errors = tmp_path / "file", []

    def write(sign):
        try:
            for _ in range(50):
                write_atomically(path, sign * 1000)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=[sign]) for sign in (b"a", b"b", b"c", b"d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert os.listdir(tmp_path) == ["file"] and len(set(path.read_bytes())) == 1


def test_the_longest_names(tmp_path):
    for length in (200, 240, 255):
        write_atomically(tmp_path / ("n" * length), b"1")
        assert (tmp_path / ("n" * length)).read_bytes() == b"1"
        write_atomically(tmp_path / ("n" * length), b"2")
    assert len(os.listdir(tmp_path)) == 3
    for call in (check_writable, lambda path: write_atomically(path, b"")):
        with pytest.raises(OSError, match=r"can't save .*too long"):
            call(tmp_path / ("n" * 256))
    assert len(os.listdir(tmp_path)) == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing/file", "the folder .*missing is missing"),
        ("folder", "it is a folder"),
        ("file/below", "can't save"),
    ],
)
def test_what_can_not_be_written_is_found_before(tmp_path, name, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OSError, match=words):
        check_writable(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_room_is_looked_for_and_given_back(tmp_path):
    if not hasattr(os, "posix_fallocate"):
        pytest.skip("no posix_fallocate")
    (tmp_path / "file").write_bytes(b"old")
    check_writable(tmp_path / "file", 10**6)
    with pytest.raises(OSError, match="can't save"):
        check_writable(tmp_path / "file", 10**18)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_written_to_if_a_program_reads_it(tmp_path):
    path, content = tmp_path / "pipe", b"0123456789" * 30_000  # more than a pipe holds
    os.mkfifo(path)
    with pytest.raises(OSError, match="it is a pipe that no program reads"):
        write_atomically(path, content)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    with os.fdopen(reader, "rb") as file:
        writer = threading.Thread(target=write_atomically, args=(path, content))
        writer.start()
        found = b""
        while len(found) < len(content):
            found += os.read(reader, 1 << 16)
        writer.join()
        assert file.read() == b""
    assert found == content
