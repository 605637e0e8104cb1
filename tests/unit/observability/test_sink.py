"""Lines that come close together are one write, in order, and those that are lost are counted."""

from __future__ import annotations

import asyncio
import io

from pointsman.observability.sink import Sink, writing_to


class Stream:
    """Keeps each write; refuses while it is told to."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.broken = False
        self.written = asyncio.Event()

    def __call__(self, lines: bytes) -> None:
        if self.broken:
            raise BrokenPipeError
        self.writes.append(lines)
        self.written.set()


def dropped(count: int) -> bytes:
    return b"dropped %d\n" % count


async def test_lines_of_one_turn_are_one_write_in_their_order() -> None:
    stream = Stream()
    sink = Sink(stream, bytes, dropped, pace_s=0)
    for line in (b"a\n", b"b\n", b"c\n"):
        sink.put(line)
    assert stream.writes == []
    await asyncio.sleep(0)
    sink.put(b"d\n")
    await asyncio.sleep(0)
    assert stream.writes == [b"a\nb\nc\n", b"d\n"]


async def test_nothing_is_rendered_while_it_is_put() -> None:
    stream, rendered = Stream(), list[int]()

    def render(told: int) -> bytes:
        rendered.append(told)
        return b"%d\n" % told

    sink = Sink(stream, render, dropped, max_lines=2)
    for told in (1, 2, 3):
        sink.put(told)
    assert rendered == []
    sink.flush()
    assert rendered == [1, 2]
    assert stream.writes == [b"1\n2\ndropped 1\n"]


async def test_a_line_after_a_pause_is_written_in_the_next_turn_and_those_that_follow_wait_for_each_other() -> None:
    stream = Stream()
    sink = Sink(stream, bytes, dropped, pace_s=3600)
    for line in (b"a\n", b"b\n", b"c\n"):
        sink.put(line)
        await asyncio.sleep(0)
    assert stream.writes == [b"a\n"]
    sink.flush()
    assert stream.writes == [b"a\n", b"b\nc\n"]


async def test_lines_that_wait_are_written_though_nobody_flushes() -> None:
    stream = Stream()
    sink = Sink(stream, bytes, dropped, pace_s=0.001)
    for line in (b"a\n", b"b\n", b"c\n"):
        stream.written.clear()
        sink.put(line)
        await stream.written.wait()
    assert stream.writes == [b"a\n", b"b\n", b"c\n"]


async def test_a_flush_writes_what_waits_and_the_turn_after_it_nothing() -> None:
    stream = Stream()
    sink = Sink(stream, bytes, dropped)
    sink.put(b"a\n")
    sink.flush()
    assert stream.writes == [b"a\n"]
    await asyncio.sleep(0)
    sink.flush()
    assert stream.writes == [b"a\n"]


async def test_lines_above_the_bound_are_dropped_and_counted_once() -> None:
    stream = Stream()
    sink = Sink(stream, bytes, dropped, max_lines=2, pace_s=0)
    for line in (b"a\n", b"b\n", b"c\n", b"d\n", b"e\n"):
        sink.put(line)
    await asyncio.sleep(0)
    sink.put(b"f\n")
    await asyncio.sleep(0)
    assert stream.writes == [b"a\nb\ndropped 3\n", b"f\n"]


async def test_lines_that_the_stream_refuses_are_counted_when_it_takes_lines_again() -> None:
    stream = Stream()
    sink = Sink(stream, bytes, dropped, max_lines=2, pace_s=0)
    stream.broken = True
    for line in (b"a\n", b"b\n", b"c\n"):
        sink.put(line)
    await asyncio.sleep(0)
    sink.put(b"d\n")
    await asyncio.sleep(0)
    stream.broken = False
    sink.put(b"e\n")
    await asyncio.sleep(0)
    assert stream.writes == [b"e\ndropped 4\n"]


def test_bytes_go_below_the_encoder_of_a_stream_after_what_was_written_above_it() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "utf-8", write_through=True)
    stream.write("first\n")
    writing_to(stream)("zweite Zeile: ü\n".encode())
    assert raw.getvalue().decode() == "first\nzweite Zeile: ü\n"


def test_a_stream_without_bytes_below_takes_text() -> None:
    stream = io.StringIO()
    writing_to(stream)("ü\n".encode())
    assert stream.getvalue() == "ü\n"
