import pickle
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_param_validation

from fdmo_core.errors import ConfigError, DataError
from fdmo_core.randomness import rng_for
from fdmo_core.sampling import RebalancedClassifier
from fdmo_core.sampling.head import validation_rows

TINY_GAN = {"noise_dim": 4, "hidden": (8, 8), "discriminator_hidden": (8, 8)}
Rows = tuple[NDArray[np.float64], NDArray[Any]]


def make_rows(weights: tuple[float, ...] = (0.8, 0.15, 0.05), num_rows: int = 400) -> Rows:
    features, labels = make_classification(
        num_rows,
        6,
        n_informative=4,
        n_classes=len(weights),
        n_clusters_per_class=1,
        weights=list(weights),
        flip_y=0.05,
        class_sep=0.7,
        random_state=0,
    )
    return features, np.array(["cat", "dog", "owl"])[labels]


def tiny(**options: Any) -> RebalancedClassifier:
    defaults: dict[str, Any] = {
        "rebalancer_options": {"epochs": 2, "batch_size": 64},
        "generator_options": TINY_GAN,
        "random_state": 0,
    }
    return RebalancedClassifier(**{**defaults, **options})


def phase1_alone(**options: Any) -> RebalancedClassifier:
    return tiny(rebalancer_options={"epochs": 0}, **options)


def test_rare_classes_gain_against_logistic_regression() -> None:
    features, labels = make_rows()
    ours = RebalancedClassifier(
        generator="smote", rebalancer_options={"epochs": 100}, random_state=0
    )

    recalls = [
        recall_score(labels, cross_val_predict(model, features, labels, cv=3), average=None)
        for model in (ours, LogisticRegression())
    ]

    assert recalls[0].mean() > recalls[1].mean() + 0.05
    assert recalls[0][2] > recalls[1][2]


@pytest.mark.parametrize("standardize", [False, True])
def test_phase_1_alone_is_logistic_regression(standardize: bool) -> None:
    features, labels = make_rows()
    features[:, 0] = 100 * features[:, 0] + 1000 if standardize else features[:, 0]

    ours = phase1_alone(standardize=standardize, head_penalty=0.5).fit(features, labels)

    scaled = StandardScaler().fit_transform(features) if standardize else features
    known = LogisticRegression(C=2, tol=1e-10, max_iter=1000).fit(scaled, labels)
    assert np.allclose(ours.predict_proba(features), known.predict_proba(scaled), atol=5e-3)


def test_scores_shares_and_labels_agree() -> None:
    features, labels = make_rows()

    model = tiny().fit(features, labels)

    scores, shares = model.decision_function(features), model.predict_proba(features)
    assert scores.shape == shares.shape == (400, 3)
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.allclose(np.log(shares) - scores, (np.log(shares) - scores)[:, :1])
    assert np.array_equal(model.predict(features), model.classes_[shares.argmax(axis=1)])


def test_of_two_classes_the_score_says_how_far_the_second_is_ahead() -> None:
    features, labels = make_rows((0.8, 0.2))

    model = tiny().fit(features, labels)

    shares = model.predict_proba(features)
    expected = np.log(shares[:, 1]) - np.log(shares[:, 0])
    assert np.allclose(model.decision_function(features), expected)


def test_many_rows_are_predicted_as_few_are() -> None:
    features, labels = make_rows()
    model = tiny().fit(features, labels)

    many = model.decision_function(np.tile(features, (11, 1)))  # more than one batch

    assert np.array_equal(many[4000:], model.decision_function(features))


def test_the_same_seed_gives_the_same_classifier_and_no_global_state_is_changed() -> None:
    rows, state = make_rows(), torch.get_rng_state()

    one, same, other = (
        tiny(random_state=seed).fit(*rows).decision_function(rows[0]) for seed in (0, 0, 1)
    )

    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("loss", ["cross-entropy", "focal", "ldam", "squared-error"])
def test_every_loss_can_be_chosen(loss: str) -> None:
    features, labels = make_rows()

    model = tiny(loss=loss).fit(features, labels)

    assert np.isfinite(model.decision_function(features)).all()


def test_balanced_classes_keep_phase_1_and_it_is_said() -> None:
    features = np.random.default_rng(0).normal(size=(30, 4))
    labels = np.arange(30) % 3

    with pytest.warns(UserWarning, match="All 3 classes have 10 rows.*Phase 1's classifier is ke"):
        model = tiny().fit(features, labels)

    expected = phase1_alone().fit(features, labels).decision_function(features)
    assert model.n_steps_ == 0
    assert np.array_equal(model.decision_function(features), expected)


def test_the_share_that_is_set_aside_is_not_learned_from() -> None:
    features, labels = make_rows()
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    places = torch.from_numpy(np.unique(labels, return_inverse=True)[1])
    aside = validation_rows(places, 0.25, rng_for(seed, "validation")).numpy()

    model = phase1_alone(validation_fraction=0.25, standardize=False).fit(features, labels)

    without = phase1_alone(standardize=False).fit(features[~aside], labels[~aside])
    assert aside.sum() > 90
    assert np.allclose(model.decision_function(features), without.decision_function(features))


@pytest.mark.parametrize("rebalancer", ["logit-adjustment", "tau-norm"])
def test_a_strength_is_fitted_out_of_fold_unless_rows_are_set_aside(rebalancer: str) -> None:
    features, labels = make_rows()
    default, out_of_fold, aside = (
        RebalancedClassifier(
            rebalancer, rebalancer_options=options, validation_fraction=share, random_state=0
        )
        .fit(features, labels)
        .decision_function(features)
        for options, share in ((None, 0.0), ({"fit_on": "out-of-fold"}, 0.0), (None, 0.3))
    )

    assert np.array_equal(default, out_of_fold)
    assert not np.allclose(default, aside)


def test_a_strength_cannot_be_fitted_on_validation_rows_that_are_not_set_aside() -> None:
    model = RebalancedClassifier("tau-norm", rebalancer_options={"fit_on": "validation"})

    with pytest.raises(DataError, match=r"No rows are set aside.*Set validation_fraction"):
        model.fit(*make_rows())


@pytest.mark.parametrize(
    ("rebalancer", "options"),
    [
        ("crt", {"epochs": 30, "learning_rate": 0.05}),
        ("lws", {}),
        ("ncm", {}),
        ("crossfit", {}),
        ("none", {}),
    ],
)
def test_every_rebalancer_can_be_chosen(rebalancer: str, options: dict[str, Any]) -> None:
    features, labels = make_rows()

    model = RebalancedClassifier(rebalancer, rebalancer_options=options, random_state=0)

    recalls = recall_score(labels, model.fit(features, labels).predict(features), average=None)
    assert recalls.min() > 0.3


def test_works_in_a_pipeline_with_a_grid_search_and_clone() -> None:
    features, labels = make_rows()
    frame = pd.DataFrame(features, columns=list("abcdef"))
    pipeline = make_pipeline(PCA(4), tiny()).set_output(transform="pandas")
    grid = {
        "rebalancedclassifier__generator": ["random", "smote"],
        "rebalancedclassifier__head_penalty": np.logspace(-1, 0, 2),
        "rebalancedclassifier__generator_options": [None],
        "rebalancedclassifier__rebalancer_options": [{"epochs": one} for one in np.arange(1, 3)],
    }

    search = GridSearchCV(clone(pipeline), grid, cv=2, error_score="raise").fit(frame, labels)

    assert set(search.predict(frame)) <= {"cat", "dog", "owl"}


def test_a_classifier_that_was_pickled_predicts_the_same() -> None:
    features, labels = make_rows()
    model = tiny().fit(features, labels)

    copied = pickle.loads(pickle.dumps(model))

    assert np.array_equal(copied.decision_function(features), model.decision_function(features))


def test_bad_input_is_refused_with_a_reason() -> None:
    features, labels = make_rows()
    model = tiny()

    with pytest.raises(DataError, match="rows are of one class, 'cat'"):
        model.fit(features, np.full(400, "cat"))
    with pytest.raises(DataError, match="are sparse"):
        model.fit(sparse.csr_matrix(features), labels)
    with pytest.raises(DataError, match="Multilabel and multioutput targets are not supported"):
        model.fit(features, np.random.default_rng(0).integers(2, size=(400, 3)))
    model.fit(features, labels)
    features[9, 5] = np.nan
    with pytest.raises(DataError, match="Row 9, column 5 of the features is NaN"):
        model.predict(features)
    with pytest.raises(DataError, match="Row 9, column 5 of the features is NaN"):
        model.fit(features, labels)


def test_wrong_settings_are_refused_by_name() -> None:
    rows = make_rows()

    with pytest.raises(ConfigError, match=r"Unknown rebalancer 'smote'"):
        tiny(rebalancer="smote").fit(*rows)
    with pytest.raises(ConfigError, match=r"rebalancer.epoch.*did you mean 'epochs'"):
        tiny(rebalancer_options={"epoch": 3}).fit(*rows)


def test_every_parameter_is_validated() -> None:
    check_param_validation("RebalancedClassifier", tiny())
