"""The fabrics: what covers a garment, as colours over the plane of the figure.

Each fabric has a weave and typical dyes. A few garments of each are dyed in any colour, so that
the weave decides; faint stripes look like ribs then, and faded knit like denim.
"""

import colorsys
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Colour = NDArray[np.float32]
"""Red, green and blue in [0, 1]. Shape ``(3,)``."""

Fabric = Callable[[np.random.Generator, Floats, Floats, Floats], Floats]
"""Takes a source of randomness, x and y in body units, and a smooth random field with mean 0 and
standard deviation about 1, each of shape ``(H, W)``; returns colours of shape ``(H, W, 3)``."""

UNTYPICAL_SHARE = 0.08  # enough that colour alone errs, too few to hide the weave from 40 pixels


def knit(rng: np.random.Generator, x: Floats, y: Floats, field: Floats) -> Floats:
    """Return one colour, mostly warm, with upright ribs."""
    ground = _dye(rng, hue=(0.02, 0.05), saturation=(0.4, 0.85), value=(0.5, 0.95))
    ribs = _bands(x * rng.uniform(5.0, 10.0), share=0.5, edge=1.0)
    return _mix(ground, _darker(ground), rng.uniform(0.0, 0.25) * ribs + 0.03 * field)


def denim(rng: np.random.Generator, x: Floats, y: Floats, field: Floats) -> Floats:
    """Return a twill, mostly blue, faded in places."""
    ground = _dye(rng, hue=(0.61, 0.02), saturation=(0.4, 0.7), value=(0.25, 0.7))
    twill = _bands((x + y) * rng.uniform(7.0, 10.0), share=0.5, edge=1.0)
    fade = np.clip(rng.uniform(0.05, 0.3) * (field + 0.5), 0.0, 0.8)
    return _mix(ground, _rgb(0.62, 0.05, 0.95), fade + rng.uniform(0.05, 0.2) * twill)


def striped(rng: np.random.Generator, x: Floats, y: Floats, field: Floats) -> Floats:
    """Return stripes on a mostly light ground, level or upright."""
    ground = _dye(rng, hue=(0.12, 0.05), saturation=(0.0, 0.2), value=(0.8, 1.0))
    across = y if rng.random() < 0.8 else x
    bands = _bands(across * rng.uniform(2.5, 5.0), share=rng.uniform(0.3, 0.6), edge=6.0)
    return _mix(ground, _darker(random_colour(rng)), bands)


def checked(rng: np.random.Generator, x: Floats, y: Floats, field: Floats) -> Floats:
    """Return crossed stripes on a mostly green ground, one direction stronger than the other."""
    ground = _dye(rng, hue=(0.36, 0.06), saturation=(0.4, 0.8), value=(0.3, 0.7))
    frequency, share = rng.uniform(2.5, 5.0), rng.uniform(0.35, 0.65)
    level = _bands(y * frequency, share=share, edge=6.0)
    upright = _bands(x * frequency * rng.uniform(0.8, 1.25), share=share, edge=6.0)
    weight = rng.uniform(0.3, 0.7)
    bands = weight * level + (1.0 - weight) * upright
    return _mix(ground, _darker(random_colour(rng)), bands)


FABRICS: Mapping[str, Fabric] = {
    "knit": knit,
    "denim": denim,
    "striped": striped,
    "checked": checked,
}


def random_colour(rng: np.random.Generator) -> Colour:
    """Return any colour, of any strength."""
    return _rgb(rng.random(), rng.uniform(0.0, 0.8), rng.uniform(0.15, 0.95))


def _dye(
    rng: np.random.Generator,
    *,
    hue: tuple[float, float],
    saturation: tuple[float, float],
    value: tuple[float, float],
) -> Colour:
    """Return a fabric's typical colour, or now and then any colour.

    Args:
        rng: Source of randomness.
        hue: Mean and standard deviation, in turns of the colour wheel.
        saturation: Lowest and highest.
        value: Lowest and highest.
    """
    if rng.random() < UNTYPICAL_SHARE:
        return random_colour(rng)
    return _rgb(rng.normal(*hue), rng.uniform(*saturation), rng.uniform(*value))


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), dtype=np.float32)


def _darker(colour: Colour) -> Colour:
    return colour * np.float32(0.6)


def _mix(ground: Colour, second: Colour, share: Floats) -> Floats:
    """Return the second colour over the first; ``share`` has shape ``(H, W)``."""
    return ground + share[..., None] * (second - ground)


def _bands(phase: Floats, *, share: float, edge: float) -> Floats:
    """Return 1 in a part of each period and 0 in the rest, with slanted edges.

    Args:
        phase: Position in periods. Shape ``(H, W)``.
        share: Part of a period that is 1.
        edge: How steep the edges are; 1 for a triangle wave.
    """
    triangle = np.abs(2.0 * (phase - np.floor(phase)) - 1.0)
    bands: Floats = np.clip((share - triangle) * edge + 0.5, 0.0, 1.0).astype(np.float32)
    return bands
