import subprocess
import sys
import warnings
import weakref
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch
from imblearn.pipeline import make_pipeline
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_param_validation

from fdmo_core.errors import ConfigError, DataError
from fdmo_core.interfaces import FeatureGenerator
from fdmo_core.kinds import KIND_OF_INTERFACE
from fdmo_core.plugin_loading import load_plugins
from fdmo_core.registry import Registry
from fdmo_core.sampling import ConvexSampler

TINY_GAN = {"noise_dim": 4, "hidden": (8, 8), "discriminator_hidden": (8, 8)}
GENERATORS: list[dict[str, Any]] = [
    {"generator": "random"},
    {"generator": "smote"},
    {"generator": "convexgan", "generator_options": TINY_GAN, "epochs": 2},
]
each_generator = pytest.mark.parametrize("options", GENERATORS, ids=lambda one: one["generator"])

Rows = tuple[NDArray[np.float64], NDArray[Any]]


def make_rows(counts: dict[Any, int], num_features: int = 4) -> Rows:
    rng = np.random.default_rng(0)
    labels = np.repeat(list(counts), list(counts.values()))
    centres = rng.normal(size=(len(counts), num_features))
    features = np.repeat(centres, list(counts.values()), axis=0)
    features = features + rng.normal(size=features.shape)
    order = rng.permutation(len(labels))
    return features[order], labels[order]


THREE = {"cat": 40, "dog": 9, "owl": 3}


@each_generator
def test_given_rows_come_first_and_unchanged_then_the_lacking_ones(options: dict[str, Any]) -> None:
    features, labels = make_rows(THREE)

    made, made_labels = ConvexSampler(**options, random_state=0).fit_resample(features, labels)

    assert np.array_equal(made[: len(labels)], features)
    assert np.array_equal(made_labels[: len(labels)], labels)
    assert Counter(made_labels[len(labels) :].tolist()) == {"dog": 31, "owl": 37}
    assert np.isfinite(made).all()


@pytest.mark.parametrize(
    "name",
    [one.name for one in Registry(load_plugins()).components(KIND_OF_INTERFACE[FeatureGenerator])],
)
def test_every_generator_that_is_installed_can_be_chosen(name: str) -> None:
    features, labels = make_rows(THREE)

    made, made_labels = ConvexSampler(generator=name, epochs=1, random_state=0).fit_resample(
        features, labels
    )

    assert set(Counter(made_labels.tolist()).values()) == {40}
    assert np.isfinite(made).all()


@each_generator
def test_the_same_seed_gives_the_same_rows_and_another_one_others(options: dict[str, Any]) -> None:
    rows = make_rows(THREE)

    one, same, other = (
        ConvexSampler(**options, random_state=seed).fit_resample(*rows)[0] for seed in (0, 0, 1)
    )

    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@each_generator
def test_no_global_state_of_torch_or_numpy_is_changed(options: dict[str, Any]) -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)
    before = (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled())

    ConvexSampler(**options, random_state=0).fit_resample(*make_rows(THREE))

    assert torch.equal(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state(legacy=False)) == str(numpy_state)
    assert (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()) == before


def test_without_a_seed_numpy_s_global_one_decides() -> None:
    rows = make_rows(THREE)
    made = []

    for seed in (3, 3, 4):
        np.random.seed(seed)
        made.append(ConvexSampler(generator="smote").fit_resample(*rows)[0])

    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_a_random_state_is_drawn_from() -> None:
    state, rows = np.random.RandomState(0), make_rows(THREE)
    sampler = ConvexSampler(generator="smote", random_state=state)

    one, other = (sampler.fit_resample(*rows)[0] for _ in range(2))

    assert not np.array_equal(one, other)


@each_generator
def test_every_artificial_row_is_the_mixture_that_its_sources_say(options: dict[str, Any]) -> None:
    features, labels = make_rows(THREE)
    sampler = ConvexSampler(**options, random_state=0, keep_sources=True)

    made, made_labels = sampler.fit_resample(features, labels)

    sources, weights = sampler.sources_, sampler.source_weights_
    assert sources.shape == weights.shape
    for row, label, own, shares in zip(
        made[len(labels) :], made_labels[len(labels) :], sources, weights, strict=True
    ):
        assert np.allclose(
            sum(share * features[one] for one, share in zip(own, shares, strict=True)),
            row,
            atol=1e-5,
        )
        assert shares.min() >= 0
        assert shares.sum() == pytest.approx(1, abs=1e-5)
        assert {str(labels[one]) for one, share in zip(own, shares, strict=True) if share > 0} == {
            label
        }


def test_sources_are_none_where_the_generator_does_not_name_them() -> None:
    options = {**TINY_GAN, "weights": "per-feature"}
    sampler = ConvexSampler(generator_options=options, epochs=1, keep_sources=True, random_state=0)

    sampler.fit_resample(*make_rows(THREE))

    assert sampler.sources_ is None
    assert sampler.source_weights_ is None


@pytest.mark.parametrize("options", GENERATORS[:2], ids=lambda one: one["generator"])
def test_a_generator_that_learns_nothing_is_not_trained(options: dict[str, Any]) -> None:
    sampler = ConvexSampler(**options, epochs=10**9, random_state=0).fit(*make_rows(THREE))

    assert sampler.n_steps_ == 0


def test_a_generator_that_learns_is_trained_for_its_epochs() -> None:
    sampler = ConvexSampler(generator_options=TINY_GAN, epochs=3, batch_size=20, random_state=0)

    sampler.fit(*make_rows(THREE))

    assert sampler.n_steps_ == 3 * 3  # 52 rows are three batches of 20


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("auto", {"dog": 31, "owl": 37}),
        ("not majority", {"dog": 31, "owl": 37}),
        ("minority", {"owl": 37}),
        ("not minority", {"dog": 31}),
        ("all", {"dog": 31, "owl": 37}),
        ({"cat": 41, "owl": 5}, {"cat": 1, "owl": 2}),
        (lambda labels: {"owl": len(labels)}, {"owl": 49}),
    ],
)
def test_every_form_of_a_sampling_strategy_is_obeyed(
    strategy: Any, expected: dict[str, int]
) -> None:
    features, labels = make_rows(THREE)
    sampler = ConvexSampler(sampling_strategy=strategy, generator="smote", random_state=0)

    _, made_labels = sampler.fit_resample(features, labels)

    assert Counter(made_labels[len(labels) :].tolist()) == expected


def test_a_share_says_how_large_the_smaller_of_two_classes_becomes() -> None:
    sampler = ConvexSampler(sampling_strategy=0.5, generator="smote", random_state=0)

    _, labels = sampler.fit_resample(*make_rows({0: 40, 1: 9}))

    assert Counter(labels.tolist()) == {0: 40, 1: 20}


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("majority", "must be"),
        ("most", "must be"),
        (1.5, "must be"),
        (["owl"], "must be"),
        (0.5, "binary"),
        ({"fox": 9}, "not present"),
        ({"owl": 2}, "greater"),
        ({"owl": -1}, "negative"),
        ({"owl": 4.5}, "asks for 1.5 more rows of a class. Expected a whole number"),
        (lambda labels: ["owl"], "returned a list. Expected a dict from labels"),
    ],
)
def test_a_wrong_sampling_strategy_is_refused(strategy: Any, message: str) -> None:
    sampler = ConvexSampler(sampling_strategy=strategy, generator="random")

    with pytest.raises(ValueError, match=message):
        sampler.fit_resample(*make_rows(THREE))
    with pytest.raises(ValueError, match=message):
        sampler.fit(*make_rows(THREE))


def test_balanced_classes_are_returned_unchanged_and_it_is_said() -> None:
    features, labels = make_rows({"a": 6, "b": 6})
    sampler = ConvexSampler(random_state=0)

    with pytest.warns(UserWarning, match="returned unchanged; nothing needs to be done"):
        made, made_labels = sampler.fit_resample(features, labels)

    assert np.array_equal(made, features)
    assert np.array_equal(made_labels, labels)
    assert list(sampler.iter_batches()) == []


def test_balanced_classes_can_grow_by_a_generator_that_learns_nothing() -> None:
    sampler = ConvexSampler(sampling_strategy={"a": 9, "b": 8}, generator="smote", random_state=0)

    _, labels = sampler.fit_resample(*make_rows({"a": 6, "b": 6}))

    assert Counter(labels.tolist()) == {"a": 9, "b": 8}


def test_a_generator_that_learns_refuses_balanced_classes_that_are_to_grow() -> None:
    sampler = ConvexSampler(sampling_strategy={"a": 9}, generator_options=TINY_GAN)

    with pytest.raises(ConfigError, match="All 2 classes have 6 rows, and the generator 'convexg"):
        sampler.fit_resample(*make_rows({"a": 6, "b": 6}))


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 1 class"):
        ConvexSampler().fit_resample(*make_rows({"a": 6}))


@each_generator
def test_a_class_with_one_row_is_copied_and_it_is_said(options: dict[str, Any]) -> None:
    features, labels = make_rows({"a": 6, "b": 1})

    with pytest.warns(UserWarning, match=r"single row: \['b'\].*copies"):
        made, _ = ConvexSampler(**options, random_state=0).fit_resample(features, labels)

    assert np.allclose(made[7:], features[labels == "b"], atol=1e-6)


@pytest.mark.parametrize(
    "labels",
    [
        [-5, -5, -5, 1000, 1000, 7],
        [0.5 * 2, 1.0, 1.0, 4.0, 4.0, -2.0],
        [True, True, True, False],
        ["b", "b", "a"],
    ],
    ids=["gaps", "floats", "truth", "strings"],
)
def test_labels_of_every_kind_keep_values_and_type(labels: list[Any]) -> None:
    array = np.array(labels)
    features = np.random.default_rng(0).normal(size=(len(array), 2))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # single rows
        sampler = ConvexSampler(generator="smote", random_state=0)
        _, made = sampler.fit_resample(features, array)

    assert made.dtype == array.dtype
    assert set(Counter(made.tolist()).values()) == {max(Counter(labels).values())}


@each_generator
@pytest.mark.parametrize(
    "features",
    [np.ones((52, 3)), np.tile(np.arange(4.0), (52, 1)), np.arange(52.0).reshape(52, 1) % 5],
    ids=["constant", "duplicate rows", "fewer features than classes"],
)
def test_degenerate_features_give_finite_rows(
    options: dict[str, Any], features: NDArray[np.float64]
) -> None:
    _, labels = make_rows(THREE)

    made, _ = ConvexSampler(**options, random_state=0).fit_resample(features, labels)

    assert np.isfinite(made).all()
    assert made.min() >= features.min() - 1e-6
    assert made.max() <= features.max() + 1e-6


@pytest.mark.parametrize("method", ["fit", "fit_resample"])
@pytest.mark.parametrize(
    ("value", "named"),
    [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity"), (1e300, r"1e\+300")],
)
def test_numbers_that_cannot_be_used_are_named(method: str, value: float, named: str) -> None:
    features, labels = make_rows(THREE)
    features[7, 2] = value

    with pytest.raises(DataError, match=f"Row 7, column 2 of the features is {named}"):
        getattr(ConvexSampler(), method)(features, labels)
    with pytest.raises(DataError, match=r"Row 7, column 2 \('c'\) of the features"):
        getattr(ConvexSampler(), method)(pd.DataFrame(features, columns=list("abcd")), labels)


@pytest.mark.parametrize("method", ["fit", "fit_resample"])
@pytest.mark.parametrize(
    "convert",
    [
        sparse.csr_matrix,
        sparse.coo_array,
        lambda dense: pd.DataFrame(dense).astype(pd.SparseDtype(float, 0)),
    ],
    ids=["matrix", "array", "frame"],
)
def test_sparse_input_is_refused_with_the_reason(method: str, convert: Any) -> None:
    features, labels = make_rows(THREE)

    with pytest.raises(DataError, match=r"are sparse.*a mixture of rows has a number wherever"):
        getattr(ConvexSampler(generator="random"), method)(convert(features), labels)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_precision_is_kept(kind: type[np.floating[Any]]) -> None:
    features, labels = make_rows(THREE)
    sampler = ConvexSampler(generator="smote", random_state=0)

    made, _ = sampler.fit_resample(features.astype(kind), labels)

    assert made.dtype == kind
    assert all(batch.dtype == kind for batch, _ in sampler.iter_batches(10))


def test_a_data_frame_gives_a_data_frame_whose_whole_numbers_became_floats() -> None:
    features, labels = make_rows(THREE)
    frame = (
        pd.DataFrame(features, columns=list("abcd"))
        .assign(e=np.arange(52) % 3, f=np.arange(52) % 2 == 0, g=np.float32(1) + np.arange(52))
        .astype({"g": np.float32})
    )

    made, made_labels = ConvexSampler(generator="smote", random_state=0).fit_resample(
        frame, pd.Series(labels, name="animal")
    )

    assert list(made.columns) == list(frame.columns)
    assert made.dtypes.astype(str).to_dict() == {
        **dict.fromkeys("abcdef", "float64"),
        "g": "float32",
    }
    assert np.array_equal(made[:52], frame.astype(float))
    assert not np.array_equal(made["e"], made["e"].round())
    assert made_labels.name == "animal"


def test_arrays_become_data_frames_where_that_is_asked_for() -> None:
    features, labels = make_rows(THREE)
    sampler = ConvexSampler(generator="random", random_state=0)

    with config_context(transform_output="pandas"):
        globally, _ = sampler.fit_resample(features, labels)
    own, _ = clone(sampler.set_output(transform="pandas")).fit_resample(features, labels)
    default, _ = sampler.set_output(transform="default").fit_resample(features, labels)

    assert list(own.columns) == list(globally.columns) == ["x0", "x1", "x2", "x3"]
    assert isinstance(default, np.ndarray)
    with pytest.raises(ConfigError, match="Unknown output 'arrow'"):
        sampler.set_output(transform="arrow")


def test_works_in_a_pipeline_with_a_grid_search_and_data_frames() -> None:
    features, labels = make_rows({0: 60, 1: 20})
    pipeline = make_pipeline(
        StandardScaler(), ConvexSampler(generator="smote", random_state=0), LogisticRegression()
    ).set_output(transform="pandas")
    grid = {
        "convexsampler__sampling_strategy": [0.6, 1.0],
        "convexsampler__generator_options": [{"neighbors": one} for one in np.arange(2, 4)],
    }

    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(features, labels)

    assert search.best_estimator_.predict(features[:3]).shape == (3,)


def test_wrong_settings_are_refused_by_name() -> None:
    rows = make_rows(THREE)

    with pytest.raises(ConfigError, match=r"Unknown generator 'smoth'.*Did you mean 'smote'"):
        ConvexSampler(generator="smoth").fit_resample(*rows)
    with pytest.raises(ConfigError, match=r"generator.neighbours.*did you mean 'neighbors'"):
        ConvexSampler(generator="smote", generator_options={"neighbours": 3}).fit_resample(*rows)


def test_every_parameter_is_validated() -> None:
    check_param_validation("ConvexSampler", ConvexSampler(generator="random"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="finds no CUDA device"):
        ConvexSampler(device="cuda").fit_resample(*make_rows(THREE))


@each_generator
def test_a_stream_holds_what_fit_resample_returns(options: dict[str, Any]) -> None:
    features, labels = make_rows(THREE)
    sampler = ConvexSampler(**options, random_state=0, batch_size=16)

    made, made_labels = sampler.fit_resample(features, labels)
    batches = list(sampler.fit(features, labels).iter_batches())

    assert [len(batch) for batch, _ in batches] == [16, 16, 16, 16, 4]
    assert np.array_equal(np.concatenate([one for one, _ in batches]), made[52:])
    assert np.array_equal(np.concatenate([one for _, one in batches]), made_labels[52:])


def test_a_stream_of_tensors_holds_places_of_labels() -> None:
    sampler = ConvexSampler(generator="smote", random_state=0).fit(*make_rows(THREE))

    batches = list(sampler.iter_batches(10, num=35, as_="torch"))

    assert [len(batch) for batch, _ in batches] == [10, 10, 10, 5]
    assert {batch.dtype for batch, _ in batches} == {torch.float32}
    assert set(torch.cat([one for _, one in batches]).tolist()) == {1, 2}  # "dog", "owl"
    assert not any(batch.requires_grad for batch, _ in batches)


def test_two_calls_stream_the_same() -> None:
    sampler = ConvexSampler(generator="smote", random_state=0).fit(*make_rows(THREE))

    one, other = (np.concatenate([b for b, _ in sampler.iter_batches(7, num=30)]) for _ in "ab")

    assert np.array_equal(one, other)


@pytest.mark.parametrize("as_", ["numpy", "torch"])
def test_a_stream_holds_one_batch_however_many_are_asked_for(as_: Any) -> None:
    sampler = ConvexSampler(generator="smote", random_state=0).fit(*make_rows(THREE))
    seen: list[weakref.ref[Any]] = []

    for index, (batch, _) in enumerate(sampler.iter_batches(8, num=10**15, as_=as_)):
        seen.append(weakref.ref(batch))
        assert sum(one() is not None for one in seen) <= 2  # this one, and the one before
        if index == 50:
            break


def test_wrong_arguments_of_a_stream_are_refused_at_once() -> None:
    sampler = ConvexSampler(generator="random", random_state=0).fit(*make_rows(THREE))

    for wrong in ({"batch_size": 0}, {"num": -1}, {"as_": "jax"}):
        with pytest.raises(ConfigError, match="Expected at least 1 row a batch"):
            sampler.iter_batches(**wrong)


def test_without_the_extra_the_import_says_how_to_install_it() -> None:
    script = (
        "import sys\n"
        "sys.modules['sklearn'] = None\n"
        "import fdmo_core.sampling\n"
        "try:\n    from fdmo_core.sampling import ConvexSampler\n"
        "except ImportError as error:\n    print(error)\n"
    )

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert "pip install 'fdmo[sklearn]'" in result.stdout, result.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@each_generator
def test_a_stream_on_a_gpu_stays_there(options: dict[str, Any]) -> None:
    sampler = ConvexSampler(**options, device="cuda", random_state=0).fit(*make_rows(THREE))

    (features, labels), *_ = sampler.iter_batches(10, as_="torch")

    assert features.device.type == labels.device.type == "cuda"
    assert isinstance(next(iter(sampler.iter_batches(10)))[0], np.ndarray)
