"""Products with rows of tables: the rows are read where they lie, and not copied out before.

Of few rows at a time, as where each of some words is multiplied by each of some others:

    a = lookup(A, i)           (groups, m, width)
    b = lookup(B, j)           (groups, n, width)
    z = a b^T                  z = row_products(A, i, B, j)       (groups, m, n)
    a' = z' b                  a' = weighted_rows(z', B, j)       the gradients of a and b
    b' = z'^T a                b' = weighted_rows(z', A, i)       with transposed weights

One of the two may be no look-up. `rows` then lets the update by such a gradient be one instruction,
too: A - lr scatter_add(a', i) = subtract_rows(A, i, a', lr).
"""

from __future__ import annotations

from chainrule.compiler.values import Value

_MOST_PRODUCTS = 256  # of a group: of more, a product that packs its factors is faster


def multiply_rows_in_place(order: list[Value]) -> None:
    """Change the products of `order` that read rows of tables."""
    products = [value for value in order if value.kind == "matmul" and _is_of_few(value)]
    factors: set[Value] = set()  # of products that have changed
    for value in products:
        a, b = value.inputs
        is_of_rows = value.attributes.get("transpose_b") and not value.attributes.get("transpose_a")
        if is_of_rows and (_is_looked_up(a) or _is_looked_up(b)):
            factors.update((a, b))
            attributes = {"a": _is_looked_up(a), "b": _is_looked_up(b), "width": a.shape[-1]}
            value.become("row_products", (*_rows(a), *_rows(b)), attributes)
    for value in products:
        if value.kind == "row_products":
            continue
        weights, b = value.inputs
        if b in factors and not value.attributes.get("transpose_b"):
            transposed = bool(value.attributes.get("transpose_a"))
            attributes = {"b": _is_looked_up(b), "transposed": transposed, "n": b.shape[1]}
            value.become("weighted_rows", (weights, *_rows(b)), attributes)


def _is_of_few(value: Value) -> bool:
    """Whether the product of each group has few elements, or sums of few rows."""
    if value.dtype.kind != "f" or len(value.shape) != 3:
        return False
    inner = value.inputs[0].shape[1 if value.attributes.get("transpose_a") else 2]
    return value.shape[1] * min(value.shape[2], inner) <= _MOST_PRODUCTS


def _is_looked_up(value: Value) -> bool:
    """Whether a value is whole rows of a matrix, in groups."""
    return value.kind == "lookup" and value.inputs[1].shape == value.shape[:2]


def _rows(value: Value) -> tuple[Value, ...]:
    return value.inputs if _is_looked_up(value) else (value,)
