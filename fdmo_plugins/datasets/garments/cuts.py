"""The cuts: outlines of garments on a figure, with their landmarks.

The lengths of sleeves, legs and hems overlap between the cuts, so that neighbours look alike: a
tee and a sweater differ by the sleeve, a tee and a dress by the hem, a skirt and shorts by the
gap between the legs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fdmo_plugins.datasets.garments.figure import CROTCH, WAIST, Figure
from fdmo_plugins.datasets.garments.geometry import Points, along, ribbon
from fdmo_plugins.datasets.garments.landmarks import in_slots


@dataclass(frozen=True)
class Outline:
    """The shape of one garment, in body units.

    Attributes:
        parts: Polygons from back to front; their edges show as seams.
        landmarks: As :func:`~fdmo_plugins.datasets.garments.landmarks.in_slots` returns them.
            Shape ``(8, 2)``.
    """

    parts: tuple[Points, ...]
    landmarks: Points

    @property
    def corners(self) -> Points:
        """All corners of all parts. Shape ``(P, 2)``."""
        return np.concatenate(self.parts)


Cut = Callable[[np.random.Generator, Figure], Outline]


def tee(rng: np.random.Generator, figure: Figure) -> Outline:
    """Return an upper garment with short sleeves."""
    hem, ease = rng.uniform(1.0, 1.52), rng.uniform(0.02, 0.2)
    torso = _torso(rng, figure, hem=hem, ease=ease, flare=rng.uniform(-0.05, 0.12))
    return _with_sleeves(rng, figure, torso, share=rng.uniform(0.12, 0.46), has_waist=False)


def sweater(rng: np.random.Generator, figure: Figure) -> Outline:
    """Return an upper garment with long sleeves."""
    hem, ease = rng.uniform(1.0, 1.5), rng.uniform(0.02, 0.2)
    torso = _torso(rng, figure, hem=hem, ease=ease, flare=rng.uniform(-0.05, 0.12))
    return _with_sleeves(rng, figure, torso, share=rng.uniform(0.42, 1.0), has_waist=False)


def dress(rng: np.random.Generator, figure: Figure) -> Outline:
    """Return a full garment: sleeves of any length, a waist and a skirt."""
    hem, ease = rng.uniform(1.5, 2.7), rng.uniform(-0.02, 0.12)
    torso = _torso(rng, figure, hem=hem, ease=ease, flare=rng.uniform(0.1, 0.4))
    return _with_sleeves(rng, figure, torso, share=rng.uniform(0.08, 0.8), has_waist=True)


def skirt(rng: np.random.Generator, figure: Figure) -> Outline:
    """Return a lower garment without legs."""
    top, hem, flare = rng.uniform(0.9, 1.12), rng.uniform(1.5, 2.6), rng.uniform(0.06, 0.35)
    waist = figure.waist + rng.uniform(0.0, 0.05)
    hip = figure.hip + rng.uniform(0.02, 0.08)
    width = hip + flare * (hem - WAIST)
    body = ribbon([[0.0, top], [0.0, 1.3], [0.0, hem]], [waist, hip, width])
    sag = np.array([[0.0, hem + rng.uniform(-0.06, 0.1)]])
    outline = np.concatenate([body[:3], sag, body[3:]])
    return Outline(
        parts=(outline,),
        landmarks=in_slots({"waist": (body[0], body[5]), "hem": (body[2], body[3])}),
    )


def shorts(rng: np.random.Generator, figure: Figure) -> Outline:
    """Return a lower garment with short legs."""
    return _legs(rng, figure, hem=rng.uniform(1.7, 2.3), half_width=rng.uniform(0.12, 0.21))


def trousers(rng: np.random.Generator, figure: Figure) -> Outline:
    """Return a lower garment with long legs."""
    return _legs(rng, figure, hem=rng.uniform(2.15, 2.98), half_width=rng.uniform(0.09, 0.17))


CUTS: Mapping[str, Cut] = {
    "tee": tee,
    "sweater": sweater,
    "dress": dress,
    "skirt": skirt,
    "shorts": shorts,
    "trousers": trousers,
}

UPPER_CUTS = ("tee", "sweater")
LOWER_CUTS = ("skirt", "shorts", "trousers")


def _torso(
    rng: np.random.Generator, figure: Figure, *, hem: float, ease: float, flare: float
) -> Points:
    """Return what covers the body, from the left collar clockwise. Shape ``(14, 2)``."""
    collar, dip = rng.uniform(0.12, 0.24), rng.uniform(0.05, 0.35)
    waist = figure.waist + ease
    width = figure.hip + ease + flare * (hem - WAIST + 0.3)
    right = np.array(
        [
            [collar, -0.05],
            [figure.shoulder, 0.04],
            [figure.shoulder - 0.02, 0.4],
            [waist, WAIST],
            [width, hem],
        ]
    )
    sag = [[0.0, hem + rng.uniform(-0.04, 0.08)]]
    neck = [[-0.6 * collar, 0.7 * dip], [0.0, dip], [0.6 * collar, 0.7 * dip]]
    left = right * [-1.0, 1.0]
    return np.concatenate([left[:1], neck, right, sag, left[:0:-1]])


def _with_sleeves(
    rng: np.random.Generator, figure: Figure, torso: Points, *, share: float, has_waist: bool
) -> Outline:
    """Return a torso with sleeves that cover the given share of the arms."""
    width, cuff = rng.uniform(0.15, 0.2), rng.uniform(0.09, 0.15)
    arms = [along(arm, share) for arm in figure.arms]
    sleeves = [ribbon(arm, np.linspace(width, cuff, len(arm))) for arm in arms]
    pairs = {
        "collar": (torso[0], torso[4]),
        "sleeve": (arms[0][-1], arms[1][-1]),
        "hem": (torso[10], torso[8]),
    }
    if has_waist:
        pairs["waist"] = (torso[11], torso[7])
    return Outline(parts=(*sleeves, torso), landmarks=in_slots(pairs))


def _legs(rng: np.random.Generator, figure: Figure, *, hem: float, half_width: float) -> Outline:
    """Return two legs that meet below the hip and end at the hem."""
    top, waist = rng.uniform(0.9, 1.12), figure.waist + rng.uniform(0.0, 0.05)
    hip = figure.hip + rng.uniform(0.02, 0.08)
    legs = []
    for side in (-1, 1):
        line = figure.leg(side)
        middle = np.interp(hem, line[:, 1], line[:, 0])
        outer = middle + side * half_width
        inner = side * max(0.01, side * middle - half_width)
        legs.append(
            np.array(
                [
                    [0.0, top],
                    [side * waist, top],
                    [side * hip, 1.3],
                    [outer, hem],
                    [inner, hem],
                    [0.0, CROTCH],
                ]
            )
        )
    left, right = legs
    return Outline(
        parts=(left, right),
        landmarks=in_slots({"waist": (left[1], right[1]), "hem": (left[3], right[3])}),
    )
