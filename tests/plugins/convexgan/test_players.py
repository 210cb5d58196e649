from torch import nn

from fdmo_plugins.convexgan.players import PlayersConfig, make_discriminator


def test_the_discriminator_judges_joined_features() -> None:
    config = PlayersConfig(discriminator_hidden=(6, 7))

    judge = make_discriminator(config, num_classes=2, stream_dims=(3, 4))

    layers = [layer for layer in judge.modules() if isinstance(layer, nn.Linear)]
    widths = [(layer.in_features, layer.out_features) for layer in layers]
    assert widths == [(3 + 4 + 2, 6), (6, 7), (7, 1)]
