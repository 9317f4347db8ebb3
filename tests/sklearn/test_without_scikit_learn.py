"""chainrule without scikit-learn, or with one that is too old: an error that says what to do."""

import subprocess
import sys

import pytest

pytest.importorskip("sklearn.neural_network")


def run(code):
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sys.modules['sklearn'] = None", "needs scikit-learn: pip"),
        ("import sklearn.utils.validation as v; del v.validate_data", "1.6 or newer, not"),
    ],
)
def test_the_error_says_what_to_install(change, said):
    run(
        f"import sys, chainrule as cr\n{change}\n"
        "cr.nn.Linear(1, 1)\n"
        "try:\n"
        "    cr.sklearn\n"
        "except ImportError as error:\n"
        f"    assert {said!r} in str(error) and 'chainrule[sklearn]' in str(error), error\n"
        "else:\n"
        "    raise AssertionError\n"
    )


def test_the_room_comes_at_its_first_use():
    run(
        "import sys, chainrule as cr\n"
        "assert 'sklearn' not in sys.modules and 'sklearn' in dir(cr)\n"
        "assert cr.sklearn.MLPClassifier is sys.modules['chainrule.sklearn'].MLPClassifier\n"
    )
