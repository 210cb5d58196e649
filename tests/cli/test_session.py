"""What every command does first, for devices; plugins and configurations are in the commands."""

import pytest
import torch

from fdmo_cli.session import choose_device
from fdmo_core.errors import ConfigError


def test_auto_is_cuda_where_there_is_a_device_and_else_the_cpu() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"

    assert choose_device("auto").type == expected


def test_cpu_is_the_cpu_everywhere() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["CPU", "gpu", "cuda:0", ""])
def test_other_names_are_an_error(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_device(name)

    assert str(caught.value) == (
        f"Unknown device '{name}'. Expected one of: auto, cpu, cuda. Leave --device out for auto."
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_says_what_to_check() -> None:
    with pytest.raises(ConfigError) as caught:
        choose_device("cuda")

    assert str(caught.value) == (
        "PyTorch finds no CUDA device. Expected one for --device cuda. Check the driver with "
        "'nvidia-smi' and that torch is a CUDA build, or use --device cpu."
    )


def test_each_process_of_a_machine_takes_a_cuda_device_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("LOCAL_RANK", "3")

    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 3)
    assert chosen == [torch.device("cuda", 3)] * 2
    assert choose_device("cpu") == torch.device("cpu")


def test_without_torchrun_cuda_is_the_first_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _device: None)
    monkeypatch.delenv("LOCAL_RANK", raising=False)

    assert choose_device("cuda") == torch.device("cuda", 0)
