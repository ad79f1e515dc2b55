import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from infomax import evaluate as ev
from infomax.errors import ConfigError, DataError, NumericsError
from infomax.evaluate.neighbours import duplicates, neighbours, outliers
from infomax.evaluate.probe import standardise


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    return x[:1200], y[:1200], x[1200:], y[1200:]


def tensors(*arrays):
    return [torch.tensor(a) for a in arrays]


def test_weighted_knn_equals_scikit_learn(digits):
    x, y, u, v = digits
    theirs = KNeighborsClassifier(20, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07)).fit(x, y)
    ours = ev.knn_predict(*tensors(x, y, u), chunk=100)
    assert (ours.numpy() == theirs.predict(u)).all()
    assert ev.knn_accuracy(*tensors(x, y, u, v)) == pytest.approx(theirs.score(u, v), abs=1e-12)


def test_majority_knn_equals_scikit_learn_but_for_ties(digits):
    x, y, u, _ = digits
    theirs = KNeighborsClassifier(20, metric="cosine").fit(x, y)
    counts = np.sort(theirs.predict_proba(u), axis=1)
    clear = counts[:, -1] > counts[:, -2] + 0.01
    assert clear.mean() > 0.98
    ours = ev.knn_predict(*tensors(x, y, u), vote="majority").numpy()
    assert (ours == theirs.predict(u))[clear].all()


def test_a_tie_goes_to_the_nearer_class():
    train = torch.tensor([[1.0, 0.5], [1.0, 0.6], [1.0, 0.0], [1.0, -3.0]])
    labels = torch.tensor([1, 1, 0, 0])
    assert ev.knn_predict(train, labels, torch.tensor([[1.0, 0.55]]), k=4, vote="majority").tolist() == [1]
    assert ev.knn_predict(train, labels, torch.tensor([[1.0, -1.0]]), k=99, vote="majority").tolist() == [0]


def test_knn_survives_scale_and_small_temperatures():
    train, labels = torch.eye(3), torch.arange(3)
    assert ev.knn_predict(1e6 * train, labels, 1e-6 * train, temperature=1e-3).tolist() == [0, 1, 2]
    assert ev.knn_predict(train, labels, torch.empty(0, 3)).shape == (0,)
    # cosines far below 1: e^((cos - 1) / tau) alone would be 0 for every neighbour, and class 0 win
    assert ev.knn_predict(train, labels, torch.tensor([[0.5, 0.6, 0.7]]), temperature=1e-4).tolist() == [2]


def test_two_types_are_compared_in_the_wider(digits):
    x, y, test, test_y = digits
    x, test = torch.as_tensor(x), torch.as_tensor(test)
    expected = ev.knn_accuracy(x.double(), y, test.double(), test_y)
    assert ev.knn_accuracy(x.double(), y, test.float(), test_y) == expected
    assert ev.knn_accuracy(x.float(), y, test.double(), test_y) == pytest.approx(expected, abs=0.01)


def test_a_large_offset_hides_no_feature_that_the_type_can_tell():
    """Beside 1e7 a deviation of 1 is rounding in float32, and 16 digits hold it in float64; of a constant nothing is made."""
    x = torch.randn(500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1e7
    x[:, 2] = 0.1 + 1e7
    found, _, scale = standardise(x)
    assert torch.isfinite(scale).tolist() == [True, True, False]
    torch.testing.assert_close(found[:, :2].std(0, correction=0), torch.ones(2, dtype=torch.float64))
    assert torch.isinf(standardise(torch.full((500, 1), 0.1))[2]).all()


def test_half_precision_and_a_row_of_zeros_change_nothing():
    y = torch.arange(4).repeat(50)
    x = 300 * (torch.eye(4)[y] + 0.1 * torch.randn(200, 4, generator=torch.Generator().manual_seed(0))).half()
    x[8] = 0.0
    halves, singles = ((z[:150], y[:150], z[150:], y[150:]) for z in (x, x.float()))
    assert ev.knn_accuracy(*halves) == ev.knn_accuracy(*singles) == 1.0
    assert torch.equal(ev.fit_probe(*halves[:2], penalty=1e-2).weight, ev.fit_probe(*singles[:2], penalty=1e-2).weight)
    assert ev.sgd_probe(*halves) == ev.sgd_probe(*singles)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_number_that_is_none_is_said(bad):
    z, y = torch.eye(4).repeat(3, 1), torch.arange(4).repeat(3)
    spoiled, probe = z.clone(), ev.fit_probe(z, y, penalty=0.1)
    spoiled[8, 0] = bad
    for call in (
        lambda: ev.knn_accuracy(spoiled, y, z, y),
        lambda: ev.knn_predict(z, y, spoiled),
        lambda: ev.fit_probe(spoiled, y, penalty=0.1),
        lambda: probe.predict(spoiled),
        lambda: ev.linear_probe(z, y, spoiled, y),
        lambda: ev.sgd_probes(spoiled, y, rates=(0.1,), decays=(0.0,)),
        lambda: ev.sgd_probe(z, y, spoiled, y),
        lambda: neighbours(spoiled),
        lambda: outliers(spoiled),
        lambda: duplicates(spoiled),
    ):
        with pytest.raises(NumericsError, match=r"NaN or infinity in .* of shape \(12, 4\)"):
            call()


@pytest.mark.parametrize("penalty", [1e-1, 1e-3])
def test_probe_reaches_scikit_learns_minimum(digits, penalty):
    x, y, u, _ = digits
    scaler = StandardScaler().fit(x)
    theirs = LogisticRegression(C=1 / (penalty * len(x)), tol=1e-8, max_iter=5000).fit(scaler.transform(x), y)
    ours = ev.fit_probe(*tensors(x, y), penalty=penalty)
    np.testing.assert_allclose(ours.weight.numpy(), theirs.coef_, atol=2e-3)
    assert (ours.predict(torch.tensor(u)).numpy() == theirs.predict(scaler.transform(u))).mean() > 0.998


def test_probe_chooses_its_penalty_without_the_test_set(digits):
    x, y, u, v = digits
    result = ev.linear_probe(*tensors(x, y, u, v))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scaler = StandardScaler().fit(x)
        theirs = [
            LogisticRegression(C=1 / (p * len(x)), max_iter=300)
            .fit(scaler.transform(x), y)
            .score(scaler.transform(u), v)
            for p in result.held_out
        ]
    assert min(theirs) - 0.01 <= result.accuracy <= max(theirs) + 0.01
    assert result.accuracy > 0.94
    assert result.held_out[result.penalty] == max(result.held_out.values())
    assert result.stderr == pytest.approx(math.sqrt(result.accuracy * (1 - result.accuracy) / len(u)))
    again = ev.linear_probe(*tensors(x, y, u[:50], 9 - v[:50]))
    assert (again.penalty, again.held_out) == (result.penalty, result.held_out), "the choice must not see the test set"


def test_probe_takes_float32_dead_units_and_any_labels(digits):
    x, y, u, v = tensors(*digits)
    x, u = ((torch.cat([z, torch.full((len(z), 2), 1e4)], 1)).float() for z in (x, u))
    result = ev.linear_probe(x[:400], -5 * y[:400], u, -5 * v, penalties=[1e-1, 1e-2])
    assert result.accuracy > 0.9


def test_a_class_of_one_and_a_class_never_seen():
    x = torch.cat([torch.randn(20, 2, generator=torch.Generator().manual_seed(0)) + 5, -5 * torch.ones(1, 2)])
    y = torch.tensor([0] * 20 + [1])
    result = ev.linear_probe(x, y, torch.tensor([[5.0, 5.0], [-5.0, -5.0]]), torch.tensor([0, 7]), penalties=[1e-2])
    assert result.accuracy == 0.5


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda z, y: ev.knn_predict(z, y, z, vote="most"), ConfigError, "unknown vote 'most'"),
        (lambda z, y: ev.knn_predict(z, y, z, k=0), ConfigError, "must be positive"),
        (lambda z, y: ev.knn_predict(z, y, z[:, :1]), DataError, r"got \(4, 2\) and \(4, 1\)"),
        (lambda z, y: ev.knn_predict(z, y[:3], z), DataError, "as many labels"),
        (lambda z, y: ev.knn_accuracy(z, y, z[:0], y[:0]), DataError, "one row at least"),
        (lambda z, y: ev.linear_probe(z, y, z, y, penalties=[]), ConfigError, "needs penalties"),
        (lambda z, y: ev.linear_probe(z, y[:2], z, y), DataError, "training features must be N D"),
        (lambda z, y: ev.linear_probe(z / 0, y, z, y), NumericsError, "in the training features"),
        (lambda z, y: ev.linear_probe(z, torch.arange(4), z, y), DataError, "none can be held out"),
        (lambda z, y: ev.fit_probe(z, 0 * y, penalty=1.0), DataError, "two classes are needed"),
        (lambda z, y: ev.sgd_probe(z, 0 * y, z, 0 * y), DataError, "two classes are needed"),
        (lambda z, y: ev.fit_probe(z, y, penalty=-1.0), ConfigError, "zero or more"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0], [2.0, 0.0]]), torch.tensor([0, 1, 0, 1]))


def test_arrays_are_taken_as_tensors_are(digits):
    x, y, u, v = (a[:300] for a in digits)
    given, same = (x, y, u, v), tensors(x, y, u, v)
    for judge in (ev.knn_accuracy, ev.linear_probe, ev.sgd_probe):
        assert judge(*given) == judge(*same)
    assert torch.equal(ev.knn_predict(x, y, u), ev.knn_predict(*same[:3]))
    probe = ev.fit_probe(x, y, penalty=1e-2)
    assert torch.equal(probe.predict(u), probe.predict(same[2]))
    assert outliers(x, count=3) == outliers(same[0], count=3) and duplicates(x, 0.99) == duplicates(same[0], 0.99)
    with pytest.raises(DataError, match="labels whole ones"):
        ev.knn_accuracy(x, y.astype(str), u, v.astype(str))
