"""Matrix products inside kernels, of a part of a matrix where it lies."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INT, _SIZE, _BYTE = ir.IntType(32), ir.IntType(64), ir.IntType(8)
_ANY = _BYTE.as_pointer()


@intrinsic
def multiply(typing_context, x, row, col, rows, weights, out):
    """out[:rows] = x[row : row + rows, col : col + k] @ weights, all C-contiguous float32, or float64; weights (k, n).

    numba's own `dot` would copy the part of x first. The BLAS is scipy's, as numba's is.
    """
    del typing_context
    return types.void(x, row, col, rows, weights, out), _product(transposed=False)


@intrinsic
def multiply_transposed(typing_context, x, row, col, rows, weights, out):
    """out[:rows] = x[row : row + k, col : col + rows]^T @ weights, otherwise as multiply."""
    del typing_context
    return types.void(x, row, col, rows, weights, out), _product(transposed=True)


def _product(*, transposed):
    """The code of a product, of a part of x or of its transpose."""
    import scipy.linalg.cython_blas  # noqa: F401  # whose functions numba's helper finds by its name

    def generate(context, builder, signature, args):
        x_t, _, _, _, weights_t, out_t = signature.args
        number = context.get_data_type(x_t.dtype)
        made = [
            context.make_array(t)(context, builder, a)
            for t, a in ((x_t, args[0]), (weights_t, args[4]), (out_t, args[5]))
        ]
        of_x, of_weights, of_out = made
        stride = builder.extract_value(of_x.shape, 1)
        inner, columns = (builder.extract_value(of_weights.shape, axis) for axis in (0, 1))
        start = builder.gep(of_x.data, [builder.add(builder.mul(args[1], stride), args[2])])
        one, zero = (cgutils.alloca_once_value(builder, ir.Constant(number, value)) for value in (1.0, 0.0))
        kind = ir.Constant(_BYTE, ord("s" if x_t.dtype == types.float32 else "d"))
        plain, turned = ir.Constant(_BYTE, ord("n")), ir.Constant(_BYTE, ord("t" if transposed else "n"))
        parameters = [_BYTE, _BYTE, _BYTE, _SIZE, _SIZE, _SIZE, _ANY, _ANY, _SIZE, _ANY, _SIZE, _ANY, _ANY, _SIZE]
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_INT, parameters), "numba_xxgemm")

        def pointer(value):
            return builder.bitcast(value, _ANY)

        # BLAS counts by columns, where each of these is its own transpose: out' = weights' x'
        builder.call(
            function,
            [
                kind, plain, turned, columns, args[3], inner, pointer(one), pointer(of_weights.data), columns,
                pointer(start), stride, pointer(zero), pointer(of_out.data), columns,
            ],
        )  # fmt: skip
        return context.get_dummy_value()

    return generate
