"""The page that plays a step, in a browser: its keys, its numbers, its modes, its looks."""

import shutil

import numpy as np
import pytest
from pages import half_squares, layer, mazur, networks, three_three_three

import chainrule as cr
from chainrule import nn, optim

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.common.exceptions import WebDriverException  # noqa: E402

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(BROWSER is None or DRIVER is None, reason="needs chromium and chromedriver"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
]

# What Mazur's example says.
DELTA_OUTPUT = [0.13849856162855695, -0.038098236516556236]
DELTA_HIDDEN = [0.00877135468948693, 0.009954254705217196]
NEW_SECOND = [0.35891647971788465, 0.4086661860762334, 0.5113012702387375, 0.5613701211079891]


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    wanted = "headless=new no-sandbox disable-gpu disable-dev-shm-usage window-size=1280,900"
    for argument in wanted.split():
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    except WebDriverException:  # a machine with much else to do can be too slow for a start
        driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(120)
    yield driver
    driver.quit()


class Page:
    """A page in the browser."""

    def __init__(self, browser, explanation, path):
        self.browser = browser
        self.trace = explanation.trace()
        explanation.to_html(path)
        browser.get(path.as_uri())

    def press(self, key, times=1):
        for _ in range(times):
            self.browser.switch_to.active_element.send_keys(getattr(webdriver.Keys, key))

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def click(self, selector):
        self.run("document.querySelector(arguments[0]).dispatchEvent("
                 "new MouseEvent('click', {bubbles: true}))", selector)  # fmt: skip

    def mouse(self, selector):
        """Press the mouse a little beside the middle of an element."""
        x, y = self.run(
            "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2 + 4]",
            selector,
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.browser.execute_cdp_cmd(
                "Input.dispatchMouseEvent",
                {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1},
            )

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def numbers(self, key, within="#step"):
        """The numbers that the page shows of an array: by its kind and node, as "v7"."""
        found = self.run(
            "return [...document.querySelectorAll(arguments[0] + ' [data-value]')]"
            ".filter((e) => e.dataset.key && e.dataset.key.split('.')[0] === arguments[1])"
            ".map((e) => [Number(e.dataset.key.split('.')[1]), Number(e.dataset.value)])",
            within,
            key,
        )
        return [value for _, value in sorted(dict(map(tuple, found)).items())]

    def size(self, width, height=900, scheme="light"):
        self.browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        self.browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )


# Plays all frames: the main ones with the first picture, then each operation with the last.
# Returns each frame's title, texts that mean nothing, and equations as numbers, matrices and signs;
# and the errors.
PLAY = """
const errors = [], played = [];
window.addEventListener("error", (event) => errors.push(event.message));
const piece = (element) => {
  if (element.matches(".sign")) return element.textContent;
  if (element.matches(".number")) return Number(element.dataset.value);
  if (!element.matches(".matrix")) return null;
  return [...element.querySelectorAll("tr")].map((row) =>
    [...row.querySelectorAll(".number")].map((number) => Number(number.dataset.value)));
};
const wrong = () => [...document.querySelectorAll("#step, #grad-table, #connection, #twin")].map(
  (part) => /.*(undefined|null|NaN|[[]object).*/.exec(part.textContent)).filter(Boolean);
const next = document.getElementById("next"), everything = document.getElementById("everything");
for (const found of document.querySelectorAll("#twin")) found.open = true;
document.body.hidden = true; // nothing is laid out: that would take most of the time
for (const found of [...document.querySelectorAll(".connection")].slice(-1)) {
  found.dispatchEvent(new MouseEvent("click"));
}
for (const all of [false, true]) {
  everything.checked = all;
  everything.dispatchEvent(new Event("change"));
  if (all) [...document.querySelectorAll("[data-show]")].at(-1)?.click();
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "Home", bubbles: true }));
  for (let last = false; !last; next.click()) {
    last = next.disabled;
    played.push([document.getElementById("step-title").textContent,
      document.querySelector("#step .detail").textContent, wrong(),
      [...document.querySelectorAll("#step .equation")].map((equation) =>
        [...equation.children].map(piece))]);
  }
}
return [played, errors];
"""
OPERATORS = {"·": "@", "⊙": "*", "÷": "/", "+": "+", "−": "-", "=": "="}


def is_true(equation):
    """Whether an equation of shown numbers holds; None where it has a name or a large array."""
    arrays, text = [], ""
    for part in equation:
        if part is None or not (part in OPERATORS if isinstance(part, str) else True):
            return None
        text += OPERATORS[part] if isinstance(part, str) else f" _[{len(arrays)}] "
        arrays += [] if isinstance(part, str) else [np.array(part)]
    left, right = (eval(side, {"_": arrays}) for side in text.split("="))
    return np.shape(left) == np.shape(right) and np.allclose(left, right, rtol=1e-4, atol=1e-6)


@pytest.fixture
def page(browser, tmp_path):
    page = Page(browser, mazur(), tmp_path / "step.html")
    page.size(1280)
    return page


def node(trace, name):
    return next(n for n in trace["nodes"] if n["name"] == name)


def frames(page, seen):
    """Press the right arrow to the end; at each frame note its title and the numbers of `seen`."""
    found = {}
    for _ in range(100):
        key = page.run("return document.querySelector('#step .plugged [data-array]') ? "
                       "[...document.querySelectorAll('#step [data-array]')].at(-1).dataset.array"
                       " : null")  # fmt: skip
        found[(page.text("#step .phase"), page.text("#step-title"))] = seen(key) if key else []
        if page.run("return document.getElementById('next').disabled"):
            return found
        page.press("ARROW_RIGHT")
    raise AssertionError("the page has no last frame")


def test_titles_have_the_readers_sign_of_the_loss(browser, tmp_path):
    page = Page(browser, mazur(letters="cs3780"), tmp_path / "step.html")
    titles = {title for _, title in frames(page, lambda key: [])}
    assert {"ℓ", "dℓ/dW2", "δ2"} <= titles
    assert not any("dl/" in title for title in titles)


def test_the_keyboard_plays_mazurs_step_with_its_numbers(page):
    played = frames(page, page.numbers)
    titles = list(played)
    assert [phase for phase, _ in titles] == (
        ["Start"] + ["Forward"] * 5 + ["Backward"] * 7 + ["Update"] * 2 + ["The step is done"]
    )
    np.testing.assert_allclose(played["Forward", "z1"], [0.3775, 0.3925], rtol=1e-12)
    np.testing.assert_allclose(
        played["Forward", "a2"], [0.7513650695523157, 0.7729284653214625], rtol=1e-12
    )
    np.testing.assert_allclose(played["Backward", "δ2"], DELTA_OUTPUT, rtol=1e-12)
    np.testing.assert_allclose(played["Backward", "δ1"], DELTA_HIDDEN, rtol=1e-12)
    np.testing.assert_allclose(played["Update", "new W2"], NEW_SECOND, rtol=1e-12)
    assert page.numbers("after") == [0.29102777369359933]
    assert page.run("return [...document.querySelectorAll('#grad-table tr:last-child .list')].map("
                    "(row) => row.children.length)") == [2, 2]  # a matrix, row by row  # fmt: skip
    page.press("HOME")
    assert page.text("#step-title") == "What is given"
    page.press("END")
    page.press("ARROW_LEFT")
    assert page.text("#step-title") == "new W2"
    assert "Update, step 14 of 15" in page.text("#status")
    page.press("HOME")
    page.press("SPACE", 2)
    page.press("PAGE_DOWN", 2)
    page.press("PAGE_UP")
    shifted = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: ' ', bubbles: true, "
    page.run(shifted + "shiftKey: true}))")
    assert page.text("#count") == "2 / 15"
    page.run("document.getElementById('back').focus()")
    page.press("SPACE")
    assert page.text("#count") == "1 / 15"  # by the button, and by that alone


def test_every_number_is_pythons(browser, tmp_path):
    explained = three_three_three()
    page = Page(browser, explained, tmp_path / "step.html")
    trace = page.trace
    page.click("#everything")
    page.press("END")
    page.run("document.getElementById('twin').open = true")
    page.run("return new Promise((done) => setTimeout(done, 50))")
    for found in trace["layers"]:
        W = found["parameters"][0]
        for kind, key in (("gradient", "g"), ("new", "n")):
            shown = page.numbers(f"{key}{W['id']}", "#twin")
            assert shown == np.ravel(W[kind]["values"]).tolist()
        assert page.numbers(f"v{found['output']}", "#twin") == np.ravel(
            next(n for n in trace["nodes"] if n["id"] == found["output"])["value"]["values"]
        ).tolist()  # fmt: skip
        assert (
            page.numbers(f"g{found['preactivation']}", "#twin")
            == np.ravel(found["delta"]["values"]).tolist()
        )
    rows = page.run("return [...document.querySelectorAll('#grad-table tbody th')].map("
                    "(cell) => cell.textContent)")  # fmt: skip
    assert len(rows) == len(trace["backward"]) and rows[0] == "L" and rows[-1] in ("W1", "W2")
    hidden, output = (page.numbers(f"v{one['output']}", "#twin") for one in trace["layers"])
    first = page.numbers(f"v{trace['layers'][0]['preactivation']}", "#twin")
    assert first == pytest.approx([1.16, 0.42, 0.62], rel=1e-12)
    assert np.floor(np.multiply(hidden, 100)).tolist() == [76, 60, 65]  # cut, as the lecture does
    assert np.floor(np.multiply(output, 100)).tolist() == [72, 70, 77]
    parts = {n["id"]: n["contributions"] for n in trace["nodes"]}
    assert any(len(found) == 2 for found in parts.values())  # (a - y) twice, in its square


def test_another_row_of_the_data(browser, tmp_path):
    model = nn.Sequential(layer([[1.0, -2.0]], [0.5]), nn.Tanh())
    explained = cr.explain(model, [[0.0, 1.0], [2.0, 3.0]], [[0.0], [1.0]], nn.MSELoss())
    page = Page(browser, explained, tmp_path / "step.html")
    page.click("#forward")
    said = "return [...document.querySelectorAll('figure g[data-neuron]')].map("
    said += "(group) => group.getAttribute('aria-label'))"
    assert page.run(said)[:3] == ["input 1, 0", "input 2, 1", "layer 1, neuron 1, z −1.5"]
    page.run("const row = document.getElementById('row'); row.value = 1;"
             "row.dispatchEvent(new Event('change'))")  # fmt: skip
    assert page.run(said)[:3] == ["input 1, 2", "input 2, 3", "layer 1, neuron 1, z −3.5"]
    assert "row 1" in page.text("#step .terms h3")


def test_the_parts_of_consumers_add_up(page):
    page.click("#backward")
    page.press("ARROW_RIGHT", 3)
    said = "the gradient of a1: sigmoid, layer 1", "z2 (its matmul) is the one consumer"
    assert all(sentence in page.text("#step") for sentence in said)
    page.press("ARROW_RIGHT")
    signs = "return [...document.querySelector('#step .equation').children].map((one) => "
    signs += "one.matches('.sign') ? one.textContent : 'A').join('')"
    assert page.run(signs) == "A⊙(1−A)=A"  # a * (1 - a), with numbers
    page.press("HOME")
    page.click("#everything")
    page.click("#backward")
    page.press("ARROW_RIGHT", 3)
    square = next(n for n in page.trace["nodes"] if len(n["contributions"]) == 2)
    assert "2 consumers" in page.text("#step .parts caption")
    parts = [page.numbers(f"g{square['id']}p{at}") for at in range(2)]
    assert np.add(*parts) == pytest.approx(page.numbers(f"g{square['id']}"), rel=1e-12)


def test_a_connection_shows_delta_times_a(page):
    page.press("END")
    page.mouse('[data-connection="2-0-0"] .wide')
    assert "layer 1, neuron 1 → layer 2, neuron 1" in page.text("#connection")
    page.click('g[data-connection="2-0-1"]')
    text = page.text("#connection")
    assert "layer 1, neuron 1 → layer 2, neuron 2" in text
    assert "dL/dw = δ · a = −0.0380982 · 0.59327 = −0.0226025" in text and "0.511301" in text
    page.run("document.querySelector('.connection[tabindex=\"0\"]').focus()")
    page.press("ARROW_DOWN")
    page.press("ENTER")
    assert "input 1 → layer 1, neuron 2" in page.text("#connection")
    page.press("HOME")
    assert "not known yet" in page.text("#connection")


def test_answers_are_hidden_until_they_are_asked_for(page):
    page.click("#hide")
    page.press("ARROW_RIGHT")
    z1 = node(page.trace, "z1")["id"]
    assert page.numbers(f"v{z1}") == [] and page.text("#step").count("?") >= 2
    assert "0.378" not in page.text("figure")
    page.click(f'#step .blank[data-key="v{z1}.1"]')
    (answer,) = page.numbers(f"v{z1}")
    assert answer == pytest.approx(0.3925, rel=1e-12)
    assert float(page.run("return document.activeElement.dataset.value")) == answer
    page.click("#step .reveal")
    assert page.numbers(f"v{z1}") == pytest.approx([0.3775, 0.3925], rel=1e-12)
    page.press("END")
    assert "The loss became smaller" not in page.text("#step")
    page.click("#hide")
    assert "The loss became smaller" in page.text("#step")


def test_presentation_is_large_and_ends_with_escape(page):
    size = "return parseFloat(getComputedStyle(document.querySelector('#step h2')).fontSize)"
    before = page.run(size)
    page.click("#presentation")
    assert page.run(size) > 1.15 * before
    page.press("ESCAPE")
    assert page.run(size) == before


def test_nothing_is_loaded_and_nothing_may_be(page):
    page.press("END")
    assert page.run("return performance.getEntriesByType('resource').length") == 0
    assert page.browser.get_log("browser") == []
    blocked = page.browser.execute_async_script(
        "const done = arguments[0];"
        "document.addEventListener('securitypolicyviolation', (e) => done(e.violatedDirective));"
        "const script = document.createElement('script');"
        "script.textContent = 'document.title = 1'; document.body.append(script);"
        "fetch('https://example.invalid/').catch(() => 0);"
    )
    assert blocked in ("script-src-elem", "connect-src")
    assert page.browser.title != "1"
    page.browser.get_log("browser")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_looks(page, tmp_path, width, scheme):
    page.size(width, scheme=scheme)
    for phase in ("forward", "backward", "update"):
        page.click(f"#{phase}")
        wide = page.run("return document.documentElement.scrollWidth")
        assert wide <= width, (phase, wide)
        page.press("ARROW_RIGHT")  # to a formula with a fraction, forward and backward
        cut = "const f = document.querySelector('#step .formula');"
        assert page.run(cut + "return f.scrollHeight - f.clientHeight") == 0, phase
    colour = page.run("return getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, colour[4:-1].split(","))) / 3
    assert brightness > 200 if scheme == "light" else brightness < 60
    picture = tmp_path / f"{width}-{scheme}.png"
    assert page.browser.save_screenshot(str(picture)) and picture.stat().st_size > 10_000


def test_names_can_not_end_the_data(browser, tmp_path):
    class Wicked(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("</script><script>document['title'] = 1</script>", nn.Linear(2, 1))

        def forward(self, x):
            return next(self.children())(x)

    Wicked.__name__ = "<img src=x onerror='document[`title`] = 2'>"
    page = Page(browser, cr.explain(Wicked(), [1.0, 2.0], [3.0], nn.MSELoss()), tmp_path / "x.html")
    page.press("END")
    assert browser.title.startswith("<img") and "u003c/script" in page.text("#trace")
    assert page.run("return document.querySelectorAll('img, script').length") == 2
    assert browser.get_log("browser") == []


def test_a_large_network_is_summarised(browser, tmp_path):
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10))
    x = np.linspace(0, 1, 192).reshape(3, 64)
    optimizer = optim.Adam(model.parameters())
    explained = cr.explain(model, x, [1, 2, 3], nn.CrossEntropyLoss(), optimizer)
    page = Page(browser, explained, tmp_path / "step.html")
    page.size(390)
    page.press("ARROW_RIGHT")
    assert page.text("#step .summary .size") == "32 × 64" and "64 × 3" in page.text("#step")
    shapes = page.run(
        "return [...document.querySelectorAll('#step .plugged .corner')].map((matrix) =>"
        "[...matrix.querySelectorAll('tr')].map((row) => row.textContent.replace(/[^…⋮⋱]/g, '')))"
    )
    assert shapes == [
        ["…"] * 4 + ["⋮⋮⋮⋮⋱"],
        [""] * 4 + ["⋮⋮⋮"],
        [""] * 4 + ["⋮"],
        [""] * 4 + ["⋮⋮⋮"],
    ]
    assert page.run("return document.querySelectorAll('figure:not([hidden]) .now').length") == 1
    assert page.run("return document.documentElement.scrollWidth") <= 390
    page.click("#update")
    assert "m ← 0.9 m + 0.1 dL/dW1" in page.text("#step")  # of Adam
    assert browser.get_log("browser") == []


def test_every_frame_of_every_network_is_shown_with_true_equations(browser, tmp_path):
    for name, explained in networks().items():
        page = Page(browser, explained, tmp_path / "step.html")
        played, errors = page.run(PLAY)
        assert errors == [] == browser.get_log("browser"), name
        said = [title + ": " + detail for title, detail, *_ in played]
        assert name != "conv" or "maxpool2d1: max_pool, kernel 2 × 2, module 2" in said
        true = set()
        for title, _, wrong, equations in played:
            assert wrong == [], (name, title)
            for equation in equations:
                found = is_true(equation)
                assert found is not False, (name, title, equation)
                true |= {title} if found else set()
        fewest = {"letters of rows": 7, "rows": 7, "columns": 7, "a penalty": 6, "conv": 5}
        assert len(true) >= fewest.get(name, 2), (name, true)
        assert {title for title, *_ in played} >= {"What is given", "new b1"}, name


def test_the_letters_of_rows_mean_the_transpose(browser, tmp_path):
    model = nn.Sequential(layer([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0]))
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    given = (model, [[1.0, 10.0]], [[0.0, 0.0]], half_squares, optimizer)
    for options, weights, gradient in (
        ({"letters": "row"}, "1324", "w1 ← w1 − 1 · dL/dw1"),
        ({"form": "row"}, "1234", "W1 ← W1 − 1 · dL/dW1"),
        ({}, "1234", "W1 ← W1 − 1 · dL/dW1"),
    ):
        page = Page(browser, cr.explain(*given, **options), tmp_path / "step.html")
        (W,) = (n["id"] for n in page.trace["nodes"] if n["name"] == "0.weight")
        shown = "return [...document.querySelectorAll(arguments[0])].at(-1).textContent"
        assert page.run(shown, '#step .matrix table[aria-label^="W1" i]') == weights
        page.click("#update")
        assert page.text("#step .formula") == gradient
        assert page.run(shown, "#step .equation > :first-child") == weights, W


def test_a_weight_of_two_uses_has_a_sum_of_parts(browser, tmp_path):
    page = Page(browser, networks()["a layer twice"], tmp_path / "step.html")
    page.press("END")
    page.click('g[data-connection="1-0-1"]')
    (W,) = (n for n in page.trace["nodes"] if n["name"] == "0.layer.weight")
    parts = [part["value"]["values"][1][0] for part in W["contributions"]]
    total = W["gradient"]["values"][1][0]
    shown = page.run("return [...document.querySelectorAll('#connection .product .number')].map("
                     "(number) => Number(number.dataset.value))")  # fmt: skip
    assert shown == [*parts, total] and sum(parts) == pytest.approx(total, rel=1e-12)
    assert "the sum of 2 uses" in page.text("#connection .product")


def test_a_normalisation_has_its_letters_and_its_formula(browser, tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    x = np.array([[1.0, 2.0], [0.5, -1.0]], "f")
    explained = cr.explain(model, x, np.ones((2, 1), "f"), nn.MSELoss())
    page = Page(browser, explained, tmp_path / "step.html")
    assert "γ1" in page.text("#step") and "β1" in page.text("#step")
    shown = []
    for _ in range(30):
        page.press("ARROW_RIGHT")
        shown.append(page.text("#step"))
    text = "\n".join(shown)
    assert "mean" in text and "dL/dγ1" in text and "gamma" not in text
