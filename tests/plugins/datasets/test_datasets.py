from fdmo_core import Dataset
from fdmo_plugins import datasets


def test_the_plugin_supplies_every_built_in_data_set() -> None:
    registered: list[type[Dataset]] = []

    datasets.register_datasets(registered.append)

    names = [dataset.config_class().model_dump()["name"] for dataset in registered]
    assert names == [
        "garments",
        "fashion-mnist",
        "digits",
        "folder",
        "table",
        "features",
        "deepfashion",
        "deepfashion2",
    ]
