"""Images on the command line: `--model cnn`, folders of images, sets in their own files."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chainrule as cr
from chainrule.train.model_file import read

QUICK = ["--epochs", 1, "--channels", "2,3", "--hidden", "4"]


def accuracy(output, part="test"):
    return float(re.search(rf"^{part} +accuracy ([\d.]+)%", output, re.MULTILINE)[1])


def colours(root, names=("blue", "green"), rows=6, size=(8, 10), seed=0):
    """Images of noise in folders, brighter in the channel of their colour."""
    random = np.random.default_rng(seed)
    for name in names:
        folder = root / name
        folder.mkdir(parents=True)
        for i in range(rows):
            pixels = random.integers(0, 90, (*size, 3))
            pixels[..., ("red", "green", "blue").index(name)] += 150
            file = folder / f"{i}.{('jpg', 'png')[i % 2]}"
            Image.fromarray(pixels.astype(np.uint8)).save(file)
    return root


def test_digits_by_a_cnn(run):
    found = run("train", "digits", "--model", "cnn", "--epochs", 8, "--out", "m")
    assert accuracy(found.stdout) >= 98.5
    kinds = [type(layer).__name__ for layer in cr.load("m")]
    stage = ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]
    head = ["Flatten", "Linear", "ReLU", "Dropout", "Linear"]
    assert kinds == ["Unflatten", "BatchNorm2d", *stage, *stage, *head]
    assert re.search(r"^ReLU\(\) +32 × 4 × 4 *$", found.stdout, re.MULTILINE)
    assert re.search(r"^MaxPool2d.* 32 × 2 × 2", run("info", "m").stdout, re.MULTILINE)
    evaluated = run("evaluate", "m", "digits").stdout
    assert f"{accuracy(found.stdout):.2f}%" in evaluated
    # An image in a file goes to a model of such images, too.
    digits = cr.data.datasets.digits()
    Image.fromarray((255 * digits.x_test[0]).astype(np.uint8)).save("one.png")
    assert run("predict", "m", "one.png").stdout == f"file,prediction\none.png,{digits.y_test[0]}\n"


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        ((8, 8), (16, 32)),
        ((28, 28), (16, 32)),
        ((3, 32, 32), (16, 32, 64)),
        ((3, 64, 40), (16, 32, 64, 128)),
        ((3, 224, 224), (16, 32, 64, 128, 256)),
        ((1, 900, 900), (16, 32, 64, 128, 256, 256, 256)),
    ],
)
def test_larger_images_have_more_convolutions(shape, channels):
    from chainrule.cli.building import default_channels

    assert default_channels(shape) == channels


@pytest.mark.parametrize("shape", [(5, 1), (1, 1), (2, 4, 7)])
def test_small_and_odd_images(run, shape):
    random = np.random.default_rng(0)
    y = np.arange(40) % 2
    np.savez("x.npz", x=random.normal(size=(40, *shape)) + y.reshape(-1, *[1] * len(shape)), y=y)
    run("train", "x.npz", "--model", "cnn", *QUICK, "--channels", "2,3,2", "--out", "m")
    assert "40 rows" in run("evaluate", "m", "x.npz").stdout


def test_a_regression_on_images(run):
    x = np.random.default_rng(0).normal(size=(60, 6, 6))
    np.savez("x.npz", x=x, y=x.mean((1, 2)) + 7)
    assert "rmse" in run("train", "x.npz", "--model", "cnn", *QUICK, "--activation", "gelu").stdout


@pytest.mark.parametrize("model", ["cnn", "mlp"])
def test_a_folder_of_images(run, fails, tmp_path, model):
    root = colours(tmp_path / "photos", rows=20)
    options = ["--model", "mlp"] if model == "mlp" else []
    found = run("train", root, *options, "--epochs", 8, "--hidden", "8", "--out", "m")
    assert "3 × 8 × 10 numbers, 32 to train on, 8 to validate" in found.stdout
    assert "classification, 2 classes: blue, green\n" in found.stdout
    assert accuracy(found.stdout, "validation") == 100
    assert read("m")[1]["metadata"]["classes"] == ["blue", "green"]
    assert "blue, green" in run("info", "m").stdout
    other = colours(tmp_path / "other", rows=3, seed=1)
    lines = run("predict", "m", other, "--proba").stdout.splitlines()
    assert lines[0] == "file,prediction,probability_blue,probability_green"
    for line in lines[1:]:
        file, label, *_ = line.split(",")
        assert Path(file).parent.name == label
    (tmp_path / "none").mkdir()
    assert "none holds no images (" in fails("predict", "m", tmp_path / "none")
    one = other / "green" / "0.jpg"
    assert run("predict", "m", one).stdout == f"file,prediction\n{one},green\n"
    assert re.search(r"^green +3 +100.0%", run("evaluate", "m", other).stdout, re.MULTILINE)


def test_a_folder_with_a_test_part_and_sizes(run, fails, tmp_path):
    root = tmp_path / "photos"
    colours(root / "train", rows=8, size=(20, 30))
    colours(root / "test", rows=4, size=(9, 12))
    assert "Give --size 20x30" in fails("train", root, *QUICK)
    found = run("train", root, "--size", "6x8", "--grayscale", *QUICK, "--out", "m")
    assert "1 × 6 × 8 numbers, 16 to train on, 8 to test on" in found.stdout
    assert "8 rows" in run("evaluate", "m", root / "test").stdout
    run("predict", "m", root / "train" / "blue" / "1.png")
    run("train", root / "test", "--size", 4, *QUICK, "--out", "m")
    (root / "test").rename(root / "val")
    assert "holds train, val, which seem to be parts of the data" in fails("train", root)


def test_a_model_is_used_on_the_parts_that_it_was_trained_on(run, fails, tmp_path):
    root = tmp_path / "photos"
    colours(root / "train", rows=4)
    colours(root / "test", rows=3, seed=1)
    run("train", root, *QUICK, "--out", "m")
    assert f"{root}: 6 rows" in run("evaluate", "m", root).stdout
    assert f"{root}: 8 rows" in run("evaluate", "m", root, "--part", "train").stdout
    lines = run("predict", "m", root).stdout.splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == sorted(map(str, root.glob("test/*/*")))
    assert len(run("predict", "m", root, "--part", "train").stdout.splitlines()) == 1 + 8
    steps = {
        name: run("explain", "m", *options, "--row", 2).stdout
        for name, options in {
            "train": [root, "--part", "train"],
            "test": [root],
            "alone": [root / "test"],
            "its own": [],
        }.items()
    }
    assert steps["train"] == steps["its own"]
    assert steps["test"] == steps["alone"] != steps["train"]
    assert "there is no --row 6" in fails("explain", "m", root, "--row", 6)
    assert "has no training and test part" in fails("predict", "m", root / "test", "--part", "test")
    (root / "test" / "blue").rename(root / "test" / "red")
    wrong = root / "test" / "red" / "0.jpg"
    assert f"{wrong} has the label red, which is not a class of the model" in fails(
        "evaluate", "m", root
    )
    assert f"{wrong} has the label red" in fails("explain", "m", root, "--row", 3)
    assert "red/0.jpg is one image, whose class is not known" in fails("evaluate", "m", wrong)
    (root / "test").rename(root / "val")
    assert "which seem to be parts of the data" in fails("evaluate", "m", root)
    assert len(run("predict", "m", root).stdout.splitlines()) == 1 + 14


def test_what_is_refused(run, fails, tmp_path, flowers):
    text = fails("train", flowers, "--model", "cnn")
    assert "--model cnn takes images" in text and "has 2 numbers" in text
    for shape, said in (((6, 6, 3), "transpose(0, 3, 1, 2)"), ((1, 2, 3, 4), "(1, 2, 3, 4)")):
        np.savez("x.npz", x=np.zeros((20, *shape)), y=np.arange(20) % 2)
        assert said in fails("train", "x.npz", "--model", "cnn")
    root = colours(tmp_path / "photos")
    assert "--size is for a folder of images" in fails("train", "digits", "--size", 8)
    assert "--grayscale is for a folder" in fails("train", flowers, "--grayscale")
    assert "no size of images" in fails("train", root, "--size", "8x8x8", code=2)
    assert "--channels is an option of --model cnn" in fails(
        "train", "digits", "--channels", 8, code=2
    )
    assert "names. Leave --task regression out" in fails("train", root, "--task", "regression")
    assert "is one image" in fails("train", root / "blue" / "1.png")
    run("train", root, "--epochs", 1, "--out", "images.safetensors")
    (tmp_path / "one.gif").write_bytes(b"GIF89a\xff")
    for command in (
        ["train"],
        ["predict", "images.safetensors"],
        ["evaluate", "images.safetensors"],
    ):
        assert "one.gif is no PNG or JPEG image. Convert it." in fails(
            *command, tmp_path / "one.gif"
        )
    one = tmp_path / "one"
    colours(one, ("red",))
    assert "the one folder red: a folder for each class is needed" in fails("train", one)
    Image.new("RGB", (7, 9)).save(root / "green" / "7.png")
    assert "green/7.png is 9 pixels high and 7 wide, others 8 and 10" in fails("train", root)
    (root / "green" / "7.png").write_bytes(b"no image")
    assert "green/7.png is neither a PNG nor a JPEG image" in fails("train", root)
    (root / "green" / "7.png").unlink()
    run("train", root, *QUICK, "--out", "m")
    Image.new("L", (8, 8)).save("small.png")
    assert "small.png is 8 pixels high and 8 wide, the model takes 8 and 10" in fails(
        "predict", "m", "small.png"
    )
    assert "rows of shape 8 × 8" in fails("predict", "m", "digits")
    run("train", flowers, "--model", "mlp", "--epochs", 1, "--out", "m")
    assert "was trained on table data" in fails("predict", "m", "small.png")


def test_names_and_numbers_of_classes_do_not_mix(run, fails, tmp_path):
    root = colours(tmp_path / "photos")
    run("train", root, *QUICK, "--out", "m")
    np.savez("x.npz", x=np.zeros((4, 3, 8, 10)), y=np.arange(4) % 2)
    assert "the labels are numbers, as 0; the classes of the model are blue, green" in fails(
        "evaluate", "m", "x.npz"
    )
    colours(tmp_path / "more", ("red", "blue"))
    assert "has the label red, which is not a class of the model: blue, green" in fails(
        "evaluate", "m", tmp_path / "more"
    )


def idx(path, values):
    head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    path.write_bytes(head + values.astype(np.uint8).tobytes())


def test_sets_in_their_own_files(run, fails, tmp_path):
    random = np.random.default_rng(0)
    for part, rows in (("train", 30), ("t10k", 10)):
        idx(tmp_path / f"{part}-images-idx3-ubyte", random.integers(0, 255, (rows, 28, 28)))
        idx(tmp_path / f"{part}-labels-idx1-ubyte", np.arange(rows) % 10)
    for i in range(6):
        name = f"data_batch_{i + 1}.bin" if i < 5 else "test_batch.bin"
        records = random.integers(0, 255, (10, 3073))
        records[:, 0] = np.arange(10)
        (tmp_path / name).write_bytes(records.astype(np.uint8).tobytes())
    for name, label in (("fashion-mnist", "Ankle boot"), ("cifar10", "airplane")):
        data = [name, "--data", tmp_path]
        assert label in run("train", *data, "--model", "cnn", *QUICK, "--out", "m").stdout
        assert label in run("evaluate", "m", *data).stdout
        assert len(run("predict", "m", *data).stdout.splitlines()) == 11
        assert "needs --data FOLDER" in fails("train", name, code=2)
        assert "needs --data FOLDER" in fails("predict", "m", name)
    assert "would overwrite" in fails("train", *data, "--out", tmp_path / "data_batch_3.bin")


def test_a_checkpoint_of_a_cnn(run, fails):
    options = ["train", "digits", "--model", "cnn", *QUICK[2:], "--schedule", "constant"]
    options += ["--checkpoint", "c", "--resume", "--out", "m"]
    run(*options, "--epochs", 1)
    run(*options, "--epochs", 2)
    text = fails(*options, "--epochs", 2, "--channels", "4")
    assert "--channels 2,3, this is 4" in text
    run(*options[:-4], "d", "--epochs", 2, "--out", "whole")
    a, b = read("m")[0], read("whole")[0]
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_a_class_of_the_test_part_alone(run, fails, tmp_path):
    colours(tmp_path / "photos" / "train")
    test = tmp_path / "photos" / "test"
    colours(test, ("green",))
    assert accuracy(run("train", "photos", *QUICK).stdout) >= 0
    colours(test, ("red",))
    words = f"{Path('photos/test/red')} is no class of the training: {Path('photos/train')} holds "
    assert f"{words}blue, green" in fails("train", "photos")


def test_without_pillow(fails, monkeypatch, tmp_path):
    colours(tmp_path / "photos")
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install 'chainrule[images]'" in fails("train", "photos")
