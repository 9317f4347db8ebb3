"""Options of a training that takes a moment."""

QUICK = ["--hidden", "8", "--epochs", "2"]
