"""Torch's threads are asked to sleep between its operators, where that can still be asked."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("before", "given", "expected"),
    [("", None, "passive"), ("", "active", "active"), ("import torch", None, "None")],
)
def test_the_policy(before, given, expected):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if given is not None:
        environment["OMP_WAIT_POLICY"] = given
    code = f"{before}\nimport os, birnn.training\nprint(os.environ.get('OMP_WAIT_POLICY'))"
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == expected
