"""A copy of a training's network, as predictions take it."""

from __future__ import annotations

import copy
from contextlib import nullcontext

from chainrule.nn import Module
from chainrule.system.interrupts import interrupts_held
from chainrule.train.trainer import Trainer


def network_of(trainer: Trainer) -> Module:
    """A copy of a training's network, with the averaged weights if there are any."""
    averaged = nullcontext() if trainer.ema is None else trainer.ema.applied()
    with interrupts_held(), trainer.backend.guard.alone, averaged:
        return copy.deepcopy(trainer.model)
