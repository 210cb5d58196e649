import math

import pytest
import torch
from torch import Tensor, nn

from fdmo_core.classifier import (
    CosineClassifier,
    LinearClassifier,
    classifier_for_loss,
    describe_classifier,
    linear_classifier,
    make_classifier,
)
from fdmo_core.errors import PluginError
from fdmo_core.interfaces import Loss
from fdmo_core.randomness import rng_for, seeded
from fdmo_core.testing.toys import ToyLoss, ToyLossConfig


class CosineToyLoss(ToyLoss):
    cosine_scale = 7.0


def loss(kind: type[Loss]) -> Loss:
    return kind(ToyLossConfig(), class_counts=torch.tensor([3, 2, 1]))


def linear() -> LinearClassifier:
    with seeded(0, "classifier"):
        return LinearClassifier(5, 3)


def features(count: int = 4) -> Tensor:
    return torch.randn(count, 5, generator=rng_for(0, "features"))


def test_linear_scores_are_products_and_a_bias() -> None:
    classifier, given = linear(), features()

    logits = classifier(given).tolist()

    weight, bias = classifier.weight.tolist(), classifier.bias.tolist()
    for sample, feature in enumerate(given.tolist()):
        for label in range(3):
            products = [one * other for one, other in zip(feature, weight[label], strict=True)]
            assert logits[sample][label] == pytest.approx(sum(products) + bias[label], abs=1e-6)


def test_cosine_scores_are_scaled_cosines() -> None:
    with seeded(0, "classifier"):
        classifier = CosineClassifier(5, 3, scale=12.0)
    given = features()

    logits = classifier(given).tolist()

    for sample, feature in enumerate(given.tolist()):
        for label, direction in enumerate(classifier.weight.tolist()):
            product = sum(one * other for one, other in zip(feature, direction, strict=True))
            cosine = product / (math.hypot(*feature) * math.hypot(*direction))
            assert logits[sample][label] == pytest.approx(12 * cosine, abs=1e-5)


def test_cosine_scores_depend_on_directions_alone() -> None:
    with seeded(0, "classifier"):
        classifier = CosineClassifier(5, 3, scale=2.0)

    torch.testing.assert_close(classifier(100 * features()), classifier(features()))
    assert classifier(features(100)).abs().max() <= 2.0 + 1e-6


def test_a_loss_on_plain_logits_gets_a_copy() -> None:
    classifier = linear()

    copy = classifier_for_loss(classifier, loss(ToyLoss))

    assert torch.equal(copy(features()), classifier(features()))
    nn.init.zeros_(copy.get_parameter("weight"))
    assert classifier.weight.abs().min() > 0


def test_a_loss_on_cosines_gets_the_trained_directions() -> None:
    classifier = linear()

    converted = classifier_for_loss(classifier, loss(CosineToyLoss))

    assert isinstance(converted, CosineClassifier)
    assert converted.scale == 7.0
    assert torch.equal(converted.weight, classifier.weight)
    nn.init.zeros_(converted.weight)
    assert classifier.weight.abs().min() > 0


@pytest.mark.parametrize("kind", [ToyLoss, CosineToyLoss])
def test_a_classifier_is_rebuilt_from_its_description(kind: type[Loss]) -> None:
    classifier = classifier_for_loss(linear(), loss(kind))

    rebuilt = make_classifier(describe_classifier(classifier), 5, 3)
    rebuilt.load_state_dict(classifier.state_dict())

    assert type(rebuilt) is type(classifier)
    assert torch.equal(rebuilt(features()), classifier(features()))


def test_descriptions_are_plain_data() -> None:
    assert describe_classifier(linear()) == {"kind": "linear"}
    assert describe_classifier(CosineClassifier(5, 3, scale=30.0)) == {
        "kind": "cosine",
        "scale": 30.0,
    }


def test_a_classifier_that_could_not_be_built_again_is_refused() -> None:
    with pytest.raises(PluginError) as caught:
        describe_classifier(torch.nn.Sequential())

    assert str(caught.value) == (
        "The rebalancer's classifier is a Sequential. Expected a LinearClassifier or "
        "CosineClassifier of fdmo_core.classifier, which a saved run can be built from. Fold what "
        "was learned into one of them."
    )


def test_a_linear_classifier_of_given_weights_holds_copies_and_draws_nothing() -> None:
    weight, bias = torch.randn(3, 5), torch.randn(3)
    state = torch.get_rng_state()

    classifier = linear_classifier(weight, bias)

    assert torch.equal(torch.get_rng_state(), state)
    features = torch.ones(2, 5)
    assert torch.allclose(classifier(features), features @ weight.T + bias)
    expected = classifier(features).clone()
    weight.zero_()
    assert torch.equal(classifier(features), expected)
