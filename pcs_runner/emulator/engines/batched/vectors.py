"""Four sweep points at once: the vector instructions that Numba does not write by itself, as intrinsics on rows of a state.

A row is `(2, LANES)` doubles, real parts then imaginary parts of one amplitude of `LANES` points: one cache line. Numba's own
loops cannot be vectorised here, because the compiler must assume that the rows of a pass overlap. An amplitude takes 1.3 ns
a step at 6 atoms, 3 ns at 14. Multiply-adds are written out (`llvm.fma`): a point gives the same bits among any neighbours.
"""

# ruff: noqa: ARG001  the arguments of an intrinsic are named for its callers; its code generator gets them in a list

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from pcs_runner.emulator.engines.batched.memory import LANES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUBITS_A_PASS = 3
"""Eight rows with two registers each fill the sixteen registers of AVX2."""

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)
_ROW = 2 * LANES

_Pair = tuple[ir.Value, ir.Value]


def _index(value: int) -> ir.Constant:
    return ir.Constant(ir.IntType(64), value)


def _pointer(context: Any, builder: Any, array: Any, value: ir.Value) -> ir.Value:
    proxy: Any = cgutils.create_struct_proxy(array)  # type: ignore[no-untyped-call]
    return proxy(context, builder, value=value).data


def _address(builder: Any, pointer: ir.Value, index: ir.Value) -> ir.Value:
    return builder.bitcast(builder.gep(pointer, [index]), _VECTOR.as_pointer())


def _load_row(builder: Any, pointer: ir.Value, row: ir.Value) -> _Pair:
    offset = builder.mul(row, _index(_ROW))
    real = builder.load(_address(builder, pointer, offset), align=8)
    return real, builder.load(_address(builder, pointer, builder.add(offset, _index(LANES))), align=8)


def _store_row(builder: Any, pointer: ir.Value, row: ir.Value, pair: _Pair) -> None:
    offset = builder.mul(row, _index(_ROW))
    builder.store(pair[0], _address(builder, pointer, offset), align=8)
    builder.store(pair[1], _address(builder, pointer, builder.add(offset, _index(LANES))), align=8)


def _fma(builder: Any, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    signature = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    name = f"llvm.fma.v{LANES}f64"
    function = cgutils.get_or_insert_function(builder.module, signature, name)  # type: ignore[no-untyped-call]
    return builder.call(function, [x, y, z])


def _multiply(builder: Any, x: _Pair, y: _Pair) -> _Pair:
    real = _fma(builder, builder.fneg(x[1]), y[1], builder.fmul(x[0], y[0]))
    return real, _fma(builder, x[1], y[0], builder.fmul(x[0], y[1]))


def _broadcast(builder: Any, scalar: ir.Value) -> ir.Value:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    vector = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _tangents(builder: Any, pointer: ir.Value, first: ir.Value, qubits: int) -> list[ir.Value]:
    offsets = [builder.mul(builder.add(first, _index(qubit)), _index(LANES)) for qubit in range(qubits)]
    return [builder.load(_address(builder, pointer, offset), align=8) for offset in offsets]


def _rotate(builder: Any, amplitudes: list[_Pair], tangents: Sequence[ir.Value]) -> None:
    """`1 - i t X` on each qubit, in place: a rotation by 2 atan(t) without its factor cos, which the diagonal carries."""
    for qubit, tangent in enumerate(tangents):
        minus = builder.fneg(tangent)
        for low in range(len(amplitudes)):
            if low >> qubit & 1:
                continue
            high = low | 1 << qubit
            (low_real, low_imag), (high_real, high_imag) = amplitudes[low], amplitudes[high]
            amplitudes[low] = _fma(builder, tangent, high_imag, low_real), _fma(builder, minus, high_real, low_imag)
            amplitudes[high] = _fma(builder, tangent, low_imag, high_real), _fma(builder, minus, low_real, high_imag)


def _rotation(qubits: int) -> Callable[..., Any]:
    """Intrinsic `(state, row, first, tangents)`: rotate `qubits` qubits from `first` on, in `row` and the rows beside it."""

    @intrinsic
    def rotate(typing_context: Any, state: Any, row: Any, first: Any, tangents: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> None:
            pointer = _pointer(context, builder, signature.args[0], args[0])
            angles = _tangents(builder, _pointer(context, builder, signature.args[3], args[3]), args[2], qubits)
            strides = [builder.shl(_index(1), builder.add(args[2], _index(qubit))) for qubit in range(qubits)]
            rows = [args[1]]
            for stride in strides:
                rows += [builder.add(other, stride) for other in rows]
            amplitudes = [_load_row(builder, pointer, other) for other in rows]
            _rotate(builder, amplitudes, angles)
            for other, pair in zip(rows, amplitudes, strict=True):
                _store_row(builder, pointer, other, pair)

        return types.void(state, types.int64, types.int64, tangents), generate

    return rotate


rotate_one, rotate_two, rotate_three = _rotation(1), _rotation(2), _rotation(3)


def _shared_phase(builder: Any, table: ir.Value, row: ir.Value, size: ir.Value, which: ir.Value) -> _Pair:
    """Phase of a row when all lanes take the same table (lane 0's)."""
    chosen = builder.load(builder.gep(which, [_index(0)]))
    offset = builder.mul(builder.add(builder.mul(chosen, size), row), _index(2))
    real = builder.load(builder.gep(table, [offset]))
    return _broadcast(builder, real), _broadcast(builder, builder.load(builder.gep(table, [builder.add(offset, _index(1))])))


def _own_phase(builder: Any, table: ir.Value, row: ir.Value, size: ir.Value, which: ir.Value) -> _Pair:
    """Phase of a row when each lane takes a table of its own."""
    real = imag = ir.Constant(_VECTOR, ir.Undefined)
    for lane in range(LANES):
        chosen = builder.load(builder.gep(which, [_index(lane)]))
        offset = builder.mul(builder.add(builder.mul(chosen, size), row), _index(2))
        place = ir.Constant(ir.IntType(32), lane)
        real = builder.insert_element(real, builder.load(builder.gep(table, [offset])), place)
        imag = builder.insert_element(imag, builder.load(builder.gep(table, [builder.add(offset, _index(1))])), place)
    return real, imag


def _phased_rotation(phase_of: Callable[..., _Pair]) -> Callable[..., Any]:
    """Intrinsic `(state, row, tangents, tables, which, size, low, low_row, high, high_row)`.

    Rows `row` to `row + 7` are multiplied by the phase of the interaction and by that of the atoms, which is
    `low[low_row + k] * high[high_row]`; then their three lowest qubits are rotated.
    """

    @intrinsic
    def rotate(
        typing_context: Any, state: Any, row: Any, tangents: Any, tables: Any, which: Any, size: Any,
        low: Any, low_row: Any, high: Any, high_row: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> None:
            places = {k: _pointer(context, builder, signature.args[k], args[k]) for k in (0, 2, 3, 4, 6, 8)}
            angles = _tangents(builder, places[2], _index(0), QUBITS_A_PASS)
            outer = _load_row(builder, places[8], args[9])
            amplitudes = []
            for k in range(2**QUBITS_A_PASS):
                current = builder.add(args[1], _index(k))
                inner = _load_row(builder, places[6], builder.add(args[7], _index(k)))
                phase = _multiply(builder, inner, outer)
                phase = _multiply(builder, phase, phase_of(builder, places[3], current, args[5], places[4]))
                amplitudes.append(_multiply(builder, _load_row(builder, places[0], current), phase))
            _rotate(builder, amplitudes, angles)
            for k, pair in enumerate(amplitudes):
                _store_row(builder, places[0], builder.add(args[1], _index(k)), pair)

        integer = types.int64
        return types.void(state, integer, tangents, tables, which, integer, low, integer, high, integer), generate

    return rotate


phase_and_rotate_shared, phase_and_rotate_own = _phased_rotation(_shared_phase), _phased_rotation(_own_phase)


@intrinsic
def multiply_row(typing_context: Any, rows: Any, target: Any, source: Any, factors: Any, factor: Any) -> Any:
    """`rows[target] = rows[source] * factors[factor]`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> None:
        pointer = _pointer(context, builder, signature.args[0], args[0])
        other = _load_row(builder, _pointer(context, builder, signature.args[3], args[3]), args[4])
        _store_row(builder, pointer, args[1], _multiply(builder, _load_row(builder, pointer, args[2]), other))

    return types.void(rows, types.int64, types.int64, factors, types.int64), generate
