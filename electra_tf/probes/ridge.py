"""Linear classification in closed form: ridge regression onto the classes."""

import numpy as np

# Penalties, as shares of the features' mean square.
PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


class Moments:
    """The sums that ridge regression needs, of any number of examples.

    Args:
        num_features: F of the features, without the constant that is added to them.
        num_classes: C.
    """

    def __init__(self, num_features: int, num_classes: int):
        self._products = np.zeros((num_features + 1, num_features + 1))
        self._targets = np.zeros((num_features + 1, num_classes))

    def add(self, features: np.ndarray, classes: np.ndarray) -> None:
        """Adds examples: features [N, F], classes int [N]."""
        extended = _extended(features)
        one_hot = np.eye(self._targets.shape[1])[classes]
        self._products += extended.T @ extended
        self._targets += extended.T @ one_hot

    def plus(self, other: "Moments") -> "Moments":
        """Those of both sets of examples."""
        both = Moments(len(self._products) - 1, self._targets.shape[1])
        both._products = self._products + other._products
        both._targets = self._targets + other._targets
        return both

    def solve(self, penalty: float) -> np.ndarray:
        """Weights [F + 1, C], the last row of the constant, which is not penalised."""
        diagonal = np.diag(self._products).copy()
        scale = penalty * diagonal[:-1].mean()
        penalties = np.append(np.full(len(diagonal) - 1, scale), 0.0)
        return np.linalg.lstsq(self._products + np.diag(penalties), self._targets, rcond=None)[0]


def predict(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The likeliest class of each example, int [N]."""
    return np.argmax(_extended(features) @ weights, axis=1)


def _extended(features: np.ndarray) -> np.ndarray:
    """In float64, with a constant 1 at the end: [N, F + 1]."""
    return np.append(features.astype(np.float64), np.ones((len(features), 1)), axis=1)
