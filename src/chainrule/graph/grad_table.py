"""GradTable: the gradients that backprop found, by their variables, parameters or names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from chainrule.graph.operation import operation_name, operations
from chainrule.graph.printing import as_text
from chainrule.graph.tensor import Tensor
from chainrule.markup import encodable, table


class GradTable(dict[Tensor, Tensor]):
    """The gradient of every variable on a path to z, as algorithm 6.6 fills it.

    A dict with a Tensor for each variable. A `Parameter` is a key, too, and stands for all
    leaves through which the graph reads it; so is the name of a variable, which for a parameter of
    a model is its path. It prints as a table.

    Raises:
        KeyError: for a variable or a name without a gradient, with the names that there are; for a
            name of several variables.

    Example:
        >>> import chainrule as cr
        >>> w = cr.Parameter([2.0, 3.0], name="w")
        >>> z = w * w
        >>> z.name = "z"
        >>> grad_table = cr.backprop(z.sum())
        >>> grad_table[w].tolist() == grad_table["w"].tolist() == [4.0, 6.0]
        True
        >>> print(grad_table)
        name   operation   value   gradient
        ───────────────────────────────────
               sum         13      1
        z      multiply    4  9    1  1
        w                  2  3    4  6
    """

    if TYPE_CHECKING:  # a name is a key, too

        def __getitem__(self, key: Tensor | str) -> Tensor: ...

    def __missing__(self, key: Any) -> Tensor:
        found = self._found(key)
        if not found:
            raise KeyError(self._fault(key))
        if isinstance(key, str) and len({v if v.state is None else v.state for v in found}) > 1:
            raise KeyError(
                f"{len(found)} variables are named {key!r}: give the Tensor or Parameter"
            )
        return summed([dict.__getitem__(self, variable) for variable in found])

    def _found(self, key: Any) -> list[Tensor]:
        """The variables that a key stands for, besides the variable itself."""
        if isinstance(key, str):
            return [variable for variable in self if variable.name == key]
        if isinstance(key, Tensor) and key.is_state:
            return [variable for variable in self if variable.state is key]
        return []

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self, key) or bool(self._found(key))

    def get(self, key: Any, default: Any = None) -> Any:
        """The gradient; `default` where there is none.

        Raises:
            KeyError: for a name of several variables.
        """
        if key in self:
            return self[key]
        return default

    def pop(self, key: Any, *default: Any) -> Any:
        """Take a gradient out of the table.

        Raises:
            KeyError: where there is none, and no default.
        """
        if default and key not in self:
            return default[0]
        gradient = self[key]
        del self[key]
        return gradient

    def __delitem__(self, key: Any) -> None:
        held = [key] if dict.__contains__(self, key) else self._found(key)
        if not held:
            raise KeyError(self._fault(key))
        for variable in held:
            dict.__delitem__(self, variable)

    def _fault(self, key: Any) -> str:
        names = [variable.name for variable in self if variable.name]
        known = f"there are {', '.join(dict.fromkeys(names))}" if names else "none has a name"
        said = repr(key) if isinstance(key, str) else f"{type(key).__name__} {key!r:.80}"
        return f"no gradient of {said}; {known}"

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        """(name, operation, value, gradient) of each variable, as text."""
        for variable, grad in self.items():
            operation = operation_name(variable)
            yield variable.name or "", operation, _text(variable), _text(grad)

    def __repr__(self) -> str:
        if not self:
            return "GradTable without gradients"
        rows = [("name", "operation", "value", "gradient"), *self._rows()]
        cells = [[encodable(cell).split("\n") for cell in row] for row in rows]
        widths = [max(len(line) for row in cells for line in row[i]) for i in range(4)]
        lines = []
        for number, row in enumerate(cells):
            for i in range(max(map(len, row))):
                texts = [part[i] if i < len(part) else "" for part in row]
                padded = "   ".join(t.ljust(w) for t, w in zip(texts, widths, strict=True))
                lines.append(padded.rstrip())
            if number == 0:
                lines.append(encodable("─") * (sum(widths) + 9))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        columns = ["name", "operation", "value", "gradient"]
        return table(f"Gradients of {len(self)} variables", columns, self._rows())


def gradients_of_states(grad_table: Mapping[Tensor, Tensor]) -> dict[Tensor, Tensor]:
    """The gradient of each `State`: the sum over all leaves through which the graph reads it.

    There are several where a state was assigned, frozen or unfrozen between two uses.
    """
    found: dict[Tensor, list[Tensor]] = {}
    for variable, gradient in grad_table.items():
        if variable.state is not None:
            found.setdefault(variable.state, []).append(gradient)
    return {state: summed(gradients) for state, gradients in found.items()}


def summed(gradients: list[Tensor]) -> Tensor:
    """The sum of one gradient or more, of one shape."""
    return gradients[0] if len(gradients) == 1 else operations["add_n"].apply(*gradients)


def _text(tensor: Tensor) -> str:
    if tensor.value is None:
        return f"symbolic, {' x '.join(map(str, tensor.shape)) or 'scalar'}"
    return as_text(tensor.value)
