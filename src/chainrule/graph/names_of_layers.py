"""Names of PyTorch's layers, losses and optimisers that are not here."""

LAYERS = {
    # nn
    "RNNBase": "nn.RNN, nn.LSTM or nn.GRU; (nn.RNN, nn.LSTM, nn.GRU) where it tests a class",
    "RNNCellBase": "nn.RNNCell, nn.LSTMCell or nn.GRUCell",
    "CTCLoss": "nothing: every loss here has a target for each output",
    "ctc_loss": "nothing: every loss here has a target for each output",
    "AdaptiveLogSoftmaxWithLoss": "nn.CrossEntropyLoss over all classes; of words text.Word2Vec "
    "with text.NegativeSampling",
    "modules": "nn itself: nn.Linear, nn.BatchNorm1d; the base is nn.Module",
    "UninitializedParameter": "nn.Parameter: layers are made with their lengths",
    "LazyLinear": "nn.Linear(in_features, out_features): layers are made with their lengths",
    "LazyBatchNorm1d": "nn.BatchNorm1d(num_features): layers are made with their lengths",
    "LazyBatchNorm2d": "nn.BatchNorm2d(num_features): layers are made with their lengths",
    "SyncBatchNorm": "nn.BatchNorm1d or nn.BatchNorm2d: one process trains, on all CPUs",
    "gumbel_softmax": "nn.functional.softmax((logits - cr.log(-cr.log(cr.rand_like(logits)))) "
    "/ tau, dim=-1), called y; with hard=True y + cr.stop_gradient(nn.functional.one_hot("
    "y.argmax(-1), y.shape[-1]) - y)",
    "multi_head_attention_forward": "nn.MultiheadAttention",
    "upsample": "nn.functional.interpolate",
    "upsample_bilinear": "nn.functional.interpolate(x, mode='bilinear', align_corners=True)",
    # nn.utils
    "orthogonal": "nn.init.orthogonal_, at the start of a training",
    "parametrize": "nn.utils.weight_norm, nn.utils.spectral_norm; or a formula in forward",
    "prune": "a mask in forward, weight * mask with mask an nn.Buffer",
    "fuse_conv_bn_eval": "nothing: the model in evaluation, as it is",
    "fuse_linear_bn_eval": "nothing: the model in evaluation, as it is",
    "stateless": "nn.utils.functional_call",
    "clip_grad_norm": "nn.utils.clip_grad_norm_",
    "checkpoint": "the call itself, f(x): nothing is computed twice to save memory",
    # optim
    "LRScheduler": "optim.lr_scheduler.Schedule",
    "swa_utils": "optim.EMA; nn.recompute_batch_statistics for update_bn",
    "AveragedModel": "optim.EMA",
    "update_bn": "nn.recompute_batch_statistics",
    "SWALR": "optim.lr_scheduler.LinearLR or CosineAnnealingLR, then ConstantLR in a SequentialLR",
}
"""Names of PyTorch's layers, losses and optimisers: what to write for them."""


_DENSE = (
    "this library's layers are those of dense, convolutional and recurrent networks, and of "
    "transformers: "
)
FAMILIES = {
    r"(lazy_?)?conv": _DENSE
    + "nn.Conv1d, nn.Conv2d and their transposed forms, with their channels "
    "given",
    r"((adaptive_?)?(max|avg|lp|fractional_?max)_?(un)?pool)": _DENSE
    + "its pooling takes the maximum or the mean, in 1-d and 2-d",
    r"((data_?)?parallel|distributed)": "one process trains, on all CPUs that it may use",
    r".*3d$": "sequences and images, of one and two axes, have layers here, volumes have none",
}
"""PyTorch's names of what is not here, as patterns, with what is said of them."""
