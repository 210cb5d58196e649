"""The interfaces that plugins implement. Read this file and hookspecs.py first.

Shapes in this project use one set of letters:

    B  images or features in a batch        C  classes
    T  streams (2: texture, shape)          D  length of one stream's feature
    F  length of the joined feature, T * D  S  features drawn per class (N_s in the paper)
    G  classes that a batch draws from      N  rows in a dictionary
    K  landmarks                            Z  length of the generator's noise
    M  channels of a conv map               H, W  height and width

"The paper" is Park, Song, Kang, "Imbalanced Classification via Feature Dictionary-Based
Minority Oversampling", IEEE Access 2022. Other sources are given as "Author year".

A component is constructed from its validated ``config`` and from runtime facts (numbers of
classes, counts, sizes) passed by keyword; the two never mix. Randomness arrives as ``rng``, a
``torch.Generator`` on the CPU that the engine derives from the run's seed and the position in
the run, so that a resumed run draws what the uninterrupted one would have drawn.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from fdmo_core.errors import ConfigError, ExportError
from fdmo_core.samples import Splits
from fdmo_core.settings import Settings

HEATMAP_SIZE = 28  # Sec. III-B: landmark heatmaps are 28 x 28 x K


class ComponentConfig(Settings):
    """Base class of every component's configuration.

    A subclass sits directly above the component that it configures, and its first field is the
    name by which run configurations select it: ``name: Literal["focal"] = "focal"``.
    """


class DatasetConfig(ComponentConfig):
    """Base class of the configurations of data sets."""

    image_size: int = Field(
        default=64, ge=16, le=1024, description="Side of the square network input, in pixels."
    )
    exclude: str = Field(
        default="",
        description="Report of 'fdmo data check'; the samples that it leaves out are not used.",
    )


class Dataset(ABC):
    """A source of labelled images with a train, a validation and a test split.

    Args:
        config: An instance of ``config_class``.
        seed: Seed of the run, for whatever the data set draws: splits, subsets, images.
    """

    config_class: ClassVar[type[DatasetConfig]]

    def __init__(self, config: Any, *, seed: int) -> None:
        self.config = config
        self.seed = seed

    @abstractmethod
    def load(self) -> Splits:
        """Return the three splits, with the class order that the training split fixes.

        Raises:
            DataError: The source is missing, empty, or broken beyond what the config allows.
        """

    @classmethod
    def write_lookalike(cls, folder: Path, *, num_images: int, seed: int) -> None:
        """Write drawn images with annotations, in the very format that :meth:`load` reads.

        For data that cannot be handed on: whoever has no licence can still try all that is done
        with it. A data set without a look-alike inherits this.

        Args:
            folder: An existing, empty folder.
            num_images: How many images, over all splits.
            seed: Decides what is drawn.

        Raises:
            ConfigError: The data set has none.
        """
        raise ConfigError(
            f"{cls.__name__} has no look-alike. Expected a data set that can draw one. Use the "
            f"data set's own files."
        )


class Extractor(nn.Module, ABC):
    """Turns images into a conv map, by stages that are applied one after the other.

    The stages up to ``num_frozen_stages`` are the *frozen prefix*: the engine keeps them in
    evaluation mode and without gradients, and may therefore compute their output once per image.
    Normalisation of the pixels belongs into the first stage. Where two streams begin with frozen
    stages of one structure and equal weights, the engine runs these once for both.

    Attributes:
        out_channels: M, channels of the conv map.
        num_frozen_stages: How many leading stages are frozen; 0 for none.

    Args:
        config: An instance of ``config_class``.
    """

    config_class: ClassVar[type[ComponentConfig]]
    out_channels: int
    num_frozen_stages: int = 0

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    def load_initial_weights(self) -> None:
        """Load the weights that training starts from, where they come from elsewhere.

        The engine calls it once, before phase 1, never when it builds a trained network again;
        the constructor makes random weights and reads no file.

        Raises:
            ConfigError: The weights cannot be had; the message says where to put a file.
        """

    @property
    @abstractmethod
    def stages(self) -> Sequence[nn.Module]:
        """The stages in order; each is a submodule that maps one tensor to one tensor."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the conv map of a batch.

        Args:
            images: RGB images with values in [0, 1]. Shape ``(B, 3, H, W)``, float32.

        Returns:
            The conv map. Shape ``(B, M, H', W')``.
        """
        maps = images
        for stage in self.stages:
            maps = stage(maps)
        return maps


class LandmarkPrediction(NamedTuple):
    """What a landmark head says of a batch.

    Attributes:
        heatmaps: One map per landmark, peak 1 where the landmark is. Shape ``(B, K, 28, 28)``.
        visibility_logits: Positive where a landmark is visible. Shape ``(B, K)``.
    """

    heatmaps: Tensor
    visibility_logits: Tensor


class LandmarkHead(nn.Module, ABC):
    """Finds landmarks on the shape stream's conv map, and scores what it finds.

    Args:
        config: An instance of ``config_class``.
        in_channels: M, channels of the conv map.
        num_landmarks: K.
        image_size: Side of the square network input in pixels, the unit of landmark positions.
    """

    config_class: ClassVar[type[ComponentConfig]]

    def __init__(
        self, config: Any, *, in_channels: int, num_landmarks: int, image_size: int
    ) -> None:
        super().__init__()
        self.config = config
        self.num_landmarks = num_landmarks
        self.image_size = image_size

    @abstractmethod
    def forward(self, maps: Tensor) -> LandmarkPrediction:
        """Return the landmarks of a batch.

        Args:
            maps: Conv map of the shape stream, of any height and width. Shape
                ``(B, M, H', W')``.
        """

    @abstractmethod
    def losses(self, prediction: LandmarkPrediction, landmarks: Tensor) -> Mapping[str, Tensor]:
        """Return the named terms that phase 1 minimises; each has shape ``()``.

        Args:
            prediction: What :meth:`forward` returned.
            landmarks: x and y in pixels of the network input, and a
                :class:`~fdmo_core.samples.Visibility`. Shape ``(B, K, 3)``, float32.
        """


@dataclass(frozen=True)
class DrawnFeatures:
    """One set of dictionary rows for each class that a batch needs, without copying a feature.

    The sets are held as row numbers into the dictionary's store, so that a generator which mixes
    them can gather one class at a time. :func:`fdmo_core.combination.convex_combination` does.

    Attributes:
        store: All features of the dictionary. Shape ``(N, F)``.
        rows: Drawn rows of the store, a line per class; padded with a valid row. Shape ``(G, S)``,
            int64.
        mask: Whether an entry of ``rows`` was drawn; False is padding, where a class has fewer
            than S features. Shape ``(G, S)``, bool.
        groups: For each sample of the batch the line of ``rows`` of its class. Shape ``(B,)``,
            int64.
    """

    store: Tensor
    rows: Tensor
    mask: Tensor
    groups: Tensor

    def features(self) -> Tensor:
        """Return the drawn features themselves, a copy. Shape ``(G, S, F)``."""
        return self.store[self.rows]


class ArtificialFeatures(NamedTuple):
    """What a generator made.

    Attributes:
        features: Shape ``(B, F)``.
        weights: What each stream took from each of its sources, so that every artificial feature
            knows them; None where a generator does not mix. Shape ``(B, T, S)``, or ``(B, F, S)``
            where each feature has weights of its own.
        rows: Rows of the dictionary's store that the weights are for, where the generator chose
            them itself; None where they are the drawn ones. Shape ``(B, S)``, int64, where S need
            not be the number of drawn features.
    """

    features: Tensor
    weights: Tensor | None
    rows: Tensor | None = None


class FeatureDictionary(ABC):
    """Holds real features per class and stream, at most ``max_per_class`` of each class.

    Source: Eq. (2) and Sec. IV-B of the paper.

    Rows arrive in any order and in any number of parts. Which rows of a class are kept depends on
    the seed and on the rows' sources alone (see :mod:`fdmo_core.reservoir`), so that parts built
    apart hold what one pass over all of them would have chosen from.

    Args:
        config: An instance of ``config_class``.
        num_classes: C.
        stream_dims: Length of each stream's feature; they sum to F.
        seed: Decides which rows of a class beyond the cap are kept.
    """

    config_class: ClassVar[type[ComponentConfig]]

    def __init__(
        self, config: Any, *, num_classes: int, stream_dims: Sequence[int], seed: int
    ) -> None:
        self.config = config
        self.num_classes = num_classes
        self.stream_dims = tuple(stream_dims)
        self.seed = seed

    @abstractmethod
    def build(self, parts: Iterable["FeatureBatch"]) -> None:
        """Fill the dictionary in one pass; memory is bounded by the cap, not by the data."""

    @property
    @abstractmethod
    def class_sizes(self) -> Tensor:
        """Rows held per class. Shape ``(C,)``, int64."""

    @property
    @abstractmethod
    def sources(self) -> Tensor:
        """Index in the training split of the image behind each row. Shape ``(N,)``, int64."""

    @property
    @abstractmethod
    def store(self) -> "LabelledFeatures":
        """All rows that are held, on the device, in the order of :attr:`sources`.

        :attr:`DrawnFeatures.rows` counts them. Not a copy: nobody may change them.
        """

    @abstractmethod
    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Return one real feature of each label, drawn uniformly from its class.

        Args:
            labels: Classes to draw for, each with at least one row. Shape ``(B,)``, int64.
            rng: Source of randomness, on the CPU.

        Returns:
            Joined features. Shape ``(B, F)``.
        """

    @abstractmethod
    def draw(
        self, labels: Tensor, *, samples_per_class: int, rng: torch.Generator
    ) -> DrawnFeatures:
        """Return one set of ``samples_per_class`` distinct rows for every class among the labels.

        A class with fewer rows gives all of them, and the mask says so.

        Source: Algorithm 1, lines 5 and 12.

        Args:
            labels: Classes to draw for, each with at least one row. Shape ``(B,)``, int64.
            samples_per_class: S.
            rng: Source of randomness, on the CPU.
        """

    @abstractmethod
    def rows(self) -> Iterator["FeatureBatch"]:
        """Yield all rows that are held, on the CPU, in parts of bounded size.

        A dictionary that is built from the rows of others, which saw a part of the data each,
        holds what one that saw all of it would hold.
        """

    @abstractmethod
    def to(self, device: torch.device) -> None:
        """Have :meth:`sample` and :meth:`draw` return tensors on the device."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the dictionary with the source of every row into an existing folder."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Read what :meth:`save` wrote.

        Raises:
            RunFolderError: The folder holds no dictionary of these streams and classes.
        """


class FeatureBatch(NamedTuple):
    """Real features on their way into a dictionary or a classifier.

    Attributes:
        features: Joined over the streams. Shape ``(B, F)``, float32.
        labels: Shape ``(B,)``, int64.
        sources: Index in the training split of the image behind each row. Shape ``(B,)``, int64.
    """

    features: Tensor
    labels: Tensor
    sources: Tensor


class LabelledFeatures(NamedTuple):
    """Features and the classes that they have or stand for: ``(B, F)`` and ``(B,)``."""

    features: Tensor
    labels: Tensor


class Game(NamedTuple):
    """What a generator that learns is shown of one step of phase 2.

    Attributes:
        step: Index of the step, from 0.
        real: What the classifier was just updated on.
        artificial: What the generator made for the classifier in this step.
        classifier: The main classifier; a generator must not change it.
        class_counts: Training images per class. Shape ``(C,)``, int64.
        draw: Draws labels and dictionary features afresh, as Algorithm 1, lines 11-12.
        rng: Source of randomness, on the CPU.
    """

    step: int
    real: LabelledFeatures
    artificial: LabelledFeatures
    classifier: nn.Module
    class_counts: Tensor
    draw: Callable[[], tuple[Tensor, DrawnFeatures]]
    rng: torch.Generator


class FeatureGenerator(nn.Module, ABC):
    """Makes artificial features of given classes from drawn dictionary features.

    Attributes:
        noise_dim: Z, length of the noise that :meth:`weigh` takes; 0 where it takes none.

    Args:
        config: An instance of ``config_class``.
        num_classes: C.
        stream_dims: Length of each stream's feature; they sum to F.
        samples_per_class: S, the width of the sets that it will be given.
    """

    config_class: ClassVar[type[ComponentConfig]]
    noise_dim: int = 0

    def __init__(
        self,
        config: Any,
        *,
        num_classes: int,
        stream_dims: Sequence[int],
        samples_per_class: int,
    ) -> None:
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.stream_dims = tuple(stream_dims)
        self.samples_per_class = samples_per_class

    def fit(self, real: LabelledFeatures, classifier: nn.Module) -> None:
        """See all real features once, before anything else is asked of the generator.

        For what depends on the features themselves: neighbours, anchors, a layer as wide as a
        class. A generator that needs only what is drawn for it inherits this.

        Args:
            real: The dictionary's store; :attr:`DrawnFeatures.rows` counts its rows. Not to be
                changed.
            classifier: What phase 1 trained; a generator must not change it.
        """

    @abstractmethod
    def forward(
        self, labels: Tensor, drawn: DrawnFeatures, rng: torch.Generator
    ) -> ArtificialFeatures:
        """Return artificial features of the given classes.

        Args:
            labels: Shape ``(B,)``, int64.
            drawn: Real features drawn for these labels.
            rng: Source of randomness, on the CPU.
        """

    def weigh(self, noise: Tensor, labels: Tensor, drawn: Tensor, mask: Tensor) -> Tensor:
        """Return the convex weights that :meth:`forward` mixes by, without drawing anything.

        It is what is exported for other trainers, so it must be traceable: no branch may depend on
        the values of a tensor. A generator inherits the refusal unless all that its ``forward``
        does is to draw ``torch.randn(B, Z, generator=rng)`` first, and to mix what was drawn for it
        by weights that follow from the arguments below. Those of a class share their set there;
        here each sample has its own.

        Args:
            noise: Standard normal. Shape ``(B, Z)``, float32.
            labels: Shape ``(B,)``, int64.
            drawn: Real features of each label's class. Shape ``(B, S, F)``, float32.
            mask: Which of them there are; False is padding, to which no weight goes. At least one
                of a line is True. Shape ``(B, S)``, bool.

        Returns:
            Shape ``(B, T, S)``, or ``(B, F, S)`` where each feature has weights of its own.

        Raises:
            ExportError: What the generator makes does not follow from these.
        """
        raise ExportError(
            f"Generator '{self.config.name}' does not mix drawn features by weights that follow "
            f"from noise and class alone. Expected one that does, such as 'convexgan', 'attention' "
            f"or 'mean'. Train phase 2 with it from the same phase 1: fdmo train --phase1-from RUN."
        )

    def update(self, game: Game) -> Mapping[str, float]:
        """Learn from one step of phase 2 and return terms for the log.

        A generator that learns nothing inherits this and returns no terms.

        Args:
            game: The step so far.
        """
        return {}

    def looks_real(self, features: LabelledFeatures) -> Tensor | None:
        """Return whether the generator's opponent takes features for real; None without one.

        Asked now and then for the health figures of phase 2, without gradients.

        Args:
            features: Real or artificial ones, with their classes.

        Returns:
            Shape ``(B,)``, bool.
        """
        return None

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return what :meth:`update` steps, by name, so that a checkpoint can hold it."""
        return {}


class Loss(nn.Module, ABC):
    """Scores the classifier's predictions on a batch.

    Attributes:
        cosine_scale: None for a loss on plain linear logits. A loss that wants cosine scores
            (feature and weights normalised, no bias) sets the scale by which the classifier
            multiplies them; ``logits`` then arrive scaled.

    Args:
        config: An instance of ``config_class``.
        class_counts: Training images per class. Shape ``(C,)``, int64.
    """

    config_class: ClassVar[type[ComponentConfig]]
    cosine_scale: float | None = None

    def __init__(self, config: Any, *, class_counts: Tensor) -> None:
        super().__init__()
        self.config = config

    def begin_step(self, share: float) -> None:
        """Take note of how much of the training is done, for a loss that changes on the way.

        Whoever trains calls it before each step; what follows may depend on ``share`` alone.

        Args:
            share: In [0, 1).
        """

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss over the batch.

        Args:
            logits: Unnormalised class scores. Shape ``(B, C)``, float32.
            labels: True classes. Shape ``(B,)``, int64, each in ``[0, C)``.

        Returns:
            The loss. Shape ``()``, finite and non-negative.
        """


class HeldOut(NamedTuple):
    """What phase 1 says of images that it did not learn from, for choosing a strength.

    Attributes:
        features: In the space of the dictionary's features. Shape ``(N, F)``, float32.
        logits: Phase 1's scores of them. Shape ``(N, C)``, float32.
        labels: Shape ``(N,)``, int64.
    """

    features: Tensor
    logits: Tensor
    labels: Tensor


HeldOutSource = Literal["validation", "out-of-fold"]


@dataclass(frozen=True)
class Phase2Parts:
    """What the engine hands to a rebalancer; each takes what it needs.

    Attributes:
        classifier: The main classifier that phase 1 trained. It is evaluated beside the rebalanced
            one, so a rebalancer fine-tunes a copy.
        dictionary: Real features of the training split.
        class_counts: Training images per class. Shape ``(C,)``, int64.
        make_generator: Builds the configured generator for a number of drawn samples, S.
        loss: The configured loss.
        held_out: Returns images that phase 1 did not learn from: those of the validation split, or
            the training images themselves, each by a model that was trained without it. The
            latter are there for a rebalancer that asked for them by
            :meth:`Rebalancer.needs_out_of_fold`. On the device.
        rng: For what the rebalancer draws while it is constructed.
    """

    classifier: nn.Module
    dictionary: FeatureDictionary
    class_counts: Tensor
    make_generator: Callable[[int], FeatureGenerator]
    loss: Loss
    held_out: Callable[[HeldOutSource], HeldOut]
    rng: torch.Generator


class Rebalancer(nn.Module, ABC):
    """Makes the main classifier fair to rare classes, from the dictionary alone (phase 2).

    The engine owns the loop: it calls :meth:`step` for 0, 1, ... ``num_steps - 1`` with a random
    generator derived from the seed and the step, and between two steps it may save the state of
    this module and of :meth:`optimizers`. Whatever a step needs to know must be in those.

    Attributes:
        num_steps: How many steps there are.
        notices: What a person should know before the first step, a sentence each.

    Args:
        config: An instance of ``config_class``.
        parts: Classifier, dictionary, generator and loss.
    """

    config_class: ClassVar[type[ComponentConfig]]
    num_steps: int
    notices: Sequence[str] = ()

    def __init__(self, config: Any, *, parts: Phase2Parts) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def check_counts(cls, config: Any, class_counts: Tensor) -> None:
        """Raise a ConfigError if there is nothing to do for these counts; asked before phase 1.

        Args:
            config: An instance of ``config_class``.
            class_counts: Training images per class. Shape ``(C,)``, int64.
        """

    @classmethod
    def needs_out_of_fold(cls, config: Any) -> bool:
        """Return whether the parts must hold out-of-fold scores; asked before phase 1.

        They cost the training of several more models; see :mod:`fdmo_core.crossfit`.

        Args:
            config: An instance of ``config_class``.
        """
        return False

    @property
    @abstractmethod
    def classifier(self) -> nn.Module:
        """The main classifier as it is now: joined features ``(B, F)`` to logits ``(B, C)``."""

    @abstractmethod
    def step(self, index: int, rng: torch.Generator) -> Mapping[str, float]:
        """Do one update and return its terms for the log.

        Args:
            index: Index of the step.
            rng: Source of randomness for this step, on the CPU.
        """

    def make_artificial(self, labels: Tensor, rng: torch.Generator) -> ArtificialFeatures | None:
        """Return artificial features such as the steps train on; None if they train on none.

        Args:
            labels: Classes to make features of, each with at least one row in the dictionary.
                Shape ``(B,)``, int64.
            rng: Source of randomness, on the CPU.

        Returns:
            With ``rows``, so that every artificial feature knows its source images, unless the
            generator knows none.
        """
        return None

    def looks_real(self, features: LabelledFeatures) -> Tensor | None:
        """Return whether a discriminator takes features for real; None if there is none.

        Asked now and then for the health figures of phase 2, without gradients.

        Args:
            features: Real or artificial ones, with their classes.

        Returns:
            Shape ``(B,)``, bool.
        """
        return None

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return what :meth:`step` steps, by name, so that a checkpoint can hold it."""
        return {}
