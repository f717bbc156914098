"""The fast parser of Modbus TCP frames returns what pymodbus returns, or leaves the frame to pymodbus."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU

from edgegw.meters.modbus_connection import _Framer

small = st.integers(0, 2)
FRAMES = st.builds(
    lambda tid, protocol, unit, function, words, lie, more: (
        struct.pack(
            f">HHHBBB{len(words)}H", tid, protocol, 3 + 2 * len(words) + lie, unit, function, 2 * len(words) + lie, *words
        )
        + more
    ),
    tid=small,
    protocol=st.sampled_from([0, 0, 0, 1]),
    unit=st.integers(0, 1),
    function=st.sampled_from([3, 4, 3, 4, 0x83, 0x84, 16]),
    words=st.lists(st.integers(0, 65_535), max_size=8),
    lie=st.sampled_from([0, 0, 0, 1, 2]),
    more=st.binary(max_size=12),
)  # fmt: skip


def told(framer: FramerSocket, data: bytes, unit: int, tid: int) -> object:
    """What a framer makes of some bytes."""
    try:
        used, answer = framer.handleFrame(data, unit, tid)
    except ModbusException:
        return "refused"
    if answer is None:
        return used
    return (
        used,
        answer.dev_id,
        answer.transaction_id,
        answer.function_code,
        answer.isError(),
        list(answer.registers),
    )


@settings(max_examples=300)
@given(
    FRAMES | st.lists(FRAMES, max_size=3).map(b"".join) | st.binary(max_size=40),
    st.integers(0, 3),
    small,
    st.data(),
)
def test_frames_are_read_as_pymodbus_reads_them(
    data: bytes, unit: int, tid: int, draw: st.DataObject
) -> None:
    """Whole, cut, joined, lying and foreign frames: the same bytes are used, and the same answer comes out."""
    part = data[: draw.draw(st.integers(0, len(data)))] if draw.draw(st.booleans()) else data
    ours, theirs = _Framer(DecodePDU(False)), FramerSocket(DecodePDU(False))
    assert told(ours, part, unit, tid) == told(theirs, part, unit, tid)
