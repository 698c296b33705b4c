"""Who is measured: what each needs, what it can do, and where its code stands."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Any, Protocol, cast

from birnn.errors import UsageError, nearest
from birnn.studies.bench.cases import COMPARED, Array, Case, Problem, Work

OURS = "birnn"


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way in which a peer does the work.

    Args:
        call: Does the work once and returns when it is done; this is what is timed.
        answer: What ``call`` returned, as an array: the output (B, T, S * H) of the forward pass,
            the gradient of the input (B, T, D) of both passes. Not timed.
        called: What sets it apart from the peer's other ways.
    """

    call: Callable[[], Any]
    answer: Callable[[Any], Array]
    called: str = ""


class Home(Protocol):
    """What a module with a peer's code offers."""

    def ways(self, name: str, problem: Problem, work: Work, threads: int) -> list[Way]:
        """The ways of the peer ``name`` of doing the work; they get the same weights and rows."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One who runs the layer.

    Args:
        name: Name on the command line.
        called: Name in tables.
        home: Module of this package with its code.
        packages: What to install, by the names of the package index; the first one's version is
            told.
        modules: What has to be importable.
        trains: Whether it has a backward pass.
        every_kind: Whether it also takes part where the layer is not the compared one.
        leaks: Whether its backward half reads padding, so that its answer is wrong there.
    """

    name: str
    called: str
    home: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    trains: bool = True
    every_kind: bool = False
    leaks: bool = False

    def installed(self) -> bool:
        """Whether all that it needs can be imported."""
        return all(find_spec(module) is not None for module in self.modules)

    def version(self) -> str:
        """Version of its first package."""
        return metadata.version(self.packages[0])

    def does(self, case: Case, work: Work) -> bool:
        """Whether it takes part in a case."""
        return (self.trains or work == "forward") and (self.every_kind or case.kind == COMPARED)

    def compared(self, case: Case, work: Work) -> slice | None:
        """Columns of its answer that must agree with ours; None where none can.

        Example:
            >>> from birnn.studies.bench.cases import Kind, Shape
            >>> PEERS["torch-padded"].compared(Case(Shape(2, 3, 4, 5)), "forward")
            slice(0, 4, None)
            >>> PEERS["torch-padded"].compared(Case(Shape(2, 3, 4, 5)), "forward+backward")
        """
        if not (self.leaks and case.kind.ragged and case.kind.directions == 2):
            return slice(None)
        return slice(0, case.shape.hidden) if work == "forward" else None

    def ways(self, problem: Problem, work: Work, threads: int) -> list[Way]:
        """Its ways of doing the work."""
        home = cast("Home", importlib.import_module(f"{__package__}.{self.home}"))
        return home.ways(self.name, problem, work, threads)


_ALL = (
    Peer(OURS, "birnn", "torch_peers", ("torch",), ("torch",), every_kind=True),
    Peer("torch-packed", "torch packed", "torch_peers", ("torch",), ("torch",), every_kind=True),
    Peer(
        "torch-padded",
        "torch padded",
        "torch_peers",
        ("torch",),
        ("torch",),
        every_kind=True,
        leaks=True,
    ),
    Peer(
        "onnxruntime",
        "ONNX Runtime",
        "graph_peers",
        ("onnxruntime", "onnx"),
        ("onnxruntime", "onnx"),
        trains=False,
    ),
    Peer("openvino", "OpenVINO", "graph_peers", ("openvino",), ("openvino",), trains=False),
    Peer("keras", "Keras", "jit_peers", ("keras", "tensorflow-cpu"), ("keras", "tensorflow")),
    Peer("flax", "Flax", "jit_peers", ("flax", "jax"), ("flax", "jax")),
)
PEERS = {peer.name: peer for peer in _ALL}
TORCH = ("torch-packed", "torch-padded")
RUNTIMES = ("onnxruntime", "openvino")


def choose(names: Sequence[str]) -> tuple[list[Peer], list[Peer]]:
    """The peers to measure, birnn first, and those that would be but are not installed.

    Args:
        names: Names of peers; all where there are none.

    Raises:
        UsageError: A name that is none, or one that was asked for and is not installed.

    Example:
        >>> [peer.name for peer in choose(["torch-packed"])[0]]
        ['birnn', 'torch-packed']
    """
    for name in names:
        if name not in PEERS:
            raise UsageError(f"no peer {name!r}: {nearest(name, PEERS)}")
        if not PEERS[name].installed():
            raise UsageError(f"{PEERS[name].called} is not installed. {how_to_install(name)}")
    wanted = [peer for peer in _ALL if not names or peer.name == OURS or peer.name in names]
    return (
        [peer for peer in wanted if peer.installed()],
        [peer for peer in wanted if not peer.installed()],
    )


def how_to_install(name: str) -> str:
    """The command that installs a peer.

    Example:
        >>> how_to_install("onnxruntime")
        'pip install onnxruntime onnx'
    """
    return f"pip install {' '.join(PEERS[name].packages)}"
