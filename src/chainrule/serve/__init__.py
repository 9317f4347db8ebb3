"""Predictions of trained models for programs: `Predictor`."""

from chainrule.serve.predictor import Predictor

__all__ = ["Predictor"]
