import pytest

from fdmo_core import ConfigError
from fdmo_core.kinds import KINDS
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.testing import (
    cases_for,
    checks_for,
    datasets,
    dictionaries,
    extractors,
    generators,
    landmark_heads,
    rebalancers,
)
from fdmo_core.testing import losses as losses_kit
from fdmo_plugins import losses

LEARNED_IN_PHASE_1 = [
    "check_comes_back_from_a_checkpoint",
    "check_does_the_same_on_cuda",
    "check_each_sample_is_on_its_own",
    "check_is_imported_without_side_effects",
    "check_is_the_same_in_onnxruntime",
    "check_stays_finite_in_bf16",
]
OWN = {
    "dataset": datasets,
    "extractor": extractors,
    "landmark-head": landmark_heads,
    "dictionary": dictionaries,
    "generator": generators,
    "loss": losses_kit,
    "rebalancer": rebalancers,
}
REGISTRY = Registry(load_plugins([losses], installed=False))


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_every_kind_has_checks_with_a_name_and_a_sentence(kind: str) -> None:
    checks = checks_for(kind)

    assert len({check.__name__ for check in checks}) == len(checks) >= 5
    assert all(check.__name__.startswith("check_") for check in checks)
    assert all((check.__doc__ or "").endswith(".") for check in checks)


def test_the_kinds_share_these_checks() -> None:
    own = {kind.name: set(OWN[kind.name].CHECKS) for kind in KINDS}

    assert {
        kind: sorted(one.__name__ for one in checks_for(kind) if one not in own[kind])
        for kind in own
    } == {
        "dataset": ["check_is_imported_without_side_effects", "check_is_read_by_a_spawned_worker"],
        "extractor": LEARNED_IN_PHASE_1,
        "landmark-head": LEARNED_IN_PHASE_1,
        "dictionary": [
            "check_does_the_same_on_cuda",
            "check_draws_for_one_label",
            "check_follows_a_permutation_of_the_classes",
            "check_is_imported_without_side_effects",
        ],
        "generator": [
            "check_does_the_same_on_cuda",
            "check_each_sample_is_on_its_own",
            "check_is_imported_without_side_effects",
            "check_is_the_same_in_onnxruntime",
        ],
        "loss": [
            "check_comes_back_from_a_checkpoint",
            "check_does_the_same_on_cuda",
            "check_is_imported_without_side_effects",
        ],
        "rebalancer": [
            "check_does_the_same_on_cuda",
            "check_each_sample_is_on_its_own",
            "check_ends_with_a_classifier_that_is_kept",
            "check_is_imported_without_side_effects",
        ],
    }


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        checks_for("losses")

    assert str(caught.value) == (
        "Unknown kind 'losses'. Expected one of: dataset, extractor, landmark-head, dictionary, "
        "generator, loss, rebalancer. Use the kind that 'fdmo plugins' shows beside the component."
    )


def test_cases_are_each_component_with_each_check_and_each_set_of_options() -> None:
    cases = cases_for(REGISTRY, "loss", variants={"focal": [{}, {"gamma": 1.0}]})

    names = [case.component.name for case in cases]
    assert {name: names.count(name) // len(checks_for("loss")) for name in names} == {
        "balanced-softmax": 1,
        "class-balanced": 1,
        "cross-entropy": 1,
        "focal": 2,
        "ldam": 1,
        "logit-adjusted": 1,
        "squared-error": 1,
    }


def test_a_case_reads_as_component_options_and_check() -> None:
    cases = cases_for(REGISTRY, "loss", variants={"focal": [{"gamma": 1.0}]})

    assert "focal-gamma=1.0-check_is_a_mean_over_the_batch" in map(str, cases)
    assert "ldam-check_is_a_mean_over_the_batch" in map(str, cases)


def test_a_case_passes_its_options_and_more_to_the_config() -> None:
    (case,) = (
        one
        for one in cases_for(REGISTRY, "loss", variants={"ldam": [{"head": "linear"}]})
        if str(one) == "ldam-head=linear-check_is_one_finite_number"
    )

    case.run(max_margin=0.25)
    with pytest.raises(ValueError, match="gama"):
        case.run(gama=1.0)
