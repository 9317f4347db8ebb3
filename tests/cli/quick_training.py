"""Options of a training that takes a moment."""

QUICK = ["--model", "mlp", "--hidden", "8", "--epochs", "2"]
"""Of layers that are fully connected: of tables, too, which have another default."""
