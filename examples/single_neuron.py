"""One sigmoid neuron: its forward pass, its delta, its gradients, and training by hand.

Run: python examples/single_neuron.py
"""

import numpy as np

import chainrule as cr


def main() -> dict[str, float]:
    w = cr.Parameter([0.5, -0.5], "float64", name="w")
    b = cr.Parameter(0.0, "float64", name="b")
    x, y = cr.tensor([1.0, 2.0], "float64"), 1.0

    z = (w * x).sum() + b  # pre-activation
    a = z.sigmoid()  # activation
    loss = 0.5 * (y - a) ** 2
    loss.backward()
    delta = (a.item() - y) * a.item() * (1 - a.item())  # dL/dz, by the chain rule
    print(f"z = {z.item():.4f}  a = {a.item():.4f}  loss = {loss.item():.4f}")
    print(f"delta by hand  {delta:.6f}: dL/dw = delta x = {delta * x.numpy()}, dL/db = delta")
    gap = abs(delta - b.grad.item())
    print(f"by chainrule   {b.grad.item():.6f}: dL/dw = {w.grad.numpy()}")

    # The neuron learns the logical AND by gradient descent on the cross-entropy.
    inputs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
    targets = np.array([0, 0, 0, 1], np.float64)
    for _ in range(500):
        a = ((inputs * w).sum(axis=1) + b).sigmoid()
        loss = -(targets * a.log() + (1 - targets) * (1.0 - a).log()).mean()
        dw, db = cr.grad(loss, [w, b])
        w.assign(w - 2.0 * dw)
        b.assign(b - 2.0 * db)
    outputs = a.numpy()
    print(f"AND: outputs {outputs.round(3)} for targets {targets}")
    return {"gap": gap, "largest_error": float(np.abs(outputs - targets).max())}


if __name__ == "__main__":
    main()
