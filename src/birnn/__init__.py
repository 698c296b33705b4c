"""Bidirectional recurrent networks: exact on ragged batches, easy to open up, light to ship.

>>> import birnn
>>> birnn.__version__.count(".")
2
"""

# Everything but the version is imported when it is first asked for: `import birnn` takes
# milliseconds and never loads torch.

from __future__ import annotations

import importlib
import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from birnn.engine.threads import set_num_threads
    from birnn.export.exporters import export_model
    from birnn.hub import push
    from birnn.importing.importer import import_model
    from birnn.nn.accelerate import accelerate, decelerate
    from birnn.ragged import Ragged
    from birnn.runtime.predictor import Predictor
    from birnn.training.train import train

    load = Predictor.load

__version__ = "0.1.0"

_HOMES = {
    "Ragged": "birnn.ragged:Ragged",
    "accelerate": "birnn.nn.accelerate:accelerate",
    "decelerate": "birnn.nn.accelerate:decelerate",
    "export_model": "birnn.export.exporters:export_model",
    "import_model": "birnn.importing.importer:import_model",
    "load": "birnn.runtime.predictor:Predictor.load",
    "push": "birnn.hub:push",
    "set_num_threads": "birnn.engine.threads:set_num_threads",
    "train": "birnn.training.train:train",
}

__all__ = [
    "Ragged",
    "__version__",
    "accelerate",
    "decelerate",
    "export_model",
    "import_model",
    "load",
    "push",
    "set_num_threads",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'birnn' has no attribute {name!r}")
    module, _, path = _HOMES[name].partition(":")
    return operator.attrgetter(path)(importlib.import_module(module))


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
