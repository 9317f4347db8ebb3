"""The update of a parameter as formulas, with the optimizer's numbers in them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Array
from chainrule.inspect.letters import Formula, Letters, bracketed, joined, number_in_latex, times
from chainrule.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Optimizer,
    RMSprop,
)  # fmt: skip
from chainrule.optim.hyperparameters import Flag, Term, declarations_of

_OF_ADAM = {"exp_avg": "m", "exp_avg_sq": "v", "max_exp_avg_sq": "u"}
_MOMENTS: Mapping[type[Optimizer], Mapping[str, str]] = {
    SGD: {"momentum_buffer": "G"},
    Adam: _OF_ADAM,
    AdamW: _OF_ADAM,
    Adadelta: {"square_avg": "v", "acc_delta": "u"},
    Adagrad: {"sum": "s"},
    Adamax: {"exp_avg": "m", "exp_inf": "u"},
    Lion: {"exp_avg": "m"},
    RMSprop: {"square_avg": "v"},
}
"""What the formulas call the moments that an optimizer keeps; G of SGD is the reader's letter."""

_OF_DOCSTRING = (Adadelta, Adagrad, Adamax, Lion, RMSprop)
"""Their docstrings have the whole rule as formulas."""


class UpdateRule(NamedTuple):
    """How a step changes a parameter.

    Attributes:
        formulas: each `left <- right`, in the order in which they are computed.
        state: by their letters the moments that the optimizer keeps of it, before the step.
    """

    formulas: list[Formula]
    state: dict[str, Array]


def update_rule(
    optimizer: Optimizer, W: Parameter, name: Formula, grad: Formula, letters: Letters
) -> UpdateRule:
    """The formulas of one step.

    SGD, Adam and AdamW have all of their options in them. Another optimizer has the formula of its
    docstring, where its options change nothing of it; else its name stands for it.

    Args:
        optimizer: as it is before the step.
        W: one of its parameters.
        name, grad: what W and dL/dW are called.
        letters: how the reader writes.
    """
    group = next(g for g in optimizer.param_groups if any(W is p for p in g["params"]))
    buffers = optimizer.state[W]
    count = int(buffers["step"].numpy()) + 1 if "step" in buffers else 1
    kind = type(optimizer)
    if group["maximize"]:
        grad = bracketed(Formula(f"-{grad.text}", f"-{grad.latex}"))
    if kind is SGD:
        formulas = _sgd(group, name, grad, count, letters.momentum)
    elif kind in (Adam, AdamW):
        formulas = _adam(group, name, grad, count, kind is AdamW)
    else:
        formulas = _of_docstring(optimizer, group, name, grad, count)
    named = _MOMENTS.get(kind, {})
    if kind is SGD:
        named = {"momentum_buffer": letters.momentum}
    text = "; ".join(formula.text for formula in formulas)
    state = {
        letter: buffers[key].numpy()
        for key, letter in named.items()
        if key in buffers and re.search(rf"\b{letter}\b", text)
    }
    return UpdateRule(formulas, state)


def _sgd(group: Any, W: Formula, grad: Formula, count: int, letter: str) -> list[Formula]:
    lr, momentum = group["lr"], group["momentum"]
    grad = _with_decay(group["weight_decay"], W, grad)
    if not momentum:
        return [_to(W, _minus(W, times(lr, grad)))]
    share = 1.0 if count == 1 else 1.0 - group["dampening"]
    G = Formula(letter, letter)
    new_G = _to(G, _plus(times(momentum, G), times(share, grad)))
    step = _plus(grad, times(momentum, G)) if group["nesterov"] else G
    return [new_G, _to(W, _minus(W, times(lr, step)))]


def _adam(group: Any, W: Formula, grad: Formula, count: int, is_decoupled: bool) -> list[Formula]:
    lr, (beta1, beta2), eps = group["lr"], group["betas"], group["eps"]
    decay = group["weight_decay"]
    if not is_decoupled:
        grad = _with_decay(decay, W, grad)
    m, v = Formula("m", "m"), Formula("v", "v")
    inner = bracketed(grad)
    square = Formula(f"{inner.text}^2", f"{inner.latex}^{{2}}")
    formulas = [
        _to(m, _plus(times(beta1, m), times(1.0 - beta1, grad))),
        _to(v, _plus(times(beta2, v), times(1.0 - beta2, square))),
    ]
    root = "v"
    if group["amsgrad"]:
        root = "u"
        formulas.append(Formula("u <- max(u, v)", r"u \leftarrow \max(u, v)"))
    mean, square_mean = f"m / (1 - {beta1:g}^{count})", f"{root} / (1 - {beta2:g}^{count})"
    step = Formula(
        f"{lr:g} ({mean}) / (sqrt({square_mean}) + {eps:g})",
        rf"{number_in_latex(lr)} \frac{{m / (1 - {beta1:g}^{{{count}}})}}"
        rf"{{\sqrt{{{root} / (1 - {beta2:g}^{{{count}}})}} + {number_in_latex(eps)}}}",
    )
    kept = times(1.0 - lr * decay, W) if is_decoupled and decay else W
    return [*formulas, _to(W, _minus(kept, step))]


def _of_docstring(
    optimizer: Optimizer, group: Any, W: Formula, grad: Formula, count: int
) -> list[Formula]:
    """The lines with arrows of the docstring, which calls the gradient g."""
    kind, declared = type(optimizer), declarations_of(type(optimizer))
    body = (inspect.getdoc(kind) or "").partition("\nArgs:")[0] if kind in _OF_DOCSTRING else ""
    lines = [line for line in body.splitlines() if " <- " in line]
    for key, declaration in declared.items():
        is_option = isinstance(declaration, (Term, Flag)) and group[key]
        if is_option and key != "maximize" and not re.search(rf"\b{key}\b", "\n".join(lines)):
            lines = []
    if not lines:
        called = Formula(
            f"{kind.__name__}({W.text}, {grad.text})",
            rf"\mathrm{{{kind.__name__}}}({W.latex}, {grad.latex})",
        )
        return [_to(W, called)]
    numbers = {
        name: f"{number:g}"
        for key, declaration in declared.items()
        for name, number in declaration.scalars(group[key]).items()
    }
    numbers["t"] = f"{count}"
    if numbers.get("lr_decay") == "0":
        lines = [line.partition(",  lr_t")[0].replace("lr_t", "lr") for line in lines]
    if numbers.get("weight_decay") == "0":
        lines = [line.replace("(sign(c) + weight_decay W)", "sign(c)") for line in lines]
    found = []
    words = {"W": W.text, "g": grad.text}
    for line in re.split(";  |\n", "\n".join(lines)):
        put = re.sub(r"[A-Za-z]\w*", lambda word: numbers.get(word[0], word[0]), line)
        put = re.sub(r"\bg\^", "(g)^", put)
        text = re.sub(r"\b[Wg]\b", lambda letter: words[letter[0]], put)
        found.append(Formula(text, _line_in_latex(put, W, grad)))
    return found


def _line_in_latex(line: str, W: Formula, grad: Formula) -> str:
    known = {"W": W.latex, "g": grad.latex}

    def word(match: re.Match[str]) -> str:
        found = match[0]
        if found in known:
            return known[found]
        escaped = found.replace("_", r"\_")
        return found if len(found) == 1 else rf"\mathrm{{{escaped}}}"

    line = re.sub(r"[A-Za-z]+(?:_[A-Za-z]{2,})*", word, line)
    line = re.sub(r"\\mathrm\{sqrt\}\(([^()]*)\)", r"\\sqrt{\1}", line)
    line = re.sub(r"\d[\d.]*e[-+]?\d+", lambda number: number_in_latex(float(number[0])), line)
    for sign, command in ((" <- ", r" \leftarrow "), ("<=", r"\le "), (",  ", r",\quad ")):
        line = line.replace(sign, command)
    return line


def _with_decay(decay: float, W: Formula, grad: Formula) -> Formula:
    return _plus(grad, times(decay, W)) if decay else grad


def _to(left: Formula, right: Formula) -> Formula:
    return joined((left, right), " <- ", r" \leftarrow ")


def _plus(a: Formula, b: Formula) -> Formula:
    return joined((a, b), " + ")


def _minus(a: Formula, b: Formula) -> Formula:
    return joined((a, b), " - ")
