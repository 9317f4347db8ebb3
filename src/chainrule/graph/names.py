"""Names of other libraries, and what is written here in their place."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from opcode import opmap
from types import FrameType, MappingProxyType
from typing import Any, NoReturn

from chainrule.graph.names_in_place import in_place
from chainrule.graph.names_of_keras import KERAS
from chainrule.graph.names_of_layers import FAMILIES, LAYERS

OURS = {
    # PyTorch: shape
    "view": "x.reshape(...)",
    "view_as": "x.reshape(other.shape)",
    "reshape_as": "x.reshape(other.shape)",
    "resize_as": "x.reshape(other.shape)",
    "unsqueeze": "cr.expand_dims(x, axis)",
    "permute": "x.transpose(...)",
    "t": "x.T",
    "movedim": "x.moveaxis(source, destination)",
    "swapdims": "x.swapaxes(axis1, axis2)",
    "adjoint": "x.mT",
    "H": "x.T",
    "mH": "x.mT",
    "dim": "x.ndim",
    "ndimension": "x.ndim",
    "numel": "x.size, a number",
    "nelement": "x.size, a number",
    "pinverse": "cr.linalg.pinv(x)",
    "rank": "x.ndim; the rank of a matrix is np.linalg.matrix_rank(x.numpy())",
    "expand": "x.broadcast_to(shape), with the length of each axis in place of -1",
    "expand_as": "x.broadcast_to(other.shape)",
    "cat": "cr.concatenate(tensors, axis)",
    "hcat": "cr.hstack(tensors)",
    "row_stack": "cr.vstack(tensors)",
    "chunk": "cr.split(x, range(size, n, size), axis), for n along the axis and size = "
    "-(-n // chunks)",
    "tensor_split": "cr.array_split(x, indices_or_sections, axis)",
    "split": "cr.split(x, indices_or_sections, axis), where a number is that of the parts",
    "hsplit": "cr.hsplit(x, indices_or_sections)",
    "vsplit": "cr.vsplit(x, indices_or_sections)",
    "dsplit": "cr.dsplit(x, indices_or_sections)",
    "narrow": "x[start : start + length], with a slice for each axis",
    "select": "x.take(index, axis)",
    "unbind": "x.unstack(axis)",
    "unflatten": "x.reshape(...)",
    "repeat_interleave": "x.repeat(repeats, axis)",
    "diag_embed": "cr.where(cr.eye(x.shape[-1], dtype='bool'), x[..., None], 0)",
    "diagflat": "cr.diag(x.ravel())",
    "stride": "x.numpy().strides",
    "strides": "x.numpy().strides",
    "storage": "x.numpy()",
    "contiguous": "x itself: its memory is in order where that matters",
    # PyTorch: dtype, device, memory
    "float": "x.astype('float32'); as a dtype cr.float32",
    "double": "x.astype('float64'); as a dtype cr.float64",
    "half": "x.astype('float16'), for arithmetic; layers compute in float32 or float64",
    "bfloat16": "x.astype('float32'): layers compute in float32 or float64",
    "float16": "x.astype('float16'), for arithmetic; layers compute in float32 or float64",
    "long": "x.astype('int64'); as a dtype cr.int64",
    "int": "x.astype('int32'); as a dtype cr.int32",
    "short": "x.astype('int16'); as a dtype cr.int16",
    "char": "x.astype('int8'); as a dtype cr.int8",
    "byte": "x.astype('uint8'); as a dtype cr.uint8",
    "bool": "x.astype('bool'); as a dtype cr.bool_",
    "type": "x.dtype, or x.astype(dtype)",
    "type_as": "x.astype(other.dtype)",
    "cast": "x.astype(dtype)",
    "to": "x.to(dtype), a method",
    "cpu": "x.cpu(), a method, which does nothing: there is one device, the CPU",
    "is_cuda": "False: there is one device, the CPU",
    "get_device": "-1, PyTorch's number of the CPU: there is one device",
    "pin_memory": "x itself: there is one device, the CPU",
    "share_memory_": "nothing: threads share memory",
    "element_size": "x.dtype.itemsize",
    "itemsize": "x.dtype.itemsize",
    "nbytes": "x.size * x.dtype.itemsize",
    "is_floating_point": "x.dtype.kind == 'f'",
    "is_complex": "False: there are no complex numbers here",
    "real": "x: there are no complex numbers here",
    "imag": "cr.zeros_like(x): there are no complex numbers here",
    "conj": "x: there are no complex numbers here",
    "new": "cr.zeros(shape, x.dtype), or cr.tensor(data, x.dtype)",
    "new_tensor": "cr.tensor(data, x.dtype)",
    "new_zeros": "cr.zeros(shape, x.dtype)",
    "new_ones": "cr.ones(shape, x.dtype)",
    "new_full": "cr.full(shape, value, x.dtype)",
    "new_empty": "cr.empty(shape, x.dtype)",
    "from_numpy": "cr.tensor(array), or cr.as_tensor(array), which shares its memory",
    "as_array": "x.numpy()",
    "to_numpy": "x.numpy()",
    "frombuffer": "cr.as_tensor(np.frombuffer(...))",
    # PyTorch: gradients
    "retain_grad": "cr.grad(loss, x): it takes any Tensor",
    "detach_": "x.detach()",
    "grad_fn": "x.operation",
    "register_hook": "cr.grad(loss, x), which gives the gradient itself",
    "enable_grad": "no cr.no_grad() around it",
    "set_grad_enabled": "with cr.no_grad():",
    "inference_mode": "with cr.no_grad():",
    "is_grad_enabled": "nothing: gradients are off inside cr.no_grad() only",
    "autograd": "cr.grad, whose result for one Tensor is no tuple: without [0]; cr.jacobian, "
    "cr.hessian, cr.vjp, cr.jvp; for autograd.Function, a NumPy function with a gradient of your "
    "own, it is cr.custom_operation; the straight-through formula is "
    "cr.stop_gradient(cr.sign(x)) + (x - cr.stop_gradient(x))",
    "randperm": "cr.permutation(n)",
    "range": "cr.arange(start, end + step, step)",
    "distributions": "cr.rand, cr.randn, cr.bernoulli for numbers; of logits x, Categorical's "
    "sample is (x - cr.log(-cr.log(cr.rand_like(x)))).argmax(-1), log_prob cr.log_softmax(x), "
    "entropy -(p * log_p).sum(-1); of Normal log_prob is "
    "-((v - m) / s)**2 / 2 - cr.log(s * (2 * cr.pi)**0.5)",
    "get_default_dtype": "np.float32",
    "volatile": "with cr.no_grad():",
    "func": "cr.grad, cr.jacobian, cr.hessian, cr.vjp, cr.jvp; cr.nn.utils.functional_call",
    "functional_call": "cr.nn.utils.functional_call",
    # PyTorch: arithmetic that is an operator here
    "sub": "x - y",
    "mul": "x * y",
    "div": "x / y",
    "neg": "-x",
    "eq": "x == y",
    "ne": "x != y",
    "lt": "x < y",
    "le": "x <= y",
    "gt": "x > y",
    "ge": "x >= y",
    "addcmul": "x + value * a * b",
    "addcdiv": "x + value * a / b",
    "lerp": "x + weight * (y - x)",
    "clamp": "cr.clip(x, min, max)",
    "clamp_min": "cr.maximum(x, min)",
    "clamp_max": "cr.minimum(x, max)",
    "logit": "cr.log(x / (1 - x))",
    "frac": "x - cr.trunc(x)",
    "sgn": "cr.sign(x)",
    "threshold": "cr.where(x > threshold, x, value)",
    # PyTorch: products
    "ger": "cr.outer(x, y)",
    "addr": "x + cr.outer(a, b)",
    "addbmm": "x + (a @ b).sum(0)",
    "chain_matmul": "cr.linalg.multi_dot(tensors)",
    "matrix_rank": "np.linalg.matrix_rank(x.numpy())",
    "inverse": "cr.linalg.inv(x)",
    "inv": "cr.linalg.inv(x)",
    "det": "cr.linalg.det(x)",
    "logdet": "cr.log(cr.linalg.det(x)), or cr.linalg.slogdet(x).logabsdet where it is above 0",
    "slogdet": "cr.linalg.slogdet(x)",
    "cholesky": "cr.linalg.cholesky(x)",
    "matrix_power": "cr.linalg.matrix_power(x, n)",
    "norm": "cr.linalg.vector_norm(x, ord, axis), of all elements without an axis",
    "dist": "cr.linalg.vector_norm(x - y, ord)",
    "cdist": "cr.linalg.vector_norm(x[..., :, None, :] - y[..., None, :, :], ord, -1)",
    "pdist": "cr.linalg.vector_norm(x[i] - x[j], ord, -1) with i, j = np.triu_indices(len(x), 1)",
    # PyTorch: elements at indices, order
    "masked_fill": "cr.where(mask, value, x)",
    "where": "cr.where(condition, x, y)",
    "masked_select": "x[mask]",
    "gather": "cr.take_along_axis(x, indices, axis)",
    "take_along_dim": "cr.take_along_axis(x, indices, axis)",
    "gather_nd": "x[rows, columns], an index Tensor for each axis",
    "scatter": "cr.put_along_axis(x, indices, values, axis), which returns a new Tensor",
    "scatter_add": "cr.add_along_axis(x, indices, values, axis), which returns a new Tensor",
    "scatter_reduce": "cr.add_along_axis(x, indices, values, axis), for sums",
    "index_select": "x.take(indices, axis)",
    "index_add": "cr.add_along_axis(x, indices[:, None], rows, 0), which returns a new matrix",
    "index_put": "cr.put(x, places, values), with places in the raveled x; of a matrix "
    "cr.put_along_axis(x, indices[:, None], rows, 0); both return a new Tensor",
    "index_fill": "cr.put_along_axis(x, indices[:, None], value, 0), which returns a new matrix",
    "index_copy": "cr.put_along_axis(x, indices[:, None], rows, 0), which returns a new matrix",
    "choose": "cr.take_along_axis(cr.stack(choices), x[None], 0)[0], for indices x",
    "compress": "x[mask]",
    "extract": "x[mask]",
    "put": "cr.put(x, indices, values), which returns a new Tensor",
    "sort": "cr.sort(x, axis) for the elements, x.argsort(axis) for the indices",
    "msort": "cr.sort(x, 0)",
    "partition": "cr.sort(x, axis)",
    "argpartition": "x.argsort(axis)",
    "kthvalue": "cr.sort(x, axis)[..., k - 1]",
    "top_k": "x.topk(k)",
    "bucketize": "cr.searchsorted(boundaries, x)",
    "digitize": "cr.searchsorted(bins, x, right=True), for bins that rise",
    "aminmax": "x.min(axis), x.max(axis)",
    "var_mean": "x.var(axis, correction=1), x.mean(axis)",
    "std_mean": "x.std(axis, correction=1), x.mean(axis)",
    "fill_diagonal_": "cr.where(mask, value, x)",
    # In place
    "fill": "cr.full_like(x, value)",
    "resize": "x.reshape(...)",
    "setflags": "nothing: no one writes into a Tensor",
    # NumPy
    "base": "x.numpy().base",
    "flags": "x.numpy().flags",
    "ctypes": "x.numpy().ctypes",
    "flat": "x.ravel()",
    "tobytes": "x.numpy().tobytes()",
    "tofile": "x.numpy().tofile(file)",
    "dump": "pickle.dump(x, file)",
    "array": "cr.tensor(data)",
    "array_repr": "repr(x)",
    "ndarray": "cr.Tensor",
    "dtype": "x.dtype; a dtype is np.dtype, or its name",
    "errstate": "np.errstate",
    "set_printoptions": "np.set_printoptions, and print(x.numpy())",
    "geomspace": "start * (stop / start) ** cr.linspace(0, 1, num)",
    "logspace": "10.0 ** cr.linspace(start, stop, num)",
    "fill_diagonal": "cr.where(cr.eye(n, dtype='bool'), v, x), which returns a new Tensor",
    "finfo": "np.finfo(x.dtype)",
    "iinfo": "np.iinfo(x.dtype)",
    "result_type": "np.result_type(x.dtype, y.dtype)",
    "promote_types": "np.promote_types(x.dtype, y.dtype)",
    "can_cast": "np.can_cast(x.dtype, dtype)",
    "isdtype": "np.isdtype(x.dtype, kind)",
    "issubdtype": "np.issubdtype(x.dtype, kind)",
    "unique_values": "cr.unique(x)",
    "unique_counts": "cr.unique(x, return_counts=True)",
    "unique_inverse": "cr.unique(x, return_inverse=True)",
    "unique_all": "cr.unique(x, return_index=True, return_inverse=True, return_counts=True)",
    "cumulative_sum": "cr.cumsum(x, axis)",
    "cumulative_prod": "cr.cumprod(x, axis)",
    "testing": "import chainrule.testing",
    # PyTorch and Keras: what has another home
    "is_tensor": "isinstance(x, cr.Tensor)",
    "manual_seed_all": "cr.manual_seed(seed)",
    "seed": "cr.manual_seed(seed)",
    "random": "cr.rand, cr.randn, cr.randint; cr.manual_seed(seed)",
    "set_random_seed": "cr.manual_seed(seed)",
    "jit": "cr.compile",
    "script": "cr.compile",
    "vmap": "a batch as the first axis: every operation takes stacks",
    "pmap": "a batch as the first axis: every operation takes stacks",
    "FloatTensor": "cr.tensor(data, 'float32')",
    "DoubleTensor": "cr.tensor(data, 'float64')",
    "LongTensor": "cr.tensor(data, 'int64')",
    "IntTensor": "cr.tensor(data, 'int32')",
    "ShortTensor": "cr.tensor(data, 'int16')",
    "CharTensor": "cr.tensor(data, 'int8')",
    "ByteTensor": "cr.tensor(data, 'uint8')",
    "BoolTensor": "cr.tensor(data, 'bool')",
    "utils": "cr.nn.utils and cr.data",
    "functional": "cr.nn.functional",
    "constant": "cr.tensor(data)",
    "Variable": "cr.Parameter(data)",
    "convert_to_tensor": "cr.tensor(data)",
    "GradientTape": "cr.grad(loss, [x, ...])",
    "reduce_sum": "x.sum(axis)",
    "reduce_mean": "x.mean(axis)",
    "reduce_max": "x.max(axis)",
    "reduce_min": "x.min(axis)",
    "reduce_prod": "cr.prod(x, axis)",
    "reduce_std": "x.std(axis)",
    "reduce_variance": "x.var(axis)",
    "reduce_logsumexp": "x.logsumexp(axis)",
    "boolean_mask": "x[mask]",
    "clip_by_value": "cr.clip(x, min, max)",
    "layers": "cr.nn",
    "losses": "cr.nn",
    "optimizers": "cr.optim",
    "callbacks": "cr.Callback, cr.EarlyStopping",
    "metrics": "cr.Metric",
    "models": "cr.nn.Sequential, cr.nn.Module",
    "Model": "cr.nn.Module",
    "keras": "cr.nn, cr.optim, cr.Trainer",
    "jacrev": "cr.jacobian",
    "jacfwd": "cr.jacobian",
    "block_until_ready": "nothing: a value is there when the function returns",
    # PyTorch: what has another shape here, or none with a gradient
    "split_with_sizes": "cr.split(x, indices, axis), at the places of the cuts",
    "sum_to_size": "x.sum(axis, keepdims=True)",
    "select_scatter": "cr.where(mask, v, x), or cr.put_along_axis",
    "slice_scatter": "cr.where(mask, v, x), or cr.concatenate",
    "diagonal_scatter": "cr.where(cr.eye(n, dtype='bool'), v, x)",
    "index_reduce": "cr.custom_operation of np.maximum.at or its kin, with its derivative",
    "narrow_copy": "x[start : start + length]",
    "is_nonzero": "bool(x)",
    "is_same_size": "x.shape == y.shape",
    "is_signed": "x.dtype.kind in 'if'",
    "is_cpu": "True: there is one device, the CPU",
    "is_sparse": "False: there are no sparse Tensors here",
    "to_dense": "x: there are no sparse Tensors here",
    "layout": "nothing: there are no sparse Tensors here",
    "data_ptr": "x.numpy().ctypes.data",
    "untyped_storage": "x.numpy()",
    "values": "x.numpy(); of x.max(axis) and cr.sort(x, axis) the result itself",
    "indices": "x.argmax(axis); of a shape cr.meshgrid(*map(cr.arange, shape), indexing='ij')",
    "retains_grad": "cr.grad(loss, x): it takes any Tensor",
    "register_post_accumulate_grad_hook": "x.grad, read after backward()",
    "isposinf": "x == cr.inf",
    "isneginf": "x == -cr.inf",
    "xlogy": "x * cr.log(cr.where(x == 0, 1.0, y))",
    "logaddexp2": "cr.logaddexp(x * ln2, y * ln2) / ln2",
    "prelu": "cr.nn.functional.prelu",
    "hardshrink": "cr.nn.functional.hardshrink",
    "cholesky_inverse": "cr.linalg.inv(x @ x.mT)",
    "symeig": "cr.linalg.eigh",
    "matrix_exp": "scipy.linalg.expm(x.numpy()), without a gradient",
    "svd": "np.linalg.svd(x.numpy()), without a gradient",
    "qr": "np.linalg.qr(x.numpy()), without a gradient",
    "lstsq": "np.linalg.lstsq(x.numpy(), b), without a gradient; with one cr.linalg.pinv(x) @ b",
    "cummax": "np.maximum.accumulate(x.numpy(), axis), without a gradient",
    "cummin": "np.minimum.accumulate(x.numpy(), axis), without a gradient",
    "median": "np.median(x.numpy(), axis), without a gradient",
    "nanmedian": "np.nanmedian(x.numpy(), axis), without a gradient",
    "quantile": "np.quantile(x.numpy(), q, axis), without a gradient",
    "nanquantile": "np.nanquantile(x.numpy(), q, axis), without a gradient",
    "mode": "cr.unique(x, return_counts=True)",
    "unique_consecutive": "x[1:][x[1:] != x[:-1]], after the first element",
    "bincount": "np.bincount(x.numpy())",
    "histc": "np.histogram(x.numpy(), bins)",
    "cov": "np.cov(x.numpy()), without a gradient",
    "corrcoef": "np.corrcoef(x.numpy()), without a gradient",
    "poisson": "np.random.default_rng(seed).poisson(x.numpy()), without a gradient",
    "logcumsumexp": "cr.logsumexp(cr.where(cr.tri(n) > 0, x[..., None, :], -cr.inf), -1), for n of "
    "the last axis",
    "block_diag": "cr.vstack of cr.pad(x, ((0, 0), (before, after))), by columns before and after",
    "combinations": "cr.stack([x[i], x[j]], -1) with i, j = np.triu_indices(len(x), 1)",
    "trapz": "cr.trapezoid",
    "renorm": "x * cr.minimum(1, maxnorm / cr.linalg.vector_norm(x, p, axes, keepdims=True))",
    "unfold": "x.take(np.arange(0, n - size + 1, step)[:, None] + np.arange(size), axis)"
    ".moveaxis(axis + 1, -1), for n along the axis, which counts from 0; of images "
    "cr.nn.functional.unfold",
    "multinomial": "(x / -cr.log(cr.rand_like(x))).argmax(-1, keepdims=True), one of each row; n "
    "of each without replacement are topk(n).indices in place of the argmax",
    "tril_indices": "np.tril_indices(rows, offset, columns), a pair of arrays",
    "triu_indices": "np.triu_indices(rows, offset, columns), a pair of arrays",
    "cartesian_prod": "cr.meshgrid(x, y, indexing='ij'), each raveled, and cr.stack(..., -1)",
    "get_rng_state": "cr.default_generator.state.numpy()",
    "set_rng_state": "cr.default_generator.state.assign(state)",
    "fft": "np.fft of x.numpy(), without a gradient",
    "special": "cr itself: cr.erf, cr.log1p, cr.logsumexp",
    "sparse": "nothing: there are no sparse Tensors here",
    "randint_like": "cr.randint(low, high, x.shape)",
    "scalar_tensor": "cr.tensor(value)",
    "broadcast_tensors": "cr.broadcast_arrays(x, y)",
    "Size": "tuple: x.shape is one",
    "initial_seed": "the number that cr.manual_seed was given",
    "profiler": "trainer.fit(profile=True), then trainer.describe_plan()",
}
"""What of PyTorch, TensorFlow, Keras, JAX or NumPy has another name here: what to write for it. `x`
is a Tensor and `cr` stands for `chainrule`."""

_SHARED = {
    "nothing: there is one device, the CPU; write device = 'cpu'": "accelerator backends cuda "
    "device device_put mps set_default_device to_device xpu",
    "x, which keeps its value; of a Parameter or Buffer its value now is x.detach()": "clone copy",
    "cr.where(mask, values, x), which returns a new Tensor": "copyto putmask",
    "cr.put(x, cr.flatnonzero(mask), values[:count]), for count = mask.sum().item()": "place "
    "masked_scatter",
    "x.astype('float64'), the widest of floats here": "float128 longdouble",
    "a pair of real Tensors: there are no complex numbers here": "complex64 complex128 "
    "polar view_as_complex view_as_real",
    "cr.linalg.solve": "solve lu_solve",
    "cr.linalg.solve(L @ L.mT, b)": "cholesky_solve",
    "cr.linalg.solve_triangular": "solve_triangular triangular_solve",
    "cr.custom_operation of scipy.special's function, with its derivative in the rule": "betaln "
    "digamma erfcx erfinv gammainc gammaincc gammaln igamma igammac i0e i1 i1e lgamma log_ndtr "
    "mvlgamma ndtri polygamma psi zeta",
    "nothing: there are no sparse Tensors here; entries v at (i, j) times x are "
    "cr.add_along_axis(cr.zeros(shape), i[:, None], v[:, None] * x[j], 0)": "sparse_coo_tensor "
    "sparse_csc_tensor sparse_csr_tensor to_sparse to_sparse_coo to_sparse_csr",
    "nothing: one process trains, on all CPUs that it may use": "distributed multiprocessing",
    "nothing: one seed gives the same bits on every run": "are_deterministic_algorithms_enabled "
    "use_deterministic_algorithms",
    "nothing: give model.state_dict() to the same model in PyTorch, and export that": "export onnx",
    "nothing: float32 is multiplied as it is": "get_float32_matmul_precision "
    "set_float32_matmul_precision",
    "nothing: memory is in order where that matters": "channels_last contiguous_format "
    "is_contiguous memory_format preserve_format",
    "dtype='float64' where a Tensor or a layer is made": "set_default_dtype "
    "set_default_tensor_type",
    "x @ y": "dsmm hspmm mm bmm mv smm spmm",
    "nothing: layers compute in float32 or float64": "amp autocast GradScaler",
    "scipy.linalg.lu of x.numpy(), without a gradient": "lu lu_unpack",
    "cr.custom_operation, with differentiable": "custom_function custom_gradient custom_jvp "
    "custom_vjp numpy_function pure_callback py_function",
    "x + a @ b": "addmm addmv baddbmm",
}
OURS |= {name: ours for ours, names in _SHARED.items() for name in names.split()}
OURS |= in_place(OURS)

OTHERS = KERAS | LAYERS | {"pdist": OURS["pdist"]}
"""What to write for the layers, losses and optimisers of PyTorch and Keras that have another name
here."""


def no_attribute(kind: type, name: str, ours: str | None) -> AttributeError:
    """The error of an attribute that a class has not; `ours` is what to write for it, if known."""
    message = f"{kind.__name__!r} object has no attribute {name!r}"
    return AttributeError(message if ours is None else f"{message}; here it is {ours}")


class ForeignName:
    """An attribute that a Tensor does not have: reading it raises, and says what it is here.

    A `__getattr__` would do the same, but makes every access to an attribute three times as slow.
    """

    __slots__ = ("name", "ours")

    def __init__(self, name: str, ours: str) -> None:
        self.name = name
        self.ours = ours

    def _refuse(self, kind: type) -> NoReturn:
        raise no_attribute(kind, self.name, self.ours)

    def __get__(self, tensor: Any, kind: type) -> NoReturn:
        self._refuse(kind)

    def __set__(self, tensor: Any, value: Any) -> NoReturn:
        self._refuse(type(tensor))


class ForeignNames:
    """The last base of a Tensor: each foreign name that no other class of it has."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        """The attributes that a Tensor has; not the names that only say what they are here."""
        kind = type(self)
        return [n for n in object.__dir__(self) if not isinstance(_raw(kind, n), ForeignName)]


def _raw(kind: type, name: str) -> Any:
    """What a class or its bases define under a name, unread."""
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def refer(names: Mapping[str, str]) -> None:
    """Let each of the names say on a Tensor, where nothing has it, what is written in its place."""
    for name, ours in names.items():
        if name not in vars(ForeignNames):
            setattr(ForeignNames, name, ForeignName(name, ours))


refer(OURS)


def absent(
    module: str, names: Mapping[str, Any], elsewhere: Mapping[str, str] = MappingProxyType({})
) -> Callable[[str], NoReturn]:
    """A module's `__getattr__`, which says of a name that is not there what it may be.

    Args:
        module: as a user calls it, as "nn".
        names: what is there.
        elsewhere: other names, with what stands for them.
    """

    def refuse(name: str) -> NoReturn:
        message = f"module 'chainrule.{module}' has no attribute {name!r}"
        if name.startswith("_"):
            raise AttributeError(message)
        kind = ImportError if is_import(sys._getframe(1)) else AttributeError
        if name in OTHERS:
            raise kind(f"{message}; here it is {OTHERS[name]}")
        family = next((f for f in FAMILIES if re.match(f, name, re.IGNORECASE)), None)
        if name in elsewhere:
            message += f"; it is {elsewhere[name]}"
        else:
            if family is not None:
                message += f"; {FAMILIES[family]}"
            by_case = {n.lower(): n for n in (*elsewhere, *names) if not n.startswith("_")}
            found = by_case.get(name.lower()) or nearest(name, (*names, *elsewhere))
            if found:
                message += f"; did you mean {elsewhere.get(found, f'{module}.{found}')}?"
        raise kind(message)

    return refuse


def is_import(frame: FrameType) -> bool:
    """Whether a frame's code is at ``from module import name``, which hides an AttributeError."""
    code, at = frame.f_code.co_code, frame.f_lasti
    return 0 <= at < len(code) and code[at] == opmap["IMPORT_FROM"]


def refuse_import(module: str) -> NoReturn:
    """Raise ModuleNotFoundError, with what stands for PyTorch's module of this name."""
    ours = OURS[module.rpartition(".")[2]]
    raise ModuleNotFoundError(f"No module named {module!r}; here it is {ours}", name=module)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name most like the given one, if one is like it at all."""
    from difflib import get_close_matches  # only where a name is wrong

    found = get_close_matches(name, [n for n in names if not n.startswith("_")], 1, 0.75)
    return found[0] if found else None
