"""Vector instructions that compiled loops do not reach by themselves, written as LLVM vectors of 64 bytes.

LLVM cuts such a vector into whatever the machine has; the results are the same everywhere.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANE_BYTES = 64
ROWS_A_SUM = 16  # table rows that one call of set_sum or add_sum adds up
WORDS_A_BLOCK = 64  # random words that one call of philox_block makes

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, lanes: int) -> Any:
    """The address of array[index], as that of a vector of `lanes` elements."""
    data = context.make_array(array_type)(context, builder, array).data
    element = context.get_data_type(array_type.dtype)
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(element, lanes).as_pointer())


def _lanes(array_type: Any) -> int:
    return int(LANE_BYTES * 8 // array_type.dtype.bitwidth)


def _sum_rows(accumulate: bool) -> Any:
    @intrinsic
    def sum_rows(typing_context, table, rows, at, out, out_at):
        del typing_context
        signature = types.void(table, rows, at, out, out_at)

        def generate(context, builder, signature, args):
            table_t, rows_t, _, out_t, _ = signature.args
            lanes, align = _lanes(table_t), table_t.dtype.bitwidth // 8
            vectors = _pointer(context, builder, table_t, args[0], ir.Constant(_I64, 0), lanes)
            rows_data = context.make_array(rows_t)(context, builder, args[1]).data
            target = _pointer(context, builder, out_t, args[3], args[4], lanes)
            total = builder.load(target, align=align) if accumulate else None
            for j in range(ROWS_A_SUM):
                where = builder.gep(rows_data, [builder.add(args[2], ir.Constant(args[2].type, j))])
                row = builder.zext(builder.load(where), _I64)
                vector = builder.load(builder.gep(vectors, [row]), align=align)
                total = vector if total is None else builder.add(total, vector)
            builder.store(total, target, align=align)
            return context.get_dummy_value()

        return signature, generate

    return sum_rows


# set_sum(table, rows, at, out, out_at): out[out_at + l] = sum over j < 16 of lane l of vector rows[at + j] of the
# table; integers, flat arrays, rows unsigned. add_sum adds to what is in out.
set_sum = _sum_rows(accumulate=False)
add_sum = _sum_rows(accumulate=True)


@intrinsic
def add_vectors(typing_context, out, out_at, left, left_at, right, right_at):
    """out[out_at + l] = left[left_at + l] + right[right_at + l], for the lanes l of a vector; integers, flat arrays."""
    del typing_context
    signature = types.void(out, out_at, left, left_at, right, right_at)

    def generate(context, builder, signature, args):
        out_t, _, left_t, _, right_t, _ = signature.args
        lanes, align = _lanes(out_t), out_t.dtype.bitwidth // 8
        a = builder.load(_pointer(context, builder, left_t, args[2], args[3], lanes), align=align)
        b = builder.load(_pointer(context, builder, right_t, args[4], args[5], lanes), align=align)
        builder.store(builder.add(a, b), _pointer(context, builder, out_t, args[0], args[1], lanes), align=align)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def philox_block(typing_context, out, at, block, c1, c2, c3, k0, k1):
    """Philox4x32-10 of the 16 counters (16 block + lane, c1, c2, c3) under (k0, k1): 64 words, out[at + 16 w + lane].

    Word w of each counter stands in a row of its own. All but `at` are uint32. Salmon, Moraes, Dror & Shaw, "Parallel
    random numbers: as easy as 1, 2, 3", SC 2011.
    """
    del typing_context
    signature = types.void(out, at, block, c1, c2, c3, k0, k1)

    def generate(context, builder, signature, args):
        out_t = signature.args[0]
        vector, wide = ir.VectorType(_I32, 16), ir.VectorType(_I64, 16)

        def constant(kind, value):
            return ir.Constant(kind, [value] * 16)

        def splat(value):
            first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_I32, 0))
            return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), constant(vector, 0))

        def product(word, multiplier):
            full = builder.mul(builder.zext(word, wide), constant(wide, multiplier))
            return builder.trunc(builder.lshr(full, constant(wide, 32)), vector), builder.trunc(full, vector)

        first = builder.mul(args[2], ir.Constant(_I32, 16))
        c = [builder.add(splat(first), ir.Constant(vector, list(range(16)))), *(splat(a) for a in args[3:6])]
        keys = [args[6], args[7]]
        for _ in range(10):
            high0, low0 = product(c[0], 0xD2511F53)
            high1, low1 = product(c[2], 0xCD9E8D57)
            k = [splat(key) for key in keys]
            c = [
                builder.xor(builder.xor(high1, c[1]), k[0]),
                low1,
                builder.xor(builder.xor(high0, c[3]), k[1]),
                low0,
            ]
            keys = [
                builder.add(keys[0], ir.Constant(_I32, 0x9E3779B9)),
                builder.add(keys[1], ir.Constant(_I32, 0xBB67AE85)),
            ]
        for w in range(4):
            index = builder.add(args[1], ir.Constant(args[1].type, 16 * w))
            builder.store(c[w], _pointer(context, builder, out_t, args[0], index, 16), align=4)
        return context.get_dummy_value()

    return signature, generate
