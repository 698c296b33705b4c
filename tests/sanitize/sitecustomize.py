"""Another build of the compiled module in the place of the installed one: that of BIRNN_NATIVE.

Python imports a module of this name when it starts, if its folder is in PYTHONPATH: so the
processes that tests start run on that build too. `make sanitize` is what it is for.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import sys


class OtherBuild(importlib.abc.MetaPathFinder):
    """Finds the compiled module where BIRNN_NATIVE says."""

    def find_spec(self, fullname, path, target=None):
        if fullname != "birnn.engine._native":
            return None
        return importlib.util.spec_from_file_location(fullname, os.environ["BIRNN_NATIVE"])


if "BIRNN_NATIVE" in os.environ:
    # Before all others, the one of the editable install among them.
    sys.meta_path.insert(0, OtherBuild())
