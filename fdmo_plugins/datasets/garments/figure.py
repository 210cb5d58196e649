"""The person who wears the garment, as seen from the front.

Lengths are in *body units*: the origin is between the shoulders, the waist one unit below, the
ankles three. x points to the right of the picture, y downwards.
"""

from dataclasses import dataclass

import numpy as np

from fdmo_plugins.datasets.garments.geometry import Points, ellipse, ribbon

WAIST = 1.0
CROTCH = 1.4
ANKLE = 3.0
UPPER_ARM = 0.72
FOREARM = 0.68


@dataclass(frozen=True)
class Figure:
    """Proportions and pose of one person.

    Attributes:
        shoulder: Half of the width between the shoulders.
        waist: Half of the waist's width.
        hip: Half of the hip's width.
        arms: Shoulder, elbow and wrist of the left and the right arm. Two of shape ``(3, 2)``.
        spread: Half of the distance between the feet.
    """

    shoulder: float
    waist: float
    hip: float
    arms: tuple[Points, Points]
    spread: float

    def leg(self, side: int) -> Points:
        """Return the middle of a leg from hip to ankle, for side -1 (left) or 1 (right)."""
        return np.array([[side * self.hip * 0.52, 1.25], [side * self.spread, ANKLE]])


def random_figure(rng: np.random.Generator) -> Figure:
    """Return a person in some pose."""
    shoulder = rng.uniform(0.38, 0.5)
    waist = rng.uniform(0.26, 0.38)
    return Figure(
        shoulder=shoulder,
        waist=waist,
        hip=waist + rng.uniform(0.04, 0.14),
        arms=(_random_arm(rng, -1, shoulder), _random_arm(rng, 1, shoulder)),
        spread=rng.uniform(0.3, 0.5),
    )


def _random_arm(rng: np.random.Generator, side: int, shoulder: float) -> Points:
    upper = rng.uniform(0.25, 0.85)  # radians away from hanging straight down
    lower = upper + rng.normal(-0.1, 0.3)
    joint = np.array([side * (shoulder - 0.04), 0.1])
    elbow = joint + UPPER_ARM * np.array([side * np.sin(upper), np.cos(upper)])
    wrist = elbow + FOREARM * np.array([side * np.sin(lower), np.cos(lower)])
    return np.stack([joint, elbow, wrist])


def body_parts(figure: Figure) -> list[Points]:
    """Return the polygons of the skin, from back to front."""
    legs = [ribbon(figure.leg(side), [0.17, 0.08]) for side in (-1, 1)]
    arms = [ribbon(arm, [0.1, 0.08, 0.05]) for arm in figure.arms]
    hands = [ellipse(arm[2], (0.07, 0.07), corners=8) for arm in figure.arms]
    torso = ribbon(
        [[0.0, 0.0], [0.0, WAIST], [0.0, CROTCH]], [figure.shoulder - 0.05, figure.waist, 0.3]
    )
    neck = ribbon([[0.0, -0.3], [0.0, 0.1]], [0.1, 0.12])
    return [*legs, torso, neck, ellipse((0.0, -0.42), (0.19, 0.25)), *arms, *hands]


def hair_parts(figure: Figure, length: float) -> list[Points]:
    """Return the polygons of hair that falls in front of the shoulders.

    Args:
        figure: Who has it.
        length: How far below the shoulders it ends, in body units; negative for short hair.
    """
    crown = ellipse((0.0, -0.56), (0.22, 0.16))
    strands = [
        ribbon([[side * 0.19, -0.5], [side * (figure.shoulder * 0.45), length]], [0.06, 0.1])
        for side in (-1, 1)
    ]
    return [crown, *strands]
