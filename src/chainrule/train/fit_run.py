"""The record that the parts of a fit hand to one another."""

from __future__ import annotations

import os
from typing import NamedTuple

from chainrule.data.arrays import Data
from chainrule.system.interrupts import Interrupts
from chainrule.train.progress import ProgressReport


class FitRun(NamedTuple):
    """The data and settings of a fit."""

    data: Data
    batch_size: int
    batches: int  # in an epoch
    shuffle: bool
    validation: Data | None
    report: ProgressReport
    interrupts: Interrupts
    checkpoint: str | os.PathLike[str] | None
    checkpoint_steps: int | None
