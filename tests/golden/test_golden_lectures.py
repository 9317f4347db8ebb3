"""The worked examples of the lectures: L1 to L10."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph.operation import Operation

W_XA = [[0.9, 0.3, 0.4], [0.2, 0.8, 0.2], [0.1, 0.5, 0.6]]
W_AO = [[0.3, 0.7, 0.5], [0.6, 0.5, 0.2], [0.8, 0.1, 0.9]]


def s(z):
    """The logistic function of one number, in plain Python."""
    return 1 / (1 + math.exp(-z))


def cut(values, digits):
    """Digits as the lecture prints them: truncated, not rounded."""
    return np.floor(np.asarray(values) * 10**digits) / 10**digits


def test_l1_neuron_by_hand(run, exact):
    def forward(x, w_xa, w_ao):
        z = w_xa @ x
        a = cr.sigmoid(z)
        return z, a, cr.sigmoid(w_ao @ a)

    z, a, output = run(forward, [0.9, 0.1, 0.8], W_XA, W_AO)
    exact(z, [1.16, 0.42, 0.62])
    exact(a, [s(1.16), s(0.42), s(0.62)])
    np.testing.assert_array_equal(cut(a, 2), [0.76, 0.60, 0.65])
    np.testing.assert_array_equal(cut(output, 3), [0.726, 0.708, 0.778])
    np.testing.assert_array_equal(cut(output, 2), [0.72, 0.70, 0.77])


def test_l1_as_a_network(run):
    nn = pytest.importorskip("chainrule.nn")
    linear = [nn.Linear(3, 3, bias=False, dtype="float64") for _ in range(2)]
    model = nn.Sequential(linear[0], nn.Sigmoid(), linear[1], nn.Sigmoid())
    linear[0].weight.assign(np.array(W_XA))
    linear[1].weight.assign(np.array(W_AO))
    output = run(model, [[0.9, 0.1, 0.8]])
    np.testing.assert_array_equal(cut(output, 3), [[0.726, 0.708, 0.778]])


def test_l2_chain_rule_of_f_xyz(run, exact):
    def derivatives(r, s):
        x, y, z = r, r * s, s
        f = x * y * z
        return cr.grad(f, [r, s])

    # r = 3, s = 2: df/dr = 2 r s^2 = 24, df/ds = 2 r^2 s = 36
    dr, ds = run(derivatives, 3.0, 2.0)
    exact(dr, 24.0)
    exact(ds, 36.0)


def test_l2_derivative_of_sin_of_a_square(run, exact):
    exact(run(lambda x: cr.grad(cr.sin(x * x), x), 1.3), 2 * 1.3 * math.cos(1.3 * 1.3))


@pytest.mark.parametrize(
    ("f", "plain", "derivative"),
    [
        (cr.tanh, math.tanh, lambda x: 1 - math.tanh(x) ** 2),
        (cr.sin, math.sin, math.cos),
        (cr.sigmoid, s, lambda x: s(x) * (1 - s(x))),
        (lambda x: x * x, lambda x: x * x, lambda x: 2 * x),
    ],
    ids=["tanh", "sin", "sigmoid", "square"],
)
def test_l3_f_of_f_of_f(run, exact, f, plain, derivative):
    w = 0.7
    expected = derivative(plain(plain(w))) * derivative(plain(w)) * derivative(w)
    exact(run(lambda w: cr.grad(f(f(f(w))), w), w), expected)


def test_l3_each_derivative_is_computed_once(monkeypatch):
    visits = []
    bprop = Operation.bprop

    def counted(self, node, index, grad_output):
        visits.append(node)
        return bprop(self, node, index, grad_output)

    monkeypatch.setattr(Operation, "bprop", counted)
    w = cr.tensor(0.7, requires_grad=True)
    x = cr.tanh(w)
    y = cr.tanh(x)
    z = cr.tanh(y)
    cr.grad(z, w)
    assert list(map(id, visits)) == [id(z), id(y), id(x)]


def test_l4_product(run, exact):
    dx, dy = run(lambda x, y: cr.grad(x * y, [x, y]), 3.0, -5.0)
    exact(dx, -5.0)
    exact(dy, 3.0)


def test_l4_logistic_regression(run, exact):
    def graph(x, w, b):
        y = cr.sigmoid(x @ w + b)  # y' = sigmoid(x' w + b)
        return y, *cr.grad(y, [w, b])

    x, w, b = [1.0, -2.0, 0.5], [0.3, 0.1, -0.4], 0.25
    z = 0.3 - 0.2 - 0.2 + 0.25
    y, dw, db = run(graph, x, w, b)
    slope = s(z) * (1 - s(z))
    exact(y, s(z))
    exact(dw, np.multiply(slope, x))
    exact(db, slope)


def test_l4_hidden_layer_with_weight_penalty(run, exact):
    # H = max(0, X W + b), penalty lambda * sum of W^2; the cost is sum(H) + penalty.
    X, W, b, penalty = [[1.0, 2.0], [3.0, -1.0]], [[1.0, -1.0], [0.5, 2.0]], [-0.5, 0.25], 0.1

    def graph(X, W, b):
        H = cr.maximum(0.0, X @ W + b)
        cost = H.sum() + penalty * (W * W).sum()
        return H, cost, *cr.grad(cost, [W, b])

    H, cost, dW, db = run(graph, X, W, b)
    # X W + b = [[2, 3], [2.5, -5]] + b = [[1.5, 3.25], [2, -4.75]]
    exact(H, [[1.5, 3.25], [2.0, 0.0]])
    exact(cost, 6.75 + 0.1 * 6.25)
    # G = [[1, 1], [1, 0]]; X^T G = [[4, 1], [1, 2]]; plus 2 * 0.1 * W
    exact(dW, [[4.2, 0.8], [1.1, 2.4]])
    exact(db, [2.0, 1.0])


def test_l5_delta_of_sigmoid_with_half_the_squared_error(run, exact):
    """Loss convention: 1/2 sum (y - a)^2."""
    z, y = [0.3, -1.2, 2.0], [1.0, 0.0, 0.5]

    def delta(z):
        return cr.grad(0.5 * ((cr.tensor(y, "float64") - cr.sigmoid(z)) ** 2).sum(), z)

    exact(run(delta, z), [(s(u) - t) * s(u) * (1 - s(u)) for u, t in zip(z, y, strict=True)])


def test_l5_delta_of_softmax_with_cross_entropy(run, exact):
    """Loss convention: -sum y log p, natural logarithm; delta = p - y."""
    z = [0.5, -1.0, 2.0]
    total = sum(math.exp(u) for u in z)
    expected = [math.exp(u) / total - (k == 1) for k, u in enumerate(z)]

    def composed(z):
        return cr.grad(-cr.log_softmax(z)[1], z)

    def fused(z):
        return cr.grad(cr.softmax_cross_entropy(z.reshape(1, 3), [1]).sum(), z)

    exact(run(composed, z), expected)
    exact(run(fused, z), expected)


def test_l6_recursions_in_column_form(run, exact):
    """delta^(l-1) = (W^l)' delta^l * g'(z^(l-1)); dL/dW^l = delta^l (a^(l-1))'; dL/db^l = delta^l.

    Loss convention: 1/2 sum of squared errors.
    """
    random = np.random.default_rng(6)
    x, W1, b1, W2, b2 = (random.normal(size=n) for n in (3, (4, 3), 4, (2, 4), 2))
    t = np.array([1.0, -1.0])

    def network(x, W1, b1, W2, b2):
        z1 = W1 @ x + b1
        z2 = W2 @ cr.tanh(z1) + b2
        loss = 0.5 * ((z2 - t) ** 2).sum()  # 1/2 sum
        return cr.grad(loss, [z1, z2, W1, b1, W2, b2])

    a1 = np.tanh(W1 @ x + b1)
    delta2 = W2 @ a1 + b2 - t
    delta1 = W2.T @ delta2 * (1 - a1**2)
    found = run(network, x, W1, b1, W2, b2)
    expected = [delta1, delta2, np.outer(delta1, x), delta1, np.outer(delta2, a1), delta2]
    for gradient, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(gradient, value, rtol=1e-12, atol=1e-14)


def test_l6_row_form(run, exact):
    # z = a w as row vectors: dL/dw = outer(a, delta), here with L = sum(c * z), so delta = c.
    c = np.array([2.0, -3.0])
    w = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    found = run(lambda a, w: cr.grad(((a @ w) * c).sum(), w), [0.5, -1.0, 4.0], w)
    exact(found, [[1.0, -1.5], [-2.0, 3.0], [8.0, -12.0]])


def test_l7_momentum(run, exact):
    """G <- beta G + dL/dW; W <- W - alpha G. No 1 - beta, no Nesterov. L = W^2, so dL/dW = 2 W."""
    W = cr.Parameter(np.float64(1.0), name="W")
    G = cr.Buffer(np.float64(0.0), name="G")

    def step(alpha, beta):
        gradient = cr.grad(W * W, W)
        momentum = beta * G + gradient
        G.assign(momentum)
        W.assign(W - alpha * momentum)
        return W

    # G: 2; W: 1 - 0.1 * 2 = 0.8.   G: 0.9 * 2 + 1.6 = 3.4; W: 0.8 - 0.34 = 0.46.
    # G: 0.9 * 3.4 + 0.92 = 3.98; W: 0.46 - 0.398 = 0.062.
    for expected in (0.8, 0.46, 0.062):
        exact(run(step, 0.1, 0.9), expected)
        exact(W.numpy(), expected)
    exact(G.numpy(), 3.98)


# L8: mean 3, biased variance (4 + 1 + 0 + 9) / 4 = 3.5, normalised x by hand.
L8_X = [[1.0], [2.0], [3.0], [6.0]]
L8_NORMALISED = np.array([[-2.0], [-1.0], [0.0], [3.0]]) / math.sqrt(3.5)


def test_l8_batch_normalisation(run, exact):
    """gamma (u - mu) / sqrt(sigma + eps) + beta, and its gradients, by the layer."""
    nn = pytest.importorskip("chainrule.nn")
    layer = nn.BatchNorm1d(1, eps=0.5, dtype="float64")
    layer.weight.assign([2.0])
    layer.bias.assign([0.25])
    c = np.array([[1.0], [0.0], [-2.0], [4.0]])

    def gradients(x):
        y = layer(x)
        return y, *cr.grad((y * c).sum(), [x, layer.weight, layer.bias])

    y, dx, dgamma, dbeta = run(gradients, L8_X)
    normalised = np.array([[-2.0], [-1.0], [0.0], [3.0]]) / 2.0  # sqrt(3.5 + 0.5) = 2
    exact(y, 2 * normalised + 0.25)
    exact(dgamma, [5.0])  # -1 * 1 + 1.5 * 4
    exact(dbeta, [3.0])
    # gamma / sqrt(sigma + eps) (g - mean of g - normalised * mean of g * normalised)
    exact(dx, c - 0.75 - normalised * 1.25)


def test_l8_testing_takes_mean_and_variance_of_the_training_data(run, exact):
    """They are exact after `recompute_batch_statistics`, whatever the minibatches were."""
    nn = pytest.importorskip("chainrule.nn")
    layer = nn.BatchNorm1d(1, eps=0, dtype="float64")
    for batch in (L8_X[:2], L8_X[2:]):
        run(layer, batch)
    # The running statistics: 0.9 (0.9 * 0 + 0.1 * 1.5) + 0.1 * 4.5, and with unbiased variances
    # 0.5 and 4.5: 0.9 (0.9 * 1 + 0.1 * 0.5) + 0.1 * 4.5.
    exact(layer.running_mean.numpy(), [0.585])
    exact(layer.running_var.numpy(), [1.305])
    layer.recompute_batch_statistics(L8_X).eval()
    np.testing.assert_allclose(run(layer, L8_X), L8_NORMALISED, rtol=1e-12, atol=0)
    exact(run(layer, [[6.5]]), [[math.sqrt(3.5)]])
    exact(layer.running_var.numpy(), [3.5])


def test_l9_regularised_objective(run, exact):
    """J = L + lambda * Omega(theta), L = sum of squared errors, Omega = 1/2 sum of squares."""
    x, t, rate = np.array([1.0, 2.0]), 3.0, 0.25

    def gradients(w, b):
        loss = (w @ x + b - t) ** 2
        penalty = 0.5 * ((w * w).sum() + b * b)
        return cr.grad(loss + rate * penalty, [w, b])

    # w = (0.5, -1), b = 2: error 0.5 - 2 + 2 - 3 = -2.5; dL/dw = -5 x, dL/db = -5.
    dw, db = run(gradients, [0.5, -1.0], 2.0)
    exact(dw, [-5 + 0.125, -10 - 0.25])
    exact(db, -5 + 0.5)


def test_l10_parameters_and_flops_of_the_784_512_512_10_network():
    nn = pytest.importorskip("chainrule.nn")
    model = nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )
    assert sum(p.size for p in model.parameters()) == 669_706
    # Edges 784 * 512 + 512 * 512 + 512 * 10 = 668,672; one product and one sum each.
    rows = 3
    graph = cr.capture(model, cr.placeholder((rows, 784)))
    products = [n for n in graph.nodes if n.operation is not None and n.operation.name == "matmul"]
    flops = sum(2 * n.size * n.inputs[0].shape[-1] for n in products)
    assert flops == rows * 2 * 668_672
