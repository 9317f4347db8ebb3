"""The record that the parts of a fit hand to one another."""

from __future__ import annotations

import os
from typing import NamedTuple

from chainrule.system.interrupts import Interrupts
from chainrule.train.progress import ProgressReport
from chainrule.train.sources import Source


class FitRun(NamedTuple):
    """The data and settings of a fit."""

    source: Source
    validation: Source | None
    report: ProgressReport
    interrupts: Interrupts
    checkpoint: str | os.PathLike[str] | None
    checkpoint_steps: int | None
