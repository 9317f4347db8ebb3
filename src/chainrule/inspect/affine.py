"""The affine map that a layer computes, found in its graph: of a matrix, or of a kernel."""

from __future__ import annotations

from typing import Literal, NamedTuple

from chainrule.graph.backprop import ancestors
from chainrule.graph.operation import operation_name
from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor

Product = Literal["matrix", "convolution", "transposed convolution"]

_PRODUCTS: dict[str, Product] = {
    "matmul": "matrix",
    "conv": "convolution",
    "conv_input_grad": "transposed convolution",
}
_SAME_NUMBERS = ("reshape", "astype")
_BORDERS = ("pad", "gather")


class Affine(NamedTuple):
    """z = W a + b, where the product is that of a matrix, or a convolution.

    Attributes:
        product: which one.
        weight: W: a parameter's leaf, or what is computed of parameters.
        bias: the leaf of b; None without one.
    """

    product: Product
    weight: Tensor
    bias: Tensor | None


def affine_map(z: Tensor, a: Tensor) -> Affine | None:
    """What makes z of a, if it is a product with weights, plus a bias, and nothing more."""
    node, bias = _behind(z, "reshape"), None
    if operation_name(node) == "add":
        node, added = node.inputs
        bias = _behind(added, "broadcast_to", "reshape")
        if not isinstance(bias.state, Parameter):
            return None
    product = _PRODUCTS.get(operation_name(node))
    if product is None:
        return None
    moved, weight = node.inputs
    if product == "matrix" and node.attributes.get("transpose_b") is not True:
        return None
    moves = _SAME_NUMBERS if product == "matrix" else (*_SAME_NUMBERS, *_BORDERS)
    if _behind(moved, *moves) is not _behind(a, *_SAME_NUMBERS):
        return None
    return None if a in set(ancestors(weight)) else Affine(product, weight, bias)


def _behind(node: Tensor, *names: str) -> Tensor:
    """The first input that no operation of these names computes."""
    while operation_name(node) in names:
        node = node.inputs[0]
    return node
