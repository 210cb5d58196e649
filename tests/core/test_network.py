import pytest

from fdmo_core.feature_classifier import FeatureClassifier
from fdmo_core.model import TwoStreamClassifier
from fdmo_core.network import Network


def test_there_is_a_network_for_images_and_one_for_features() -> None:
    assert issubclass(TwoStreamClassifier, Network)
    assert issubclass(FeatureClassifier, Network)


def test_the_interface_itself_cannot_be_built() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Network()  # type: ignore[abstract]
