"""No command overwrites what it reads, and each finds out before its work what it can't write."""

import gzip
import os

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from quick_training import QUICK

import chainrule as cr
from chainrule import nn
from chainrule.cli import main
from chainrule.train import model_file

LINKS = {"itself": None, "symbolic link": os.symlink, "hard link": os.link}


@pytest.fixture(params=LINKS)
def alias(request, tmp_path):
    """Another name of a file: the same one, or a link to it."""

    def alias(path):
        link = LINKS[request.param]
        if link is None:
            return path
        other = tmp_path / f"other-{path.name}"
        link(path, other)
        return other

    return alias


@pytest.mark.parametrize("option", ["--out", "--history", "--checkpoint"])
def test_training_does_not_overwrite_its_table(fails, flowers, alias, option):
    before = flowers.read_bytes()
    text = fails("train", flowers, *QUICK, option, alias(flowers))
    assert f"{option} " in text and "would overwrite" in text
    assert flowers.read_bytes() == before


def test_training_does_not_write_two_things_into_one_file(fails, flowers, tmp_path, alias):
    (tmp_path / "model").write_bytes(b"old")
    options = ["--out", tmp_path / "model", "--history", alias(tmp_path / "model")]
    assert "would overwrite" in fails("train", flowers, *QUICK, *options)
    assert (tmp_path / "model").read_bytes() == b"old"


def test_predictions_do_not_overwrite_the_model_or_the_data(run, fails, flowers, tmp_path, alias):
    run("train", flowers, *QUICK, "--out", "model")
    for path in (tmp_path / "model", flowers):
        before = path.read_bytes()
        assert "would overwrite" in fails("predict", "model", flowers, "--out", alias(path))
        assert path.read_bytes() == before


def test_nothing_is_written_among_the_files_of_mnist(fails, tmp_path, alias):
    folder = tmp_path / "mnist"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part in ("train", "t10k"):
        images = generator.integers(0, 256, (20, 28, 28), np.uint8)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(
            gzip.compress(
                bytes([0, 0, 8, 3, 0, 0, 0, 20, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(images)
            )
        )
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            bytes([0, 0, 8, 1, 0, 0, 0, 20]) + bytes(i % 10 for i in range(20))
        )
    labels = folder / "t10k-labels-idx1-ubyte"
    options = ["train", "mnist", "--data", folder, *QUICK, "--out"]
    before = labels.read_bytes()
    assert "would overwrite" in fails(*options, alias(labels))
    assert labels.read_bytes() == before
    # It is not there yet, but would be read in place of the compressed one.
    assert "would overwrite" in fails(*options, folder / "train-images-idx3-ubyte")
    assert not (folder / "train-images-idx3-ubyte").exists()


def test_no_image_of_a_folder_is_overwritten(run, fails, tmp_path, alias):
    root = tmp_path / "photos"
    for name in ("train/dark", "train/light", "test/dark", "test/light/more"):
        (root / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (8, 8), (200 * ("light" in name), i, i)).save(root / name / f"{i}.png")
    (root / "notes.txt").write_text("old")
    quick = ["--epochs", 1, "--channels", "2", "--hidden", "4"]
    image = root / "test" / "light" / "more" / "2.png"
    before, other = image.read_bytes(), alias(image)
    for option in ("--out", "--history", "--checkpoint"):
        text = fails("train", root, *quick, option, other)
        assert f"{option} " in text and f"would overwrite {image}" in text
        assert image.read_bytes() == before
    run("train", root, *quick, "--out", root / "notes.txt")  # no image
    image = root / "train" / "dark" / "0.png"
    before, other = image.read_bytes(), alias(image)
    for command in (
        ["predict", root / "notes.txt", root, "--out", other],
        ["explain", root / "notes.txt", root, "--html", other],
        ["explain", root / "notes.txt", "--json", other],  # of the data that it was trained on
    ):
        assert f"would overwrite {image}" in fails(*command)
        assert image.read_bytes() == before


def test_an_explanation_does_not_overwrite_what_the_model_was_trained_on(
    run, fails, flowers, alias
):
    before, other = flowers.read_bytes(), alias(flowers)
    for options in ([], QUICK):
        run("train", flowers, *options, "--epochs", 1, "--out", "m")
        assert f"would overwrite {flowers}" in fails("explain", "m", "--html", other)
        assert flowers.read_bytes() == before


@pytest.mark.parametrize("option", ["--out", "--history", "--checkpoint"])
def test_a_name_that_is_too_long(fails, flowers, option):
    assert "too long" in fails("train", flowers, *QUICK, option, "n" * 300)


def test_no_room_for_the_model(start, flowers, tmp_path):
    """A limit on the size of files stands for the disk. No epoch is begun."""
    process = start(
        "train", flowers, *QUICK, "--hidden", 512, "--out", "model", before="ulimit -f 1"
    )
    output, errors = process.communicate()
    assert process.returncode == 1 and "can't save model" in errors and "epoch 1" not in output
    assert not (tmp_path / "model").exists()


def test_predictions_without_a_standard_output(run, start, flowers):
    run("train", flowers, *QUICK, "--out", "model")
    process = start("predict", "model", flowers, before="exec >&-")
    assert "standard output is closed" in process.communicate()[1]
    assert process.returncode == 1
    if os.path.exists("/dev/full"):
        process = start("predict", "model", flowers, before="exec >/dev/full")
        assert "No space left" in process.communicate()[1]
        assert process.returncode != 0
        process = start("predict", "model", flowers, "--out", "/dev/full")
        assert "can't save /dev/full: No space left" in process.communicate()[1]
    process = start("predict", "model", flowers, "--out", "predictions", before="exec >&-")
    process.communicate()
    assert process.returncode == 0


def test_other_commands_without_a_standard_output(run, start, flowers):
    run("train", flowers, *QUICK, "--out", "model")
    process = start("explain", "model", flowers, before="exec >&-")
    assert process.communicate()[1].startswith("Error: standard output is closed")
    if os.path.exists("/dev/full"):
        for option in ("--help", "--version"):
            process = start(option, before="exec >/dev/full")
            assert process.communicate()[1] == "Error: No space left on device\n"
            assert process.returncode == 1


def test_signs_that_the_encoding_of_the_output_lacks(run, start, flowers):
    latin = "export PYTHONIOENCODING=latin-1"
    run("train", flowers, *QUICK, "--out", "model")
    process = start("info", "model", before=latin)
    process.stdout.reconfigure(encoding="latin-1")
    output, errors = process.communicate()
    assert "3 classes: -5, 10, 20" in output and not errors
    process = start("explain", "model", flowers, before=latin)
    output, errors = process.communicate()
    assert "z1" in output and "->" in output and output.isascii() and not errors
    flowers.write_text("x,kind\n" + "1,\u0436\n2,b\n" * 20, encoding="utf-8")
    run("train", flowers, "--preset", "fast", "--epochs", 1, "--out", "model")
    process = start("predict", "model", flowers, "--proba", before=latin)
    assert "encoding latin-1, without the sign '\\u0436'" in process.communicate()[1]


def test_a_hyphen_is_standard_output_for_text_alone(run, fails, flowers, tmp_path):
    run("train", flowers, *QUICK, "--out", "model")
    want = run("predict", "model", flowers).stdout
    assert run("predict", "model", flowers, "--out", "-").stdout == want
    for command in (["train", flowers, *QUICK, "--out", "-"], ["explain", "model", "--html", "-"]):
        assert "takes the name of a file, not -" in fails(*command)
    assert not (tmp_path / "-").exists()


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_link_that_leads_back_to_itself(fails, flowers, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert "a link that leads back to itself" in fails("train", flowers, *QUICK, "--out", "loop")
    with pytest.raises(OSError, match="leads back to itself"):
        cr.save(nn.Linear(1, 1), tmp_path / "loop")
    assert (tmp_path / "loop").is_symlink()


def test_a_reader_of_the_output_that_has_gone(start, tmp_path):
    """As `head`: a pipe does not hold all that is written. The model has no fault."""
    cr.save(nn.Sequential(*[nn.ReLU() for _ in range(5000)]), tmp_path / "model")
    process = start("info", "model")
    assert process.stdout.readline().startswith("file")
    process.stdout.close()
    assert process.stderr.read() == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_pipes_for_files(fails, run, flowers, tmp_path):
    run("train", flowers, *QUICK, "--out", "model")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.npz")
    for arguments in (
        ["train", "pipe"],
        ["train", "pipe.npz"],
        ["predict", "pipe", flowers],
        ["predict", "model", "pipe"],
        ["predict", "model", "pipe.npz"],
        ["evaluate", "model", "/dev/zero"],
        ["info", "pipe"],
    ):
        assert "is a pipe or a device" in fails(*arguments)
    # Before the training, which would be lost.
    assert "it is a pipe. Name a file" in fails("train", flowers, *QUICK, "--out", "pipe")
    for arguments in (
        ["train", flowers, *QUICK, "--history", "pipe"],
        ["predict", "model", flowers, "--out", "pipe"],
    ):
        assert "it is a pipe that no program reads" in fails(*arguments)


CODES = "\x1b[31mred\x07"


def test_no_escape_codes_reach_the_terminal(run, fails, tmp_path):
    table = tmp_path / "table.csv"
    rows = [f"{i},{i * i},{i % 7}" for i in range(40)]
    table.write_text("\n".join([f"a{CODES},b,y{CODES}", *rows]))
    options = [*QUICK, "--task", "regression", "--out", "model"]
    outputs = [run("train", table, *options).output, run("info", "model").output]
    (tmp_path / "bare.csv").write_text(f"c{CODES}\n1\n")
    outputs.append(fails("predict", "model", "bare.csv"))
    (tmp_path / "text.csv").write_text(f"a,b\n1,2\n3,{CODES}\n")
    outputs.append(fails("train", "text.csv", *QUICK))
    description = {"class": CODES, "arguments": {CODES: CODES}}
    model_file.write(tmp_path / "odd", {f"model.{CODES}": np.zeros(2)}, {
        "model": description, "metadata": {"task": CODES}
    })  # fmt: skip
    outputs += [fails("info", "odd"), fails("predict", "odd", table)]
    model_file.write(tmp_path / "odd", {f"model.{CODES}": np.zeros(2)}, {
        "model": description
    })  # fmt: skip
    outputs.append(run("info", "odd").output)
    outputs.append(run("predict", "model", table, "--out", f"{CODES}.csv").output)
    outputs.append(run("explain", "model", table, "--html", f"{CODES}.html").output)
    for output in outputs:
        assert "\x1b" not in output and "\x07" not in output
    assert sum("x1b[31mred" in output for output in outputs) >= 7


def described(path, change):
    tensors, description = model_file.read(path)
    change(description)
    model_file.write(path, tensors, description)


ODD = [None, [], {}, "x", 10**30, -1, 1e300, True, [[]], {"a": None}]


@pytest.mark.parametrize("command", ["info", "predict", "resume"])
def test_a_description_that_is_odd_anywhere_is_told_in_one_line(run, flowers, command, tmp_path):
    options = ["train", flowers, *QUICK, "--out", "model", "--checkpoint", "state"]
    run(*options)
    good, checkpoint = (tmp_path / "model").read_bytes(), (tmp_path / "state").read_bytes()
    places = [("metadata",), ("model",), ("training",)]
    metadata = cr.read_metadata("model")
    places += [("metadata", name) for name in metadata]
    places += [("metadata", "data", name) for name in metadata["data"]]
    places += [("metadata", "options", name) for name in list(metadata["options"])[::4]]
    places += [("training", name) for name in ("history", "epoch", "optimizer")]
    generator = np.random.default_rng(0)
    for place in places:
        odd = ODD[generator.integers(len(ODD))]
        (tmp_path / "model").write_bytes(good)
        (tmp_path / "state").write_bytes(checkpoint)
        arguments = {
            "info": ["info", "model"],
            "predict": ["predict", "model", flowers],
            "resume": [*options, "--resume"],
        }[command]

        def change(description, place=place, odd=odd):
            *way, last = place
            for name in way:
                description = description[name]
            description[last] = odd

        described("state" if command == "resume" else "model", change)
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            place, odd, result.exc_info,
        )  # fmt: skip
        assert result.exit_code in (0, 1), (place, odd, result.output)
