"""`imcsim doctor`: what this installation stands on, and whether its kernels compute what they should."""

from __future__ import annotations

import argparse
import json

from imcsim.cli.codes import DONE, SOME_FAILED
from imcsim.version import MODEL_VERSION, __version__


def doctor(options: argparse.Namespace) -> int:
    import platform
    from importlib import metadata

    import numba
    import numpy as np

    from imcsim.kernels.jit import cache_folder
    from imcsim.kernels.philox import fill_normals
    from imcsim.kernels.reference import normals
    from imcsim.specs.library import device_folder, device_names

    drawn = np.empty(1000, np.float32)
    fill_normals(drawn, np.uint64(1), 0, np.uint32(2), np.uint32(3), np.uint32(4))
    sound = bool(np.allclose(drawn, normals(1000, 1, 2, 3, 4), atol=1e-4))
    packages = ("numpy", "numba", "scipy", "h5py", "matplotlib")
    report = {
        "imcsim": f"{__version__} (model version {MODEL_VERSION})",
        "python": f"{platform.python_version()} on {platform.platform()}",
        **{name: metadata.version(name) for name in packages},
        "threads": numba.get_num_threads(),
        "threading layer": numba.threading_layer(),
        "kernel cache": str(cache_folder() or "none: nothing can be written, kernels are compiled in every process"),
        "device models": f"{len(device_names())} in {device_folder()}",
        "self-test": "the kernels agree with their numpy twins"
        if sound
        else "FAILED: kernels and numpy twins disagree",
    }
    print(json.dumps(report, indent=1) if options.json else "\n".join(f"{k:16} {v}" for k, v in report.items()))
    return DONE if sound else SOME_FAILED
