"""The errors of the graph: each says what was wrong, what was seen, and the remedy."""


class ShapeError(ValueError):
    """Shapes that do not fit one another."""


class DTypeError(TypeError):
    """A dtype that an operation does not take."""


class SymbolicError(RuntimeError):
    """A value was asked of a Tensor that has none yet, because it is built on a placeholder."""


class NonFiniteError(ArithmeticError):
    """A loss or gradient became NaN or infinite.

    Attributes:
        steps_done: how many steps of the run went well before.
    """

    steps_done = 0
