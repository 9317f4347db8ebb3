"""The BLAS library that the native core calls: scipy-openblas32's, by its function pointers."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec

_ENDINGS = {"darwin": ".dylib", "win32": ".dll"}


def load() -> tuple[int, int]:
    """The addresses of cblas_sgemm and cblas_dgemm, in a library that runs one thread a call.

    Raises:
        ImportError: if scipy-openblas32 is missing or incomplete.
    """
    spec = find_spec("scipy_openblas32")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("chainrule needs scipy-openblas32: pip install scipy-openblas32")
    folder = os.path.join(spec.submodule_search_locations[0], "lib")
    ending = _ENDINGS.get(sys.platform, ".so")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = [n for n in names if n.startswith("libscipy_openblas") and ending in n]
    if not found:
        raise ImportError(f"scipy-openblas32 is incomplete: no library in {folder}; reinstall it")
    library = ctypes.CDLL(os.path.join(folder, found[0]))
    library.scipy_openblas_set_num_threads(1)
    return _address(library.scipy_cblas_sgemm), _address(library.scipy_cblas_dgemm)


def _address(function: object) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]
    assert address is not None
    return address
