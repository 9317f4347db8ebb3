"""MLPClassifier: scikit-learn's, trained by native plans."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, unique_labels
from sklearn.utils.validation import check_is_fitted

from chainrule.graph.tensor import Array
from chainrule.sklearn.base import Labels, whole_or_not_at_all
from chainrule.sklearn.losses import classification_loss, takes_classes
from chainrule.sklearn.perceptron import BasePerceptron
from chainrule.sklearn.solvers import trains_by_batches


class MLPClassifier(ClassifierMixin, BasePerceptron):
    """A classifier by a network: scikit-learn's MLPClassifier, and what it lacks.

    With arguments that scikit-learn's has, the numbers are the same, to rounding: weights, losses,
    epochs, predictions. Training runs in the native core, in the dtype of X, float32 or float64;
    by "lbfgs" in float64.

    Args:
        hidden_layer_sizes: the widths of the hidden layers.
        activation: of the hidden layers: "identity", "logistic", "tanh", "relu", the name of
            another of `nn` ("gelu", "silu", "selu", "mish", ...), a module, the class of one, or a
            function of Tensors; or a list with one for each layer.
        solver: "adam", "sgd", "lbfgs"; another of `optim` by its name ("adamw", "lion", ...) or as
            a class, with `learning_rate_init`; or a function of the parameters that returns an
            optimizer.
        alpha: the strength of the penalty alpha / (2 n) sum of W^2, for n rows in a batch.
        batch_size: rows in a batch; "auto" is 200, or all if there are fewer.
        learning_rate: for "sgd" "constant", "invscaling", or "adaptive": a fifth where neither loss
            nor score has become better. For all solvers but "lbfgs" a function of the optimizer
            that returns a schedule, as ``lambda o: optim.lr_scheduler.CosineAnnealingLR(o, 50)``.
        learning_rate_init: the first learning rate.
        power_t: of "invscaling": learning_rate_init / t^power_t after t rows.
        max_iter: epochs at most; of "lbfgs" iterations.
        shuffle: whether rows are drawn in a new order in every epoch.
        random_state: of the first weights, the orders and the rows held out; with an integer the
            same as in scikit-learn.
        tol: an epoch is better whose loss (or score) is better by this.
        verbose: whether to print the loss of each epoch.
        warm_start: whether `fit` goes on from the weights of the last one.
        momentum, nesterovs_momentum: of "sgd".
        early_stopping: whether rows are held out, training ends where their score no longer becomes
            better, and the best weights are kept.
        validation_fraction: the share of rows that are held out, unless `fit` is given X_val.
        beta_1, beta_2, epsilon: of "adam".
        n_iter_no_change: epochs without a better one after which training ends.
        max_fun: evaluations of "lbfgs" at most.
        loss: "log_loss", or a loss of logits of `nn`, as
            ``nn.CrossEntropyLoss(label_smoothing=0.1)``; or a function (logits, targets) that
            returns a scalar. Targets are class numbers, (rows,), for three classes or more or a
            loss of classes; else zeros and ones, (rows, 1) or (rows, labels). With weights of rows
            it needs the keyword `sample_weight`.
        class_weight: None, "balanced" or a dict: the weight of the rows of each class.
        dropout: the share of each hidden layer's outputs that are dropped in training; or a list
            with one for each layer.
        normalization: "batch" or "layer": normalises each hidden layer before its activation.
            With "batch" batches are larger where the last one would have one row alone.
        residual: whether each hidden layer adds its input to its output; where the widths differ,
            by a linear layer without bias.
        clip_norm, clip_value: the largest norm of all gradients, the largest element.
        scoring: of early stopping: by default the estimator's `score`; "loss"; or as
            `cross_val_score` takes it.
        callbacks: a list of `chainrule.Callback`; the record of an epoch has "loss", and where rows
            are held out "validation_loss" and "validation_score". Those of scikit-learn (1.9) are
            given to `set_callbacks`.
        allow_nan: whether missing values are replaced by their columns' means, with a column of
            zeros and ones for each column that has some in `fit`.

    Attributes:
        classes_: the labels, sorted.
        coefs_, intercepts_: the weights of each layer, (in, out), and the biases.
        loss_, best_loss_, loss_curve_: the loss, with the penalty, of the last epoch, the least,
            and of each.
        validation_scores_, best_validation_score_: of the rows held out, else None.
        validation_loss_curve_: their losses, without the penalty, else None.
        n_iter_, t_: epochs of the last `fit`, and rows seen in all.
        n_layers_, n_outputs_, out_activation_: with input and output; "identity", "exp", "logistic"
            or "softmax".
        n_features_in_, feature_names_in_: the columns, and their names if they have some.
        network_: the network, a `nn.Module`, to look into or to save with `chainrule.save`. Its
            outputs are those before `out_activation_`.
        imputer_: with `allow_nan`, what replaces missing values.

    Raises:
        ValueError, TypeError: where a parameter, X or y does not fit, by `fit`.

    Example:
        >>> from sklearn.datasets import make_classification
        >>> from chainrule.sklearn import MLPClassifier
        >>> X, y = make_classification(200, random_state=0)
        >>> network = MLPClassifier((32, 32), solver="adamw", dropout=0.1, tol=0.01, random_state=0)
        >>> network.fit(X[:150], y[:150])
        MLPClassifier(dropout=0.1, hidden_layer_sizes=(32, 32), random_state=0,
                      solver='adamw', tol=0.01)
        >>> bool(network.score(X[150:], y[150:]) > 0.8)
        True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BasePerceptron._parameter_constraints,
        "loss": [StrOptions({"log_loss"}), callable],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    def __init__(  # `fit` checks them, as in scikit-learn
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: Any = 0.001,
        power_t: Any = 0.5,
        max_iter: Any = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        momentum: Any = 0.9,
        nesterovs_momentum: Any = True,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: Any = 15000,
        loss: Any = "log_loss",
        class_weight: Any = None,
        dropout: Any = 0.0,
        normalization: Any = None,
        residual: Any = False,
        clip_norm: Any = None,
        clip_value: Any = None,
        scoring: Any = None,
        callbacks: Any = None,
        allow_nan: Any = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.class_weight = class_weight
        self.dropout = dropout
        self.normalization = normalization
        self.residual = residual
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.scoring = scoring
        self.callbacks = callbacks
        self.allow_nan = allow_nan

    @whole_or_not_at_all
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPClassifier:
        """Train on rows and their labels.

        Args:
            X: rows of numbers, shape (rows, columns): an array, a frame, a sparse matrix.
            y: labels, shape (rows,); or zeros and ones for several labels, (rows, labels).
            sample_weight: a weight for each row.
            X_val, y_val, sample_weight_val: rows to validate on after every epoch, in place of a
                share of X.

        Returns:
            The estimator.
        """
        return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    @available_if(trains_by_batches)
    @whole_or_not_at_all
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPClassifier:
        """Train one epoch more on rows, which may be others than before.

        With `early_stopping` and X_val each call validates. From the call on after which the score
        has not become better for more than `n_iter_no_change` calls, the best weights are kept.
        After a call that failed in its training, the next one begins with a new optimizer.

        Args:
            X, y, sample_weight, X_val, y_val, sample_weight_val: as of `fit`.
            classes: all labels that ever come; needed by the first call.

        Returns:
            The estimator.

        Raises:
            ValueError: for class_weight='balanced', also in a list, or a first call without
                `classes`.
        """
        given = self.class_weight if isinstance(self.class_weight, list) else [self.class_weight]
        if any(isinstance(weight, str) for weight in given):
            raise ValueError(
                "class_weight='balanced' needs all rows, and partial_fit sees some: give a dict, "
                "or a list of dicts, as of sklearn.utils.class_weight.compute_class_weight"
            )
        if _check_partial_fit_first_call(self, classes):
            self._labels = Labels(y)
            if self._labels.kind != "multilabel":
                self._labels = Labels(classes)
        held_out = X_val, y_val, sample_weight_val
        return self._fit(X, y, sample_weight, held_out, incremental=True)

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = self._checked(X, y, reset=reset)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._labels = Labels(y)
            self.classes_ = self._labels.classes
            return X, y
        classes = unique_labels(y)
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the "
                    f"previous call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {classes}."
            )
        several = (self._labels.outputs,) if self._labels.kind == "multilabel" else ()
        if y.shape[1:] != several:
            had = f"{several[0]} labels" if several else "one label"
            raise ValueError(
                f"y has shape {y.shape}, and the network that warm_start and partial_fit go on "
                f"with gives {had} for each row"
            )
        return X, y

    def _check_held_out(self, held: Array, y: Array) -> None:
        super()._check_held_out(held, y)
        unknown = np.setdiff1d(held, self.classes_) if y.ndim == 1 else np.array([])
        if unknown.size:
            raise ValueError(f"y_val has labels that y has not: {unknown}")

    def _class_weight(self) -> Any:
        return self.class_weight

    @property
    def _takes_classes(self) -> bool:
        """Whether the network gives a logit for each class."""
        return takes_classes(self.loss, self._labels.kind)

    def _outputs_of(self, y: Array) -> int:
        return len(self.classes_) if self._takes_classes else self._labels.outputs

    def _out_activation(self) -> str:
        return "softmax" if self._takes_classes else "logistic"

    def _loss(self) -> Any:
        return classification_loss(self.loss, self._takes_classes)

    def _targets(self, y: Array, dtype: Any) -> Array:
        encoded = self._labels.encode(y)
        if self._takes_classes:
            return encoded
        return np.ascontiguousarray(encoded.reshape(len(encoded), -1), dtype)

    def _strata(self, y: Array) -> Array | None:
        """Of two classes their names in scikit-learn's split, "False" and "True"."""
        if self._labels.kind != "binary":
            return None
        # It writes a column into texts row by row, and takes texts as they are.
        return np.array(["False", "True"])[self._labels.encode(y)]

    def _probabilities(self, output: Array) -> Array:
        found = softmax(output, axis=1) if self.out_activation_ == "softmax" else expit(output)
        return np.hstack([1 - found, found]) if found.shape[1] == 1 else found

    def _predicted(self, output: Array) -> Array:
        if self.out_activation_ == "softmax":
            return self._labels.decode(output)
        return self._labels.decode(expit(output))

    def _score_of(self, y: Array, output: Array, weights: Array | None) -> float:
        right = self._predicted(output) == (self._labels.encode(y) if sparse.issparse(y) else y)
        if right.ndim > 1:
            right = right.all(axis=1)
        if weights is None:
            return np.count_nonzero(right) / len(right)
        return float(np.average(right, weights=weights))

    def predict(self, X: Any) -> Any:
        """The label of each row.

        Args:
            X: rows with the columns of `fit`.

        Returns:
            Labels, shape (rows,); of several labels zeros and ones, (rows, labels), as a CSR matrix
            where y was sparse.
        """
        check_is_fitted(self)
        found = self._predicted(self._output(X))
        return sparse.csr_matrix(found) if self._labels.is_sparse else found

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class for each row, in the order of `classes_`.

        Args:
            X: rows with the columns of `fit`.

        Returns:
            Shape (rows, classes). Of several labels each is a probability of its own.
        """
        check_is_fitted(self)
        return self._probabilities(self._output(X))

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`.

        Args:
            X: rows with the columns of `fit`.
        """
        found = self.predict_proba(X)
        return np.log(found, out=found)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
