"""One picture: a person in clothes before a cluttered background, and what hides the garment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdmo_core import Visibility
from fdmo_plugins.datasets.garments.canvas import Canvas, smooth_field
from fdmo_plugins.datasets.garments.cuts import CUTS, LOWER_CUTS, UPPER_CUTS, Outline
from fdmo_plugins.datasets.garments.fabrics import FABRICS, Colour, Floats, random_colour
from fdmo_plugins.datasets.garments.figure import Figure, body_parts, hair_parts, random_figure
from fdmo_plugins.datasets.garments.geometry import Points, ellipse, ribbon
from fdmo_plugins.datasets.garments.landmarks import annotate


@dataclass(frozen=True)
class Picture:
    """A drawn garment.

    Attributes:
        image: Shape ``(H, W, 3)``, uint8.
        box: Left, top, right, bottom of the garment in pixels, a little inexact.
        landmarks: As :class:`~fdmo_core.samples.Sample` wants them. Shape ``(8, 3)``.
    """

    image: NDArray[np.uint8]
    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]


@dataclass(frozen=True)
class Pose:
    """An affine map from body units to units of the picture.

    Attributes:
        turn: Shape ``(2, 2)``.
        shift: Shape ``(2,)``.
    """

    turn: Points
    shift: Points

    def place(self, points: Points) -> Points:
        """Return points of the figure as points of the picture. Shape ``(P, 2)``."""
        return points @ self.turn.T + self.shift

    def find(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return the figure's x and y at places of the picture, each of shape ``(H, W)``."""
        (a, b), (c, d) = np.linalg.inv(self.turn).astype(np.float32)
        x, y = x - np.float32(self.shift[0]), y - np.float32(self.shift[1])
        return a * x + b * y, c * x + d * y


def draw_picture(rng: np.random.Generator, *, cut: str, fabric: str, size: int) -> Picture:
    """Draw a garment.

    What is drawn depends on ``rng`` alone, not on ``size``; only the grain is finer in a larger
    picture.

    Args:
        rng: Source of randomness.
        cut: A key of :data:`~fdmo_plugins.datasets.garments.cuts.CUTS`.
        fabric: A key of :data:`~fdmo_plugins.datasets.garments.fabrics.FABRICS`.
        size: Longer side of the picture in pixels.
    """
    figure = random_figure(rng)
    outline = CUTS[cut](rng, figure)
    extent = _random_extent(rng)
    pose = _random_pose(rng, outline.corners, extent)
    canvas = Canvas(extent, size=size)
    _draw_background(rng, canvas)
    if rng.random() < 0.8:
        _draw_body(rng, canvas, figure, pose)
    occluders = _draw_clothes(rng, canvas, figure, outline, cut=cut, fabric=fabric, pose=pose)
    occluders += _draw_occluders(rng, canvas, figure, outline, pose)
    corners = pose.place(outline.corners)
    landmarks = annotate(pose.place(outline.landmarks), extent=extent, occluders=occluders)
    is_there = landmarks[:, 2] != Visibility.ABSENT
    landmarks[is_there, :2] = landmarks[is_there, :2] * size - 0.5  # whole numbers are centres
    image = _light(rng, canvas.finish())
    return Picture(
        image=image,
        box=_random_box(rng, corners * size, width=image.shape[1], height=image.shape[0]),
        landmarks=landmarks.astype(np.float32),
    )


def _random_extent(rng: np.random.Generator) -> tuple[float, float]:
    short = rng.uniform(0.75, 1.0)
    return (short, 1.0) if rng.random() < 0.7 else (1.0, short)


def _random_pose(rng: np.random.Generator, corners: Points, extent: tuple[float, float]) -> Pose:
    """Return a pose in which the garment about fills the picture, or reaches beyond it."""
    angle, lean, narrowing = rng.normal(0.0, 0.06), rng.normal(0.0, 0.03), rng.uniform(0.85, 1.0)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = rotation @ np.array([[narrowing, lean], [0.0, 1.0]])
    fit = (np.array(extent) / np.ptp(corners @ turn.T, axis=0)).min()
    turn = turn * fit * rng.uniform(0.72, 1.05)
    middle = np.array(extent) * rng.normal(0.5, 0.05, size=2)
    turned = corners @ turn.T
    return Pose(turn=turn, shift=middle - (turned.min(axis=0) + turned.max(axis=0)) / 2)


def _draw_background(rng: np.random.Generator, canvas: Canvas) -> None:
    first, second = _pale(rng), _pale(rng)
    whole = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    canvas.fill(whole, first)
    horizon = rng.uniform(0.3, 1.0)
    canvas.fill(np.maximum(whole, [0.0, horizon]), second)
    for _ in range(rng.integers(1, 6)):
        canvas.fill(_random_shape(rng, rng.random(2), rng.uniform(0.05, 0.3)), _pale(rng))


def _pale(rng: np.random.Generator) -> Colour:
    return random_colour(rng) * np.float32(0.12) + np.float32(0.82)


def _random_shape(rng: np.random.Generator, middle: Points, radius: float) -> Points:
    """Return an ellipse, a block or a bar."""
    kind, radii = rng.integers(3), radius * rng.uniform(0.3, 1.0, size=2)
    if kind == 0:
        return ellipse(middle, radii)
    upright = kind == 1
    reach = radii * [0.0, 1.0] if upright else rng.normal(0.0, 2.0 * radius, size=2)
    half_width = radii[0] if upright else 0.25 * radius
    return ribbon([middle - reach, middle + reach], [half_width, half_width])


def _draw_body(rng: np.random.Generator, canvas: Canvas, figure: Figure, pose: Pose) -> None:
    skin = _random_skin(rng)
    for part in body_parts(figure):
        canvas.fill(pose.place(part), skin)


def _random_skin(rng: np.random.Generator) -> Colour:
    tone = np.array([0.93, 0.75, 0.62]) * rng.uniform(0.35, 1.0) + rng.normal(0.0, 0.02, size=3)
    return tone.astype(np.float32)


def _draw_clothes(
    rng: np.random.Generator,
    canvas: Canvas,
    figure: Figure,
    outline: Outline,
    *,
    cut: str,
    fabric: str,
    pose: Pose,
) -> list[Points]:
    """Draw the garment and, unless it is a dress, what is worn with it; return what is in front."""
    companions = {**dict.fromkeys(UPPER_CUTS, LOWER_CUTS), **dict.fromkeys(LOWER_CUTS, UPPER_CUTS)}
    if cut not in companions or rng.random() < 0.4:
        _draw_garment(rng, canvas, outline, fabric=fabric, pose=pose)
        return []
    other = CUTS[str(rng.choice(companions[cut]))](rng, figure)
    other_fabric = str(rng.choice(list(FABRICS)))
    if rng.random() < 0.3:
        _draw_garment(rng, canvas, outline, fabric=fabric, pose=pose)
        _draw_garment(rng, canvas, other, fabric=other_fabric, pose=pose)
        return [pose.place(part) for part in other.parts]
    _draw_garment(rng, canvas, other, fabric=other_fabric, pose=pose)
    _draw_garment(rng, canvas, outline, fabric=fabric, pose=pose)
    return []


def _draw_garment(
    rng: np.random.Generator, canvas: Canvas, outline: Outline, *, fabric: str, pose: Pose
) -> None:
    parts = [pose.place(part) for part in outline.parts]

    def colours(x: Floats, y: Floats) -> Floats:
        folds, field = (smooth_field(rng, cells=6, shape=x.shape) for _ in range(2))
        u, v = pose.find(x, y)
        sway = np.float32(0.025) * folds
        cloth = FABRICS[fabric](rng, u + sway, v + sway, field)
        return cloth * (1.0 + np.float32(0.1) * folds)[..., None]

    canvas.cover(parts, colours)
    seam = random_colour(rng) * np.float32(0.4)
    for part in parts:
        canvas.stroke(part, seam, width=0.006)


def _draw_occluders(
    rng: np.random.Generator, canvas: Canvas, figure: Figure, outline: Outline, pose: Pose
) -> list[Points]:
    """Draw what comes in front of the garment, and return it."""
    landmarks = pose.place(outline.landmarks[~np.isnan(outline.landmarks[:, 0])])
    shapes: list[tuple[Points, Colour]] = []
    if rng.random() < 0.3:
        brown = _random_skin(rng) * np.float32(0.5)
        hair = hair_parts(figure, rng.uniform(-0.3, 0.5))
        shapes += [(pose.place(part), brown) for part in hair]
    if rng.random() < 0.2:
        target = rng.choice(landmarks) + rng.normal(0.0, 0.04, size=2)
        shapes.append((_arm(rng, target), _random_skin(rng)))
    if rng.random() < 0.2:
        target = rng.choice(landmarks) + rng.normal(0.0, 0.06, size=2)
        shapes.append((_random_shape(rng, target, rng.uniform(0.05, 0.16)), random_colour(rng)))
    for polygon, colour in shapes:
        canvas.fill(polygon, colour)
    return [polygon for polygon, _ in shapes]


def _arm(rng: np.random.Generator, hand: Points) -> Points:
    """Return an arm that reaches from somewhere to the hand."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    elbow = hand + rng.uniform(0.2, 0.4) * np.array([np.cos(angle), np.sin(angle)])
    return ribbon([elbow, hand], [0.05, 0.035])


def _light(rng: np.random.Generator, image: Floats) -> NDArray[np.uint8]:
    """Return the picture under some light, with the grain of a camera."""
    height, width = image.shape[:2]
    angle, strength = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.0, 0.25)
    across = np.linspace(-1.0, 1.0, width, dtype=np.float32) * np.cos(angle)
    down = np.linspace(-1.0, 1.0, height, dtype=np.float32) * np.sin(angle)
    gain = (rng.uniform(0.85, 1.1) + 0.5 * strength * (across + down[:, None])).astype(np.float32)
    cast = rng.normal(1.0, 0.04, size=3).astype(np.float32)
    grain = rng.uniform(0.005, 0.03)
    lit = image * gain[..., None] * cast
    lit += np.float32(grain) * rng.standard_normal((height, width, 1), dtype=np.float32)
    pixels: NDArray[np.uint8] = (np.clip(lit, 0.0, 1.0) * 255.0).astype(np.uint8)
    return pixels


def _random_box(
    rng: np.random.Generator, corners: Points, *, width: int, height: int
) -> tuple[float, float, float, float]:
    """Return the box of the corners, moved a little and cut to the picture."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    shift = rng.normal(0.0, 0.02, size=(2, 2)) * (high - low)
    left, top = np.clip(low + shift[0], 0.0, [width - 1, height - 1]).tolist()
    right, bottom = np.clip(high + shift[1], [left + 1, top + 1], [width, height]).tolist()
    return left, top, right, bottom
