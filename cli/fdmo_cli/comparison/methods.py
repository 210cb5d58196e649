"""The methods that are compared, as data: each is a few settings on top of a family's phase 1."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fdmo_core.errors import ConfigError
from fdmo_core.kinds import KIND_OF_SECTION
from fdmo_core.registry import Registry

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "plain": (),
    "balanced": ("phase1.prior_strength=1.0",),  # balanced softmax from the first step on
    "pull": ("phase1.pull=0.6",),
    "ensemble": ("crossfit.ensemble=true",),
}
LENDERS = {"ensemble": "plain"}  # whose phase 1 and folds a family begins with
VARIED_SECTIONS = ("rebalancer", "generator", "loss")
PREFERRED_BASELINES = ("logit-adjustment-out-of-fold", "none")

ADVERSARIAL = "rebalancer.name=adversarial"
CROSS_ENTROPY = "loss.name=cross-entropy"
REAL_ONLY = (ADVERSARIAL, "rebalancer.artificial=false")
ARTIFICIAL = (ADVERSARIAL, "rebalancer.artificial=true")
RETRAINED_NATURALLY = ("rebalancer.name=crt", "rebalancer.sampling=natural")
CROSS_FITTED = "crossfit.dictionary=true"
# Made for draws at the natural rate; where every class is drawn alike they correct twice.
LOSSES_FOR_NATURAL_DRAWS = ("balanced-softmax", "class-balanced", "logit-adjusted")


@dataclass(frozen=True)
class Method:
    """What is done with a feature space.

    Attributes:
        name: In tables, files and folders.
        settings: As ``--set`` takes them.
        family: Key of :data:`FAMILIES`; whose phase 1 it starts from.
    """

    name: str
    settings: tuple[str, ...]
    family: str = "plain"


def _rebalancer(name: str, *settings: str, called: str = "", family: str = "plain") -> Method:
    chosen = (f"rebalancer.name={name}", CROSS_ENTROPY, *settings)
    return Method(called or name, chosen, family)


def _on(generator: str, *settings: str, called: str = "", loss: str = CROSS_ENTROPY) -> Method:
    return Method(
        called or generator, (*ARTIFICIAL, f"generator.name={generator}", loss, *settings)
    )


ON_VALIDATION = ("rebalancer.tau=fitted", "rebalancer.fit_on=validation")
OUT_OF_FOLD = ("rebalancer.tau=fitted", "rebalancer.fit_on=out-of-fold")
BUILT_IN = (
    _rebalancer("none"),
    _rebalancer("crt"),
    _rebalancer("lws"),
    _rebalancer("tau-norm", *ON_VALIDATION),
    _rebalancer("tau-norm", *OUT_OF_FOLD, called="tau-norm-out-of-fold"),
    _rebalancer("ncm"),
    _rebalancer("logit-adjustment", "rebalancer.tau=1.0"),
    _rebalancer("logit-adjustment", *ON_VALIDATION, called="logit-adjustment-validation"),
    _rebalancer("logit-adjustment", *OUT_OF_FOLD, called="logit-adjustment-out-of-fold"),
    _rebalancer(
        "logit-adjustment",
        *OUT_OF_FOLD,
        "rebalancer.criterion=acsa",
        called="logit-adjustment-out-of-fold-acsa",
    ),
    _rebalancer("none", called="balanced-softmax-end-to-end", family="balanced"),
    _rebalancer("crossfit"),
    _rebalancer("crossfit", "rebalancer.adjusted_share=0", called="crossfit-head-alone"),
    _rebalancer("crossfit", called="pull-crossfit", family="pull"),
    _rebalancer(
        "logit-adjustment", *OUT_OF_FOLD, called="pull-logit-adjustment-out-of-fold", family="pull"
    ),
    _rebalancer("none", called="ensemble", family="ensemble"),
    _rebalancer(
        "logit-adjustment",
        *OUT_OF_FOLD,
        called="ensemble-logit-adjustment-out-of-fold",
        family="ensemble",
    ),
    Method("real-only", (*REAL_ONLY, CROSS_ENTROPY)),
    Method("real-only-crossfitted", (*REAL_ONLY, CROSS_ENTROPY, CROSS_FITTED)),
    _on("convexgan", CROSS_FITTED, called="convexgan-crossfitted"),
    _on("dirichlet", CROSS_FITTED, called="dirichlet-crossfitted"),
    _on("convexgan", "generator.anchors=fixed", called="convexgan-fixed-anchors"),
)


def _of_registry(registry: Registry) -> Iterator[Method]:
    """Yield a method for each generator, loss and rebalancer that is installed."""
    names = {
        section: [one.name for one in registry.components(KIND_OF_SECTION[section])]
        for section in VARIED_SECTIONS
    }
    for generator in names["generator"]:
        yield _on(generator)
    for loss in names["loss"]:
        if loss in LOSSES_FOR_NATURAL_DRAWS:
            yield Method(f"retrained-{loss}", (*RETRAINED_NATURALLY, f"loss.name={loss}"))
        elif loss != "cross-entropy":
            yield Method(f"real-only-{loss}", (*REAL_ONLY, f"loss.name={loss}"))
            yield _on("convexgan", called=f"convexgan-{loss}", loss=f"loss.name={loss}")
    for rebalancer in names["rebalancer"]:
        if rebalancer != "adversarial":
            yield _rebalancer(rebalancer)


def all_methods(registry: Registry) -> dict[str, Method]:
    """Return every method by name; those of components that are not installed as well."""
    methods = {one.name: one for one in BUILT_IN}
    for one in _of_registry(registry):
        methods.setdefault(one.name, one)
    return methods


def choose_methods(names: str | None, registry: Registry) -> list[Method]:
    """Return the methods that were asked for.

    Args:
        names: Separated by commas, or None for all.
        registry: Where components are found.

    Raises:
        ConfigError: A name is unknown, or there is only one.
    """
    known = all_methods(registry)
    if names is None:
        return list(known.values())
    wanted = list(dict.fromkeys(one.strip() for one in names.split(",") if one.strip()))
    unknown = [one for one in wanted if one not in known]
    if unknown:
        gone = registry.gone().items()
        hints = [hint for name, hint in gone if any(name in one for one in unknown)]
        raise ConfigError(
            f"Unknown methods: {', '.join(unknown)}. Expected some of: {', '.join(known)}. "
            f"{' '.join(hints) or 'Correct --methods.'}"
        )
    return [known[one] for one in wanted]


def choose_baseline(name: str | None, methods: Sequence[str]) -> str:
    """Return the method that all others are compared with.

    Args:
        name: What was asked for, or None for the strongest of the simple ones that is there.
        methods: Those that are run.

    Raises:
        ConfigError: It is not run.
    """
    if name is None:
        return next((one for one in PREFERRED_BASELINES if one in methods), methods[0])
    if name not in methods:
        raise ConfigError(
            f"The baseline '{name}' is not compared. Expected one of: {', '.join(methods)}. "
            f"Correct --baseline, or add it to --methods."
        )
    return name


def parse_sweep(sweep: str) -> tuple[str, list[str]]:
    """Return the setting and the values of a sweep such as ``rebalancer.samples_per_class=10,50``.

    Raises:
        ConfigError: It is not ``section.key=value,value``.
    """
    key, equals, values = sweep.partition("=")
    chosen = [one.strip() for one in values.split(",") if one.strip()]
    if not equals or key.count(".") != 1 or len(chosen) < 2:
        raise ConfigError(
            f"'--sweep {sweep}' is no sweep. Expected section.key=value,value with at least two "
            f"values. For instance: --sweep rebalancer.samples_per_class=10,50,100"
        )
    return key.strip(), chosen
