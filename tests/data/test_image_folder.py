"""Images by folder, text files: what is read, and what is refused with its path."""

import gzip
import pickle
import struct
import zlib

import numpy as np
import pytest

import chainrule as cr
from chainrule import data, nn, optim

Image = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (3, 6, 5, 3)).astype(np.uint8)


@pytest.fixture
def root(tmp_path):
    """Two classes: three PNG images, one of them in a subfolder; what is no image lies beside."""
    (tmp_path / "dog" / "more").mkdir(parents=True)
    (tmp_path / "cat").mkdir()
    (tmp_path / ".cache").mkdir()
    for path, pixels in zip(("dog/2.png", "dog/more/1.PNG", "cat/x.png"), COLOURS, strict=True):
        Image.fromarray(pixels).save(tmp_path / path, "PNG")
    (tmp_path / "cat" / "notes.txt").write_text("of a cat")
    (tmp_path / "cat" / ".x.png").write_bytes(b"of the system")
    (tmp_path / "cat" / ".copies").mkdir()
    (tmp_path / "cat" / ".copies" / "x.png").write_bytes((tmp_path / "cat/x.png").read_bytes())
    (tmp_path / "readme.txt").write_text("two classes")
    return tmp_path


def test_classes_are_folders(root):
    images = data.ImageFolder(root)
    assert images.classes == ("cat", "dog") and images.class_to_idx == {"cat": 0, "dog": 1}
    assert [p.name for p, _ in images.samples] == ["x.png", "2.png", "1.PNG"]
    assert images.targets == [0, 1, 1] and images.shape == (3, 6, 5)
    x, y = images.arrays()
    assert x.dtype == np.float32 and y.dtype == np.int64 and y.tolist() == images.targets
    wanted = COLOURS[[2, 0, 1]].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(x, wanted / np.float32(255))
    for i, (image, label) in enumerate(images[i] for i in range(len(images))):
        assert image.tolist() == x[i].tolist() and label == y[i]
    as_stored = data.ImageFolder(root, dtype="uint8").arrays()[0]
    assert as_stored.dtype == np.uint8 and as_stored.tolist() == wanted.tolist()
    assert repr(images).endswith("3 images, x float32 (3, 6, 5), 2 classes)")


def test_grey_and_resized_images(root):
    grey, _ = data.ImageFolder(root, (3, 4), grayscale=True, dtype="uint8").arrays()
    assert grey.shape == (3, 1, 3, 4)
    smooth = Image.Resampling.BILINEAR
    wanted = Image.open(root / "cat" / "x.png").convert("L").resize((4, 3), smooth)
    assert grey[0, 0].tolist() == np.asarray(wanted).tolist()
    Image.fromarray(COLOURS[0, :, :, 0]).save(root / "cat" / "grey.jpg")  # one channel in the file
    Image.new("RGBA", (5, 6), (9, 8, 7, 128)).save(root / "cat" / "a.png")
    x, _ = data.ImageFolder(root, dtype="uint8").arrays()
    assert (x[0] == np.array([9, 8, 7])[:, None, None]).all()
    assert (x[1] == x[1, :1]).all()


def test_a_network_learns_a_folder(root):
    images = data.ImageFolder(root)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.05))
    trainer.fit(*images.arrays(), epochs=30, batch_size=3, progress=False)
    loader = data.DataLoader(images, batch_size=2)
    assert trainer.evaluate(loader)["loss"] < 0.1


def test_a_palette_with_transparency(root):
    """Pillow warns of it unless it becomes colours with transparency first."""
    pixels = np.arange(30, dtype=np.uint8).reshape(6, 5) % 2
    image = Image.fromarray(pixels).convert("P")
    image.putpalette([10, 20, 200, 30, 220, 40])
    image.save(root / "cat" / "a.png", transparency=bytes([0, 128]))
    x, _ = data.ImageFolder(root, dtype="uint8").arrays()
    wanted = np.array([[10, 20, 200], [30, 220, 40]])[pixels]
    assert x[0].tolist() == wanted.transpose(2, 0, 1).tolist()


def png_of_16_bits(pixels):
    """A PNG of colours with 16 bits, which Pillow reads with 8 and does not write."""
    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        ("cat/b.png", b"no image", "b.png is neither a PNG nor a JPEG"),
        ("cat/b.jpg", b"", "b.jpg is neither a PNG nor a JPEG"),
        ("cat/b.gif", b"GIF89a", "b.gif is no PNG or JPEG image. Convert"),
        ("cat/y.png", (4, 5), r"y.png is 5 pixels high and 4 wide, .*x.png 6 and 5. Give size="),
        ("cat/y.png", "cut", "y.png cannot be read as an image"),
        ("cat/y.png", "deep", "y.png has pixels of more than 8 bits"),
        ("cat/y.png", "deep colours", "y.png has pixels of more than 8 bits"),
    ],
)
def test_faulty_images_are_named(root, path, content, words):
    whole = (root / "cat" / "x.png").read_bytes()
    if content == "deep":
        Image.fromarray(np.zeros((6, 5), np.uint16)).save(root / path)
    elif content == "deep colours":
        (root / path).write_bytes(png_of_16_bits(np.zeros((6, 5, 3), np.uint16)))
    elif content == "cut":
        (root / path).write_bytes(whole[: len(whole) * 2 // 3])
    elif isinstance(content, tuple):
        Image.new("RGB", content).save(root / path)
    else:
        (root / path).write_bytes(content)
    with pytest.raises(cr.FileError, match=words):
        data.ImageFolder(root).arrays()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda r: data.ImageFolder(r / "cat"), FileNotFoundError, "images, but no folders"),
        (lambda r: data.ImageFolder(r / "nowhere"), FileNotFoundError, "nowhere"),
        (lambda r: data.ImageFolder(r, (1, 2, 3)), ValueError, "size is"),
        (lambda r: data.ImageFolder(r, 0), ValueError, "at least 1"),
        (lambda r: data.ImageFolder(r, dtype="int64"), ValueError, "'float32'"),
        (lambda r: data.ImageFolder(r, grayscale=1), TypeError, "True or False"),
        (lambda r: data.ImageFolder(r)[3], IndexError, "range"),
    ],
)
def test_what_does_not_fit_is_refused(root, make, error, words):
    with pytest.raises(error, match=words):
        make(root)


def test_images_that_do_not_fit_into_memory(root, monkeypatch):
    def empty(*_):
        raise MemoryError

    images = data.ImageFolder(root, (6, 6))
    monkeypatch.setattr(np, "empty", empty)
    with pytest.raises(cr.FileError, match=r"images of .* do not fit.* Give a smaller size"):
        images.arrays()


def test_a_class_without_images_is_refused(root):
    (root / "bird").mkdir()
    with pytest.raises(FileNotFoundError, match="bird holds no images"):
        data.ImageFolder(root)


def test_torchvisions_names_are_told(root):
    images = data.ImageFolder(root)
    with pytest.raises(AttributeError, match="no attribute 'imgs'; here it is samples"):
        images.imgs  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'other'$"):
        images.other  # noqa: B018
    with pytest.raises(TypeError, match="no argument 'transform'; here it is a layer"):
        data.ImageFolder(root, transform=None)
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        data.ImageFolder(root, other=None)
    again = pickle.loads(pickle.dumps(images))
    assert again.samples == images.samples


def test_predictions_of_a_folder_ask_for_a_loader(root):
    images = data.ImageFolder(root)
    model = nn.Sequential(nn.Flatten(), nn.Linear(90, 2))
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
    for call in (trainer.predict, trainer.predict_samples, cr.Predictor(model).predict):
        with pytest.raises(TypeError, match=r"x is a dataset \(ImageFolder\).*DataLoader"):
            call(images)


def test_text_files(tmp_path):
    path = tmp_path / "a.txt"
    marked = b"\xef\xbb\xbfEin\r\nSt\xc3\xbcck\rText\n"
    plain = "Ein\nStück\nText\n"
    little, big = (f"\ufeff{plain}".encode(f"utf-16-{end}") for end in ("le", "be"))  # Notepad's
    for content in (marked, plain.encode(), little, big):
        for packed in (content, gzip.compress(content)):
            path.write_bytes(packed)
            assert data.read_text(path) == "Ein\nStück\nText\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "a.txt is empty"),
        (b"a\nb\xe9", "not in UTF-8: byte 3, in line 2, is 0xe9"),
        (b"\xef\xbb\xbfa\nb\xe9", "not in UTF-8: byte 6, in line 2, is 0xe9"),
        (
            b"\xff\xfea\0\n\0\xd8",
            "not in UTF-16, as the mark .* byte 6, in line 2, is 0xd8.* in UTF-8",
        ),
        (b"\xff\xfe", "a.txt is empty"),
        (gzip.compress(b"abc")[:-4], "a.txt cannot be read as a text file"),
    ],
)
def test_faulty_text_files(tmp_path, content, words):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(cr.FileError, match=words):
        data.read_text(path)


def test_links_to_folders_are_followed_once(tmp_path):
    for place in ("root/cat/deep", "elsewhere"):
        (tmp_path / place).mkdir(parents=True)
        Image.new("RGB", (2, 2)).save(tmp_path / place / "1.png")
    (tmp_path / "root/cat/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/loop").symlink_to(tmp_path / "root/cat")
    (tmp_path / "root/cat/deep/here").symlink_to(".")
    (tmp_path / "root/dog").symlink_to(tmp_path / "elsewhere")
    found = [
        (p.relative_to(tmp_path / "root").parts[0], label)
        for p, label in data.ImageFolder(tmp_path / "root").samples
    ]
    assert sorted(found) == [("cat", 0), ("cat", 0), ("dog", 1), ("dog", 1)]


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_blank_page_is_no_bomb(tmp_path, mode, form):
    (tmp_path / "page").mkdir()
    if (mode, form) == ("1", "JPEG"):
        pytest.skip("JPEG has no such mode")
    page = Image.new(mode, (4960, 7016), "white")  # A4 at 600 dots an inch
    page.save(tmp_path / "page" / "1.png", form)
    x, _ = data.ImageFolder(tmp_path, 4).arrays()
    assert x.shape == (1, 3, 4, 4) and (x == 1).all()
