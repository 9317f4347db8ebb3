"""The page that plays a step, as text: its formulas, its data, what it holds."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from pages import mazur

import chainrule as cr
from chainrule import nn, optim
from chainrule.cli.options import LETTERS
from chainrule.inspect.letters import letters_of
from chainrule.inspect.page.mathml import mathml


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)
        self.last_one = nn.Linear(4, 3)

    def forward(self, x):
        return self.last_one(x + cr.tanh(self.norm(self.first(x))))


def explanations(letters):
    """Steps of different networks and losses, whose formulas use all that traces write."""
    x = np.linspace(-1, 1, 8).reshape(2, 4)
    dense = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))
    conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    yield mazur(letters=letters)
    yield cr.explain(dense, x, [0, 2], nn.CrossEntropyLoss(), letters=letters)
    yield cr.explain(Residual(), x, np.ones((2, 3)), nn.HuberLoss(), letters=letters)
    yield cr.explain(dense, x, np.ones((2, 3)), nn.BCEWithLogitsLoss(), letters=letters)
    images = np.linspace(0, 1, 72).reshape(2, 1, 6, 6)
    yield cr.explain(conv, images, np.ones((2, 8)), nn.L1Loss(), letters=letters)


@pytest.mark.parametrize("letters", LETTERS)
def test_all_formulas_of_traces_become_mathml(letters):
    letters_of(letters, None)
    for explained in explanations(letters):
        for node in explained.trace()["nodes"]:
            for record in (node["formula"], node["gradient_formula"]):
                if record is not None:
                    math = ET.fromstring(mathml(record["latex"], record["text"]))
                    whole = [part.tag for part in math] == ["mtext"] and len(record["latex"]) > 20
                    assert not whole, record["latex"]
                    assert math.get("alttext") == record["text"]


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\frac{\partial L}{\partial W^{1}}",
         "<mfrac><mrow><mi mathvariant='normal'>∂</mi><mi>L</mi></mrow>"
         "<mrow><mi mathvariant='normal'>∂</mi><msup><mi>W</mi><mn>1</mn></msup></mrow></mfrac>"),
        (r"a_{j}^{[2]}", "<msubsup><mi>a</mi><mi>j</mi><mrow><mo stretchy='false'>[</mo>"
                         "<mn>2</mn><mo stretchy='false'>]</mo></mrow></msubsup>"),
        (r"g'(z) < 1", "<mrow><msup><mi>g</mi><mo>′</mo></msup><mo stretchy='false'>(</mo>"
                       "<mi>z</mi><mo stretchy='false'>)</mo><mo>&lt;</mo><mn>1</mn></mrow>"),
        (r"\sum_{i} \mathcal{L}", "<mrow><munder><mo>∑</mo><mi>i</mi></munder><mi>ℒ</mi></mrow>"),
        (r"\mathrm{log\_softmax}", "<mtext>log_softmax</mtext>"),
        (r"\unknown{x}", "<mtext>as &lt;text&gt;</mtext>"),
        (r"{x", "<mtext>as &lt;text&gt;</mtext>"),
        (r"x^", "<mtext>as &lt;text&gt;</mtext>"),
        (r"\left( x \right", "<mtext>as &lt;text&gt;</mtext>"),
    ],
)  # fmt: skip
def test_latex_becomes_mathml(latex, expected):
    found = mathml(latex, "as <text>")
    content = re.fullmatch(r'<math displaystyle="true" alttext="[^"]*">(.*)</math>', found)[1]
    assert content.replace('"', "'") == expected


def test_the_page_holds_the_trace_and_asks_for_nothing(tmp_path):
    explained = mazur()
    text = explained.to_html(tmp_path / "step.html")
    assert (tmp_path / "step.html").read_text(encoding="utf-8") == text == mazur().to_html()
    data = re.search(r'<script type="application/json" id="trace">(.*?)</script>', text)[1]
    assert json.loads(data) == explained.trace()
    assert "default-src 'none'" in text and "unsafe-eval" not in text
    assert not re.search(r"""(src|href)\s*=\s*["']?(?!#)\w""", re.sub("xmlns=.*?>", "", text))
    again = cr.inspect.Explanation.from_json(explained.to_json())
    assert again.to_html() == text


def test_not_a_number_is_shown():
    model = nn.Linear(2, 1)
    model.weight.assign(cr.tensor([[np.inf, 1.0]]))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    text = cr.explain(model, [1.0, 2.0], [3.0], nn.MSELoss(), optimizer).to_html()
    assert '"Infinity"' in text
