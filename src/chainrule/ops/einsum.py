"""Einstein's summation: sums of products over axes that letters name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor
from chainrule.ops.arithmetic import multiply
from chainrule.ops.declare import BOOL, common_dtype
from chainrule.ops.matmul import matmul
from chainrule.ops.selection import diagonal

__all__ = ["einsum"]

Labels = tuple[str, ...]
"""A name for each axis: a letter, or for an axis of an ellipsis its number from the right."""


class _Term(NamedTuple):
    """A Tensor with a label for each axis."""

    x: Tensor
    labels: Labels


def einsum(
    subscripts: str,
    *operands: TensorLike | Sequence[TensorLike],
    optimize: bool | str | Sequence[Any] = True,
) -> Tensor:
    """The sum of the products of the operands' elements, over the letters not in the result.

    "ij,jk->ik" is the matrix product: y[i, k] = sum over j of a[i, j] b[j, k]. A letter that one
    operand has twice takes its diagonal. "..." stands for axes that are broadcast. Without "->" the
    result has the axes of the ellipsis, then the letters named once, in alphabetical order. Two
    operands at a time become one, a pair with the smallest product first, by matrix products.

    Args:
        subscripts: a letter for each axis, a comma between operands, "->" before the result.
        operands: floating Tensors or integers, or one list of them, as PyTorch takes it.
        optimize: the order of the products is that one, whatever is given here.

    Raises:
        ValueError: if the subscripts can't be read.
        ShapeError: if they do not fit the operands.
        DTypeError: if the operands are booleans.

    Example:
        >>> import chainrule as cr
        >>> a = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> cr.einsum("ij,j->i", a, cr.tensor([1.0, 10.0]))
        tensor([21., 43.])
        >>> cr.einsum("ii", a)
        tensor(5.)
    """
    if not isinstance(subscripts, str):
        raise TypeError(
            "einsum takes its subscripts as one text before the operands, as in "
            f"einsum('ij,jk->ik', a, b); got {type(subscripts).__name__}"
        )
    if len(operands) == 1 and "," in subscripts and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError(f"einsum: {subscripts!r} without operands")
    dtype = common_dtype(*operands)
    if dtype == BOOL:
        raise DTypeError("einsum takes numbers, not booleans; cast them first")
    tensors = [as_tensor(x, dtype).astype(dtype) for x in operands]
    names, result = _read(subscripts, tensors)
    sizes = _sizes(subscripts, names, tensors)
    terms = [_plain(_Term(x, labels), sizes) for x, labels in zip(tensors, names, strict=True)]
    terms = [
        _summed(term, {*result}.union(*(other.labels for other in terms if other is not term)))
        for term in terms
    ]
    while len(terms) > 1:
        first, second = _smallest_pair(terms, result, sizes)
        rest = [term for i, term in enumerate(terms) if i not in (first, second)]
        needed = {*result}.union(*(term.labels for term in rest))
        terms = [*rest, _product(terms[first], terms[second], needed, sizes)]
    return terms[0].x.transpose([terms[0].labels.index(label) for label in result])


def _read(subscripts: str, tensors: Sequence[Tensor]) -> tuple[list[Labels], Labels]:
    """The labels of each operand, and of the result."""
    text = subscripts.replace(" ", "")
    inputs, arrow, output = text.partition("->")
    parts = inputs.split(",")
    letters = text.replace("...", "").replace("->", "").replace(",", "")
    has_signs = not all(letter.isascii() and letter.isalpha() for letter in letters)
    if has_signs or "," in output or ">" in output:
        raise ValueError(
            f"einsum: {subscripts!r} is not letters and '...' for the axes of each operand, ',' "
            "between operands and '->' before the result"
        )
    if len(parts) != len(tensors):
        raise ShapeError(f"einsum: {subscripts!r} names {len(parts)} operands, got {len(tensors)}")
    found = []
    for part, x in zip(parts, tensors, strict=True):
        before, dots, after = part.partition("...")
        count = x.ndim - len(before) - len(after)
        if "." in after or count < 0 or (count and not dots):
            raise ShapeError(f"einsum: {part!r} does not name the axes of shape {x.shape}")
        found.append((*before, *(str(i) for i in range(count, 0, -1)), *after))
    broadcast = sorted({int(label) for labels in found for label in labels if label.isdigit()})
    ellipsis = tuple([str(i) for i in reversed(broadcast)])
    if not arrow:
        once = sorted(x for x in {*letters} if sum(labels.count(x) for labels in found) == 1)
        return found, (*ellipsis, *once)
    before, dots, after = output.partition("...")
    named = {label for labels in found for label in labels}
    if "." in after or (ellipsis and not dots):
        raise ShapeError(f"einsum: the result {output!r} lacks the axes of the operands' '...'")
    if len({*before, *after}) != len(before + after) or not {*before, *after} <= named:
        raise ShapeError(
            f"einsum: the result {output!r} names each letter once, and only those of operands"
        )
    return found, (*before, *ellipsis, *after)


def _sizes(subscripts: str, names: Sequence[Labels], tensors: Sequence[Tensor]) -> dict[str, int]:
    """The length of each label's axes; those of length 1 are broadcast."""
    sizes: dict[str, int] = {}
    for labels, x in zip(names, tensors, strict=True):
        for label, length in zip(labels, x.shape, strict=True):
            if sizes.setdefault(label, length) == 1:
                sizes[label] = length
    for labels, x in zip(names, tensors, strict=True):
        lengths: dict[str, int] = {}
        for label, length in zip(labels, x.shape, strict=True):
            if length not in (1, sizes[label]) or lengths.setdefault(label, length) != length:
                raise ShapeError(
                    f"einsum: {subscripts!r} on shapes {', '.join(str(t.shape) for t in tensors)}: "
                    f"axes of one letter differ in length, {length} and {sizes[label]}"
                )
    return sizes


def _plain(term: _Term, sizes: dict[str, int]) -> _Term:
    """The term with its diagonals taken, and without axes that are broadcast."""
    x, labels = term
    for label in labels:
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            x = diagonal(x, 0, first, second)
            others = [other for i, other in enumerate(labels) if i not in (first, second)]
            labels = (*others, label)
    kept = [i for i, label in enumerate(labels) if x.shape[i] == sizes[label]]
    return _Term(x.reshape([x.shape[i] for i in kept]), tuple([labels[i] for i in kept]))


def _summed(term: _Term, needed: set[str]) -> _Term:
    """The term summed over the labels that nothing else needs."""
    axes = tuple([i for i, label in enumerate(term.labels) if label not in needed])
    if not axes:
        return term
    kept = tuple([label for label in term.labels if label in needed])
    return _Term(term.x.sum(axes), kept)


def _smallest_pair(
    terms: Sequence[_Term], result: Labels, sizes: dict[str, int]
) -> tuple[int, int]:
    """The numbers of two terms whose product has the fewest elements."""

    def size(pair: tuple[int, int]) -> int:
        needed = {*result}.union(*(t.labels for i, t in enumerate(terms) if i not in pair))
        labels = {*terms[pair[0]].labels, *terms[pair[1]].labels} & needed
        return math.prod([sizes[label] for label in labels])

    return min(combinations(range(len(terms)), 2), key=size)


def _product(a: _Term, b: _Term, needed: set[str], sizes: dict[str, int]) -> _Term:
    """The product of two terms, summed over the labels that only they have."""
    stack = [label for label in a.labels if label in b.labels and label in needed]
    inside = [label for label in a.labels if label in b.labels and label not in needed]
    left = [label for label in a.labels if label not in b.labels]
    right = [label for label in b.labels if label not in a.labels]

    def laid_out(term: _Term, *groups: list[str]) -> Tensor:
        """The term with the axes of each group of labels as one."""
        order = [term.labels.index(label) for group in groups for label in group]
        lengths = [math.prod([sizes[label] for label in group]) for group in groups]
        return term.x.transpose(order).reshape(lengths)

    if inside:
        x = matmul(laid_out(a, stack, left, inside), laid_out(b, stack, inside, right))
    else:
        x = multiply(
            laid_out(a, stack, left, []), laid_out(b, stack, [], right)
        )  # an empty group has length 1
    labels = (*stack, *left, *right)
    return _Term(x.reshape([sizes[label] for label in labels]), labels)
