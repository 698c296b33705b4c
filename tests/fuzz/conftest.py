"""The long runs of the fuzz tests, a quarter of an hour, wait for `make fuzz` (`-m slow`)."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr:
        return
    waiting = [item for item in items if HERE in item.path.parents and "slow" in item.keywords]
    if waiting:
        config.hook.pytest_deselected(items=waiting)
        items[:] = [item for item in items if item not in set(waiting)]
