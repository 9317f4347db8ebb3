r"""Formulas of a trace from LaTeX to MathML, which browsers show without a script or a font.

The formulas use a small part of LaTeX: letters, numbers, signs, indices, fractions, roots, upright
words. This reads that part and nothing else, so that the page needs no package and every formula is
either shown right or, where it holds what is not read here, as the plain text that goes with it.

    formula = item*        item = atom ("_" atom | "^" atom)*
    atom = letter | number | sign | "{" formula "}" | command
"""

from __future__ import annotations

import html
import re

_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?|\s+|.", re.DOTALL)

_LETTERS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε",
    "eta": "η", "theta": "θ", "lambda": "λ", "mu": "μ", "nu": "ν", "pi": "π", "rho": "ρ",
    "sigma": "σ", "tau": "τ", "phi": "ϕ", "varphi": "φ", "psi": "ψ", "omega": "ω",
    "Delta": "Δ", "Theta": "Θ", "Sigma": "Σ", "Phi": "Φ", "Omega": "Ω", "ell": "ℓ",
    "infty": "∞", "partial": "∂", "nabla": "∇", "top": "⊤",
}  # fmt: skip
_SIGNS = {
    "odot": "⊙", "cdot": "·", "times": "×", "leftarrow": "←", "rightarrow": "→", "to": "→",
    "mapsto": "↦", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠",
    "approx": "≈", "in": "∈", "pm": "±", "sum": "∑", "prod": "∏", "int": "∫", "cdots": "⋯",
    "ldots": "…", "dots": "…", "mid": "|", "prime": "′", "circ": "∘", "ast": "∗", "lVert": "‖",
    "rVert": "‖", "lvert": "|", "rvert": "|", "|": "‖", "{": "{", "}": "}", "colon": ":",
    "lfloor": "⌊", "rfloor": "⌋", "otimes": "⊗", "oplus": "⊕",
}  # fmt: skip
_FUNCTIONS = {"exp", "log", "ln", "max", "min", "tanh", "sin", "cos", "arg", "det", "dim", "sinh",
              "cosh", "tan"}  # fmt: skip
_WORDS = {"mathrm", "text", "mathtt", "mathit", "operatorname", "textrm", "mathsf", "texttt"}
_ALPHABETS = {"mathcal": 0x1D49C, "mathbf": 0x1D400, "mathbb": 0x1D538, "boldsymbol": 0x1D400}
# Unicode had these letters before the alphabets that they belong to.
_SCRIPT = {"B": "ℬ", "E": "ℰ", "F": "ℱ", "H": "ℋ", "I": "ℐ", "L": "ℒ", "M": "ℳ", "R": "ℛ"}
_DOUBLE = {"C": "ℂ", "H": "ℍ", "N": "ℕ", "P": "ℙ", "Q": "ℚ", "R": "ℝ", "Z": "ℤ"}
_SPACES = {",": "0.17em", ":": "0.22em", ";": "0.28em", " ": "0.25em", "quad": "1em",
           "qquad": "2em", "!": "0"}  # fmt: skip
_ACCENTS = {"hat": "^", "bar": "¯", "tilde": "~", "vec": "→", "overline": "¯", "dot": "˙"}
_LARGE = {"∑", "∏"}


def mathml(latex: str, text: str) -> str:
    r"""A formula as a `<math>` element.

    Args:
        latex: the formula.
        text: the same as plain text, which is read aloud; it is also shown where the LaTeX has
            something else than this reads.

    Example:
        >>> mathml(r"z^{1} = W a", "z1 = W a").partition(">")[2].removesuffix("</math>")
        '<mrow><msup><mi>z</mi><mn>1</mn></msup><mo>=</mo><mi>W</mi><mi>a</mi></mrow>'
    """
    try:
        content = _Reader(latex).read()
    except _UnknownError:
        content = f"<mtext>{html.escape(text)}</mtext>"
    return f'<math displaystyle="true" alttext="{html.escape(text)}">{content}</math>'


class _UnknownError(Exception):
    """LaTeX that is not read here."""


class _Reader:
    def __init__(self, latex: str) -> None:
        self.tokens = _TOKEN.findall(latex)
        self.place = 0

    def read(self) -> str:
        content = self._formula(end=None)
        if self.place < len(self.tokens):
            raise _UnknownError
        return content

    def _peek(self) -> str | None:
        while self.place < len(self.tokens) and self.tokens[self.place].isspace():
            self.place += 1
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def _next(self) -> str:
        token = self._peek()
        if token is None:
            raise _UnknownError
        self.place += 1
        return token

    def _formula(self, end: str | None) -> str:
        items = []
        while (token := self._peek()) != end and token != "\\right":
            if token is None or token in ("}", "&", "\\\\"):
                raise _UnknownError
            items.append(self._item())
        return items[0] if len(items) == 1 else f"<mrow>{''.join(items)}</mrow>"

    def _item(self) -> str:
        base = self._atom()
        below = above = None
        while (token := self._peek()) in ("_", "^", "'"):
            self.place += 1
            if token == "_" and below is None:
                below = self._atom()
            elif token == "'":
                prime = "<mo>′</mo>"
                above = prime if above is None else f"<mrow>{above}{prime}</mrow>"
            elif token == "^" and (above is None or above == "<mo>′</mo>"):
                found = self._atom()
                above = found if above is None else f"<mrow>{above}{found}</mrow>"
            else:
                raise _UnknownError
        over = any(f"<mo>{sign}</mo>" == base for sign in _LARGE)
        parts = base + (below or "") + (above or "")
        if below is not None and above is not None:
            return f"<munderover>{parts}</munderover>" if over else f"<msubsup>{parts}</msubsup>"
        if below is not None:
            return f"<munder>{parts}</munder>" if over else f"<msub>{parts}</msub>"
        if above is not None:
            return f"<mover>{parts}</mover>" if over else f"<msup>{parts}</msup>"
        return base

    def _atom(self) -> str:
        token = self._next()
        if token == "{":
            content = self._formula(end="}")
            self.place += 1
            return content
        if token.startswith("\\"):
            return self._command(token[1:])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{token}</mi>"
        if token in "_^'}&%$#~":
            raise _UnknownError
        sign = {"-": "−", "*": "∗"}.get(token, token)
        fixed = ' stretchy="false"' if token in "()[]|" else ""
        return f"<mo{fixed}>{html.escape(sign)}</mo>"

    def _command(self, name: str) -> str:
        if name in _LETTERS:
            upright = (
                ' mathvariant="normal"' if name in ("infty", "partial", "nabla", "top") else ""
            )
            return f"<mi{upright}>{_LETTERS[name]}</mi>"
        if name in _SIGNS:
            return f"<mo>{_SIGNS[name]}</mo>"
        if name in _FUNCTIONS:
            return f"<mi>{name}</mi>"
        if name in ("frac", "tfrac", "dfrac"):
            return f"<mfrac>{self._atom()}{self._atom()}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{self._atom()}</msqrt>"
        if name in _WORDS:
            return self._word(name)
        if name in _ALPHABETS:
            return self._letter_of(name)
        if name in _ACCENTS:
            return f'<mover accent="true">{self._atom()}<mo>{_ACCENTS[name]}</mo></mover>'
        if name in _SPACES:
            return f'<mspace width="{_SPACES[name]}"/>'
        if name == "left":
            return self._fence()
        if name in ("big", "Big", "bigl", "bigr", "Bigl", "Bigr"):
            return self._atom()
        raise _UnknownError

    def _fence(self) -> str:
        """What stands between \\left and \\right; their signs grow with it."""
        first, content = self._delimiter(), self._formula(end="\\right")
        if self._next() != "\\right":
            raise _UnknownError
        return f"<mrow>{first}{content}{self._delimiter()}</mrow>"

    def _delimiter(self) -> str:
        token = self._next()
        sign = _SIGNS.get(token[1:]) if token.startswith("\\") else token
        if sign is None:
            raise _UnknownError
        return "" if sign == "." else f'<mo stretchy="true">{html.escape(sign)}</mo>'

    def _word(self, kind: str) -> str:
        r"""Letters that are one name, as of \mathrm{softmax}."""
        if self._next() != "{":
            raise _UnknownError
        letters = []
        while self.place < len(self.tokens) and self.tokens[self.place] != "}":
            token = self.tokens[self.place]
            self.place += 1
            if token.startswith("\\"):
                token = token[1:]
                if len(token) != 1 or token.isalpha():
                    raise _UnknownError
            elif token == "{":
                raise _UnknownError
            letters.append(token)
        if self._next() != "}":
            raise _UnknownError
        word = html.escape("".join(letters))
        if kind == "mathit":
            return f"<mi>{word}</mi>"
        return (
            f'<mi mathvariant="normal">{word}</mi>' if len(word) == 1 else f"<mtext>{word}</mtext>"
        )

    def _letter_of(self, alphabet: str) -> str:
        token = self._next()
        if token == "{":
            token = self._next()
            if self._next() != "}":
                raise _UnknownError
        known = {"mathcal": _SCRIPT, "mathbb": _DOUBLE}.get(alphabet, {})
        if token in known:
            return f"<mi>{known[token]}</mi>"
        if not ("A" <= token <= "Z" or "a" <= token <= "z") or len(token) != 1:
            raise _UnknownError
        place = ord(token) - ord("A") if token <= "Z" else ord(token) - ord("a") + 26
        return f"<mi>{chr(_ALPHABETS[alphabet] + place)}</mi>"
