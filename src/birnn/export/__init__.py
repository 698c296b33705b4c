"""Bundles as files of other frameworks, and their answers against the runtime's.

>>> from birnn.export import EXPORTERS
>>> "torch" in EXPORTERS
True
"""

from birnn.export.exporters import EXPORTERS, Exporter, Loaded, export_model
from birnn.export.feeds import feeds, with_offset
from birnn.export.verify import Difference, Verification, verify

__all__ = [
    "EXPORTERS",
    "Difference",
    "Exporter",
    "Loaded",
    "Verification",
    "export_model",
    "feeds",
    "verify",
    "with_offset",
]
