"""For all tests: what is there once they are collected lasts, and the collector need not look."""

import gc

collect_ignore = ["typed_script.py"]  # which trains: `test_types.py` runs it


def pytest_collection_finish():
    """The tests and PyTorch are a million objects, each of which a full collection visits."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish():
    gc.unfreeze()
