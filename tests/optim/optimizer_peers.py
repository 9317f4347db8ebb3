"""Optimisers that PyTorch lacks or has in bfloat16 only, by other formulas than the library's."""

import numpy as np

COEFFICIENTS = (3.4445, -4.775, 2.0315)


def lion(torch):
    """Chen et al. (2023), algorithm 2, which PyTorch lacks."""

    class Lion(torch.optim.Optimizer):
        def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
            super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                eta, decay, (beta1, beta2) = group["lr"], group["weight_decay"], group["betas"]
                for w in group["params"]:
                    if w.grad is None:
                        continue
                    m = self.state[w].get("m", torch.zeros_like(w))
                    w -= eta * (torch.sign(beta1 * m + (1 - beta1) * w.grad) + decay * w)
                    self.state[w]["m"] = beta2 * m + (1 - beta2) * w.grad

    return Lion


def orthogonal(U, coefficients=COEFFICIENTS, steps=5, eps=1e-7):
    """Each iteration maps every singular value s to a s + b s^3 + c s^5."""
    P, s, Q = np.linalg.svd(U, full_matrices=False)
    s = s / max(np.sqrt((s * s).sum()), eps)
    a, b, c = coefficients
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return P @ np.diag(s) @ Q
