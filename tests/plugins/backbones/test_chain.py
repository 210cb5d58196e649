import pytest
import torch
from torch import Tensor, nn

from fdmo_core import ConfigError
from fdmo_plugins.backbones.chain import chain_of


class Toy(nn.Sequential):
    """A model in timm's layout: what makes the map, then pooling."""

    num_features = 5

    def __init__(self, *parts: nn.Module) -> None:
        stem = nn.Conv2d(3, 4, 3, stride=4)
        layers = nn.Sequential(nn.Conv2d(4, 5, 3), nn.ReLU(inplace=True))
        self.num_parts = 2 + len(parts)
        super().__init__(stem, layers, *parts, nn.Identity(), nn.AdaptiveAvgPool2d(1))

    def forward_features(self, images: Tensor) -> Tensor:
        maps = images
        for part in list(self)[: self.num_parts]:
            maps = part(maps)
        return maps


def test_the_chain_ends_where_the_map_is_that_of_the_model() -> None:
    assert chain_of(Toy(), "toy") == ["0", "1"]


def test_the_model_is_left_as_it_is() -> None:
    model = Toy()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    chain_of(model, "toy")

    assert model.training
    assert all(torch.equal(before[name], found) for name, found in model.state_dict().items())


class IdleBranch(nn.Module):
    """Adds a convolution whose scale is zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(5, 5, 1)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Tensor) -> Tensor:
        added: Tensor = maps + self.scale * self.conv(maps)
        return added


def test_a_part_that_does_nothing_at_first_is_not_lost() -> None:
    assert chain_of(Toy(IdleBranch()), "toy") == ["0", "1", "2"]


class Residual(Toy):
    def forward_features(self, images: Tensor) -> Tensor:
        return super().forward_features(images) + images.mean()


class Tokens(Toy):
    def forward_features(self, images: Tensor) -> Tensor:
        return super().forward_features(images).flatten(2)


class ChannelsLast(Toy):
    def forward_features(self, images: Tensor) -> Tensor:
        return super().forward_features(images).permute(0, 2, 3, 1)


class InPlace(nn.Module):
    """Has a convolution, and changes what it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(5, 5, 1)

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.conv(maps.relu_().add_(1))
        return found


class OtherMap(Toy):
    def forward_features(self, images: Tensor) -> Tensor:
        maps: Tensor = self[0](images)
        return maps[:, :1].expand(-1, 5, -1, -1)


class Failing(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        raise TypeError("two inputs are needed.")


class Branching(Toy):
    """Has a part that cannot run on the map alone."""

    def __init__(self) -> None:
        super().__init__(Failing())

    def forward_features(self, images: Tensor) -> Tensor:
        return torch.zeros(1, 5, 2, 2)


@pytest.mark.parametrize(
    "model",
    [Residual(), Tokens(), ChannelsLast(), Toy(InPlace()), OtherMap()],
    ids=lambda model: type(model).__name__,
)
def test_what_is_no_chain_is_refused(model: Toy) -> None:
    with pytest.raises(ConfigError, match=r"toy is no chain of parts .* Choose one of them\.$"):
        chain_of(model, "toy")


def test_the_message_says_what_fails_where_something_does() -> None:
    with pytest.raises(ConfigError, match=r"Tried in order, they fail: two inputs are needed\.$"):
        chain_of(Branching(), "toy")
