"""Worked examples with known answers from courses, books, libraries and blogs."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph.operation import Operation


def test_g1_cs231n_product_of_a_sum(run, exact):
    def graph(x, y, z):
        q = x + y
        f = q * z
        return q, f, *cr.grad(f, [x, y, z])

    for found, expected in zip(run(graph, -2.0, 5.0, -4.0), [3, -12, -4, -4, 3], strict=True):
        exact(found, expected)


def test_g2_cs231n_sigmoid_neuron(run, exact):
    def neuron(w, x):
        dot = w[0] * x[0] + w[1] * x[1] + w[2]
        f = cr.sigmoid(dot)
        return dot, f, *cr.grad(f, [dot, w, x])

    dot, f, ddot, dw, dx = run(neuron, [2.0, -3.0, -3.0], [-1.0, -2.0])
    exact(dot, 1.0)
    exact(f, 0.7310585786300049)
    exact(ddot, 0.19661193324148185)
    exact(dw, [-0.19661193324148185, -0.3932238664829637, 0.19661193324148185])
    exact(dx, [0.3932238664829637, -0.5898357997244456])


# G4: Mazur's 2-2-2 network, sigmoid, lr 0.5. Loss convention: 1/2 sum of squared errors.
MAZUR_W1 = [[0.15, 0.20], [0.25, 0.30]]
MAZUR_W2 = [[0.40, 0.45], [0.50, 0.55]]
MAZUR_DW1 = [
    [0.0004385677344743465, 0.000877135468948693],
    [0.0004977127352608599, 0.0009954254705217198],
]
MAZUR_DW2 = [
    [0.08216704056423077, 0.08266762784753325],
    [-0.02260254047747507, -0.022740242215978222],
]
MAZUR_STEPPED_W1 = [
    [0.1497807161327628, 0.19956143226552567],
    [0.24975114363236958, 0.29950228726473915],
]
MAZUR_STEPPED_W2 = [
    [0.35891647971788465, 0.4086661860762334],
    [0.5113012702387375, 0.5613701211079891],
]


def mazur(i, t, W1, W2, b1, b2):
    net_h = W1 @ i + b1  # one bias is shared by the layer
    out_h = cr.sigmoid(net_h)
    net_o = W2 @ out_h + b2
    out_o = cr.sigmoid(net_o)
    return net_h, out_h, net_o, out_o, 0.5 * (t - out_o) ** 2


MAZUR_INPUTS = [0.05, 0.10], [0.01, 0.99], MAZUR_W1, MAZUR_W2, 0.35, 0.60


def test_g4_mazur_forward(run, exact):
    net_h, out_h, net_o, out_o, errors = run(mazur, *MAZUR_INPUTS)
    exact(net_h, [0.3775, 0.3925])
    exact(out_h, [0.5932699921071872, 0.596884378259767])
    exact(net_o, [1.10590596705977, 1.2249214040964653])
    exact(out_o, [0.7513650695523157, 0.7729284653214625])
    exact(errors, [0.274811083176155, 0.023560025583847746])
    exact(errors.sum(), 0.2983711087600027)


def test_g4_mazur_backward(run, exact):
    def gradients(i, t, W1, W2, b1, b2):
        net_h, out_h, net_o, _, errors = mazur(i, t, W1, W2, b1, b2)
        return cr.grad(errors.sum(), [net_o, out_h, net_h, W1, W2])

    delta_o, dout_h, delta_h, dW1, dW2 = run(gradients, *MAZUR_INPUTS)
    exact(delta_o, [0.13849856162855695, -0.038098236516556236])
    exact(dout_h, [0.03635030639314466, 0.0413703226487447])
    exact(delta_h, [0.00877135468948693, 0.009954254705217196])
    exact(dW1, MAZUR_DW1)
    exact(dW2, MAZUR_DW2)


def test_g4_mazur_training(run, exact):
    """The blog does not update biases. Its 0.291027924 after a step is 0.29102777369359933, its
    "10,000" steps are 9,999."""
    W1, W2 = cr.Parameter(MAZUR_W1, "float64"), cr.Parameter(MAZUR_W2, "float64")
    i, t, _, _, b1, b2 = MAZUR_INPUTS

    def step(i, t, b1, b2):
        error = mazur(i, t, W1, W2, b1, b2)[-1].sum()
        dW1, dW2 = cr.grad(error, [W1, W2])
        W1.assign(W1 - 0.5 * dW1)
        W2.assign(W2 - 0.5 * dW2)
        return error

    exact(run(step, i, t, b1, b2), 0.2983711087600027)
    exact(W1.numpy(), MAZUR_STEPPED_W1)
    exact(W2.numpy(), MAZUR_STEPPED_W2)
    exact(run(step, i, t, b1, b2), 0.29102777369359933)


def mazur_network():
    nn = pytest.importorskip("chainrule.nn")
    linear = [nn.Linear(2, 2, dtype="float64") for _ in range(2)]
    model = nn.Sequential(linear[0], nn.Sigmoid(), linear[1], nn.Sigmoid())
    values = [MAZUR_W1, [0.35, 0.35], MAZUR_W2, [0.60, 0.60]]
    for parameter, value in zip(model.parameters(), values, strict=True):
        parameter.assign(np.array(value))
    return model


def test_g4_mazur_as_a_network(run, exact):
    model = mazur_network()
    weights = [p for p in model.parameters() if p.ndim == 2]

    def step(x, t):
        loss = 0.5 * ((model(x) - t) ** 2).sum()
        grads = cr.grad(loss, weights)
        for weight, gradient in zip(weights, grads, strict=True):
            weight.assign(weight - 0.5 * gradient)
        return loss, *grads

    loss, dW1, dW2 = run(step, [[0.05, 0.10]], [[0.01, 0.99]])
    exact(loss, 0.2983711087600027)
    exact(dW1, MAZUR_DW1)
    exact(dW2, MAZUR_DW2)
    exact(weights[0].numpy(), MAZUR_STEPPED_W1)
    exact(weights[1].numpy(), MAZUR_STEPPED_W2)
    exact(run(step, [[0.05, 0.10]], [[0.01, 0.99]])[0], 0.29102777369359933)


def test_g5_micrograd_readme(run, exact):
    def graph(a, b):
        c = a + b
        d = a * b + b**3
        c += c + 1
        c += 1 + c + (-a)
        d += d * 2 + (b + a).relu()
        d += 3 * d + (b - a).relu()
        e = c - d
        f = e**2
        g = f / 2.0
        g += 10.0 / f
        return g, *cr.grad(g, [a, b])

    g, da, db = run(graph, -4.0, 2.0)
    exact(g, 24.70408163265306)
    exact(da, 138.83381924198252)
    exact(db, 645.5772594752186)


def test_g6_tanh_neuron(run, exact):
    def neuron(x, w, b):
        o = cr.tanh((x * w).sum() + b)
        return o, *cr.grad(o, [x, w, b])

    o, dx, dw, db = run(neuron, [2.0, 0.0], [-3.0, 1.0], 6.8813735870195432)
    exact(o, 0.7071067811865477)
    exact(dx, [-1.5, 0.5])
    exact(dw, [1.0, 0.0])
    exact(db, 0.5)


XOR_X = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]


def test_g10_xor_network(run, exact):
    def network(X, W, c, w, b):
        return cr.relu(X @ W + c) @ w + b

    found = run(network, XOR_X, np.ones((2, 2)), [0.0, -1.0], [1.0, -2.0], 0.0)
    np.testing.assert_array_equal(found, [0, 1, 1, 0])


def test_g10_xor_network_of_layers(run):
    nn = pytest.importorskip("chainrule.nn")
    model = nn.Sequential(
        nn.Linear(2, 2, dtype="float64"), nn.ReLU(), nn.Linear(2, 1, dtype="float64")
    )
    values = [np.ones((2, 2)), np.array([0.0, -1.0]), np.array([[1.0, -2.0]]), np.zeros(1)]
    for parameter, value in zip(model.parameters(), values, strict=True):
        parameter.assign(value)
    output = run(model, XOR_X)
    np.testing.assert_array_equal(output[:, 0], [0, 1, 1, 0])


def test_g10_linear_fit_of_xor_is_one_half(run, exact):
    """Loss convention: sum of squared errors. Its gradient is zero where the fit is 1/2."""
    y = np.array([0.0, 1.0, 1.0, 0.0])

    def gradients(X, w, b):
        prediction = X @ w + b
        return prediction, *cr.grad(((prediction - y) ** 2).sum(), [w, b])

    prediction, dw, db = run(gradients, XOR_X, [0.0, 0.0], 0.5)
    exact(prediction, [0.5, 0.5, 0.5, 0.5])
    np.testing.assert_array_equal(dw, [0, 0])
    np.testing.assert_array_equal(db, 0)


def test_g11_two_paths(run, exact):
    def graph(a, b):
        e = (a + b) * (b + 1)
        return e, *cr.grad(e, [a, b])

    for found, expected in zip(run(graph, 2.0, 1.0), [6, 2, 5], strict=True):
        exact(found, expected)


def test_g12(run, exact):
    def graph(a, b, c):
        J = 3 * (a + b * c)
        return J, *cr.grad(J, [a, b, c])

    for found, expected in zip(run(graph, 5.0, 3.0, 2.0), [33, 3, 6, 9], strict=True):
        exact(found, expected)


def test_g14_vector_with_gradient_of_ones(run, exact):
    def graph(a, b):
        return cr.grad(3 * a**3 - b**2, [a, b], np.ones(2))

    da, db = run(graph, [2.0, 3.0], [6.0, 4.0])
    exact(da, [36, 81])
    exact(db, [-12, -8])


def test_g14_three_derivatives_of_tanh(run, exact):
    def derivatives(x):
        first = cr.grad(cr.tanh(x), x)
        second = cr.grad(first, x)
        return first, second, cr.grad(second, x)

    expected = [0.07065082485316443, -0.13621868742711296, 0.25265406509806265]
    for found, value in zip(run(derivatives, 2.0), expected, strict=True):
        exact(found, value)


def test_g17_diamond(run, exact, monkeypatch):
    """2^60 paths, but each of the 120 edges is visited once."""
    edges = []
    bprop = Operation.bprop

    def counted(self, node, index, grad_output):
        edges.append((node, index))
        return bprop(self, node, index, grad_output)

    monkeypatch.setattr(Operation, "bprop", counted)

    def graph(x):
        y = x
        for _ in range(60):
            y = y + y
        assert sum(len(to_consumers) for to_consumers in cr.graph.prune(y, [x]).values()) == 120
        return cr.grad(y, x)

    found = run(graph, 1.0)
    assert int(found) == 2**60 == 1152921504606846976
    assert len(edges) == len(set(edges)) == 120


def test_softmax_of_ten_zeros(run, exact):
    """Loss convention: natural logarithm, one row."""
    loss = run(lambda z: cr.softmax_cross_entropy(z, [3]), np.zeros((1, 10)))
    exact(loss, [2.302585092994046])
    exact(loss, [math.log(10)])


def test_softmax_of_three_scores(run, exact):
    """A well-known figure prints 0.452 for this loss, which is its log10; the loss is natural."""
    scores = [[-2.85, 0.86, 0.28]]
    fused = run(lambda z: cr.softmax_cross_entropy(z, [2]), scores)
    exact(fused, [1.0401905694301081])
    exact(run(lambda z: -cr.log(cr.softmax(z))[:, 2], scores), [1.0401905694301081])
    assert round(float(fused[0]) / math.log(10), 3) == 0.452
