"""Initialisation of a stack's parameters from a key of JAX."""

# D inputs, H hidden units, G gate rows (gates * H)

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from birnn.engine.stack_checks import check_stack
from birnn.errors import ConfigError, nearest
from birnn.reference.stack import Stack

SchemeName = Literal["glorot", "orthogonal", "normal", "torch"]
Initialiser = Callable[..., Array]

# Matrices are (outputs, inputs), as torch has them.
_GLOROT = jax.nn.initializers.glorot_uniform(in_axis=1, out_axis=0)
_ORTHOGONAL = jax.nn.initializers.orthogonal()


def init(
    key: Any,
    stack: Stack,
    *,
    scheme: SchemeName = "glorot",
    sigma: float | None = None,
    forget_bias: float | None = None,
    dtype: Any = jnp.float32,
) -> dict[str, Array]:
    """Random parameters of a stack, the same for the same key.

    | scheme | input weights | recurrent weights | biases |
    |---|---|---|---|
    | ``glorot`` | uniform in ``±sqrt(6 / (D + H))`` | orthogonal | 0 |
    | ``orthogonal`` | orthogonal rows or columns | orthogonal | 0 |
    | ``normal`` | Normal(0, sigma) | Normal(0, sigma) | 0 |
    | ``torch`` | uniform in ``±1 / sqrt(H)`` | likewise | likewise |

    ``glorot`` and ``orthogonal`` draw gate by gate, and start the forget gate of an LSTM with
    ``forget_bias``. A projection's weights are drawn as input weights are; ``torch`` takes
    ``±1 / sqrt(2H)`` for them.

    Args:
        key: Key of `jax.random`.
        stack: Settings of the stack.
        scheme: ``glorot``, ``orthogonal``, ``normal`` or ``torch``.
        sigma: Standard deviation of ``normal``, 0.01 where none is given.
        forget_bias: Of ``glorot`` and ``orthogonal``: bias of the LSTM's forget gate, all of it in
            ``bias_ih``, as the two biases of a gate add up; 1 where none is given.
        dtype: Type of the arrays.

    Returns:
        Arrays by the names of ``stack.shapes()``.

    Raises:
        ConfigError: A scheme that does not exist, or a setting that it has not.
        UsageError: A stack that is no `Stack`.

    Source: Glorot and Bengio 2010, equation 16; orthogonal: Saxe et al. 2014; forget bias:
    Jozefowicz et al. 2015.

    Example:
        >>> params = init(jax.random.key(0), Stack("lstm", 3, 2))
        >>> params["bias_ih_l0"].tolist()
        [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """
    if scheme not in SCHEMES:
        raise ConfigError(f"scheme is {scheme!r}: {nearest(str(scheme), SCHEMES)}")
    check_stack(stack)
    made = SCHEMES[scheme]
    settings = {"sigma": sigma, "forget_bias": forget_bias}
    given = {name: value for name, value in settings.items() if value is not None}
    _check_settings(scheme, given, made.setting)
    shapes = stack.shapes()
    keys = jax.random.split(key, len(shapes))
    draw = made.initialiser(stack, *given.values())
    return {
        name: draw(own, name, shape, dtype)
        for own, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def _check_settings(scheme: str, given: dict[str, float], known: str | None) -> None:
    """Refuse settings that a scheme has not, and a standard deviation that nothing can have."""
    for name, value in given.items():
        if name != known:
            own = [each for each, row in SCHEMES.items() if row.setting == name]
            raise ConfigError(
                f"{name} is {value}, and scheme {scheme!r} has none. "
                f"Leave it out, or give scheme {' or '.join(map(repr, own))}."
            )
        if name == "sigma" and not 0 <= value < math.inf:
            raise ConfigError(f"sigma is {value}, a standard deviation is 0 or more")


class Scheme(NamedTuple):
    """A scheme of initialisation.

    Args:
        initialiser: Makes the drawing function of a stack, of its setting where it has one.
        setting: Name of that argument of `init`.
    """

    initialiser: Callable[..., Initialiser]
    setting: str | None = None


def _by_gate(weight: Initialiser) -> Callable[..., Initialiser]:
    """Input weights by ``weight``, recurrent ones orthogonal."""

    def scheme(stack: Stack, forget_bias: float = 1.0) -> Initialiser:
        hidden = stack.hidden_size

        def draw(key: Any, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
            if len(shape) == 1:
                bias = jnp.zeros(shape, dtype)
                forget = stack.cell == "lstm" and name.startswith("bias_ih")
                return bias.at[hidden : 2 * hidden].set(forget_bias) if forget else bias
            if name.startswith("merge"):
                return weight(key, shape, dtype)
            # Gate by gate: the fan-out of all gates together would shrink the weights.
            block = _ORTHOGONAL if name.startswith("weight_hh") else weight
            keys = jax.random.split(key, shape[0] // hidden)
            return jnp.concatenate([block(own, (hidden, shape[1]), dtype) for own in keys])

        return draw

    return scheme


def _normal(_stack: Stack, sigma: float = 0.01) -> Initialiser:
    weight = jax.nn.initializers.normal(sigma)

    def draw(key: Any, _name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        return weight(key, shape, dtype) if len(shape) == 2 else jnp.zeros(shape, dtype)

    return draw


def _torch(stack: Stack) -> Initialiser:
    def draw(key: Any, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        fan_in = stack.hidden_size * (2 if name.startswith("merge") else 1)
        bound = 1 / math.sqrt(fan_in)
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return draw


SCHEMES: dict[SchemeName, Scheme] = {
    "glorot": Scheme(_by_gate(_GLOROT), "forget_bias"),
    "orthogonal": Scheme(_by_gate(_ORTHOGONAL), "forget_bias"),
    "normal": Scheme(_normal, "sigma"),
    "torch": Scheme(_torch),
}
