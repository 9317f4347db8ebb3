"""scikit-learn's tests of its networks, with ours in their place."""

import re
from pathlib import Path

import pytest

networks = pytest.importorskip("sklearn.neural_network")

PRIVATE = {
    # It calls `_loss_grad_lbfgs` with lists of NumPy buffers for activations and deltas. Gradients
    # are checked against scikit-learn's loss curves and weights in test_parity.py.
    "test_gradient": "it calls a private method, _loss_grad_lbfgs",
}
"""The tests that are left out, each with its reason."""

FILE = Path(networks.__file__).parent / "tests" / "test_mlp.py"
if not FILE.exists():
    pytest.skip("scikit-learn was installed without its tests", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")  # as scikit-learn runs them


@pytest.fixture
def global_random_seed():
    return 0


def with_ours(source):
    """The names that a test file defines, with our estimators imported in place of theirs."""
    source, count = re.subn(
        r"from sklearn\.neural_network import (.*MLP.*)",
        r"from chainrule.sklearn import \1",
        source,
    )
    assert count == 1
    names = {"__name__": __name__}
    exec(compile(source, str(FILE), "exec"), names)
    return names


TESTS = {k: v for k, v in with_ours(FILE.read_text("utf-8")).items() if k.startswith("test_")}
globals().update({name: test for name, test in TESTS.items() if name not in PRIVATE})


def test_what_is_left_out_exists():
    assert set(PRIVATE) <= set(TESTS)
    assert len(TESTS) - len(PRIVATE) > 30
