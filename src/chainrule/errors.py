"""Errors. The message of each says what was wrong, the values or shapes seen, and the remedy."""


class ShapeError(ValueError):
    """Shapes that do not fit one another."""


class DTypeError(TypeError):
    """A dtype that an operation does not take."""


class SymbolicError(RuntimeError):
    """The value of a symbolic Tensor was requested: it is built on a placeholder."""


class NonFiniteError(ArithmeticError):
    """A loss or gradient became NaN or infinite.

    Attributes:
        steps_done: number of steps of the run before it, all with finite values.
    """

    steps_done = 0
