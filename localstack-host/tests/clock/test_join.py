"""A thread that waits for another's end, on the virtual clock."""

import os
import sys
import threading
from types import FrameType

from localstack_host.clock import keeper
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed


@retry(stop=stop_after_delay(10), wait=wait_fixed(0.01), retry=retry_if_result(lambda frame: frame is None))
def joining(thread: threading.Thread) -> FrameType | None:
    """The frame of a thread once it is in Thread.join."""
    frame = sys._current_frames().get(thread.ident or 0)
    inside = frame and (os.path.basename(frame.f_code.co_filename), frame.f_code.co_name) == ("threading.py", "join")
    return frame if inside else None


def test_a_join_without_an_end_is_no_work_while_the_other_thread_lives() -> None:
    """Such a join has no waiter: the look for one once ended each of the keeper's ticks, and the time stood."""
    ended = threading.Event()
    other = threading.Thread(target=ended.wait)
    other.start()
    waits = threading.Thread(target=keeper.join, args=(other,))
    waits.start()
    try:
        frame = joining(waits)
        assert frame is not None
        assert keeper.waits_outside(frame)
    finally:
        ended.set()
        waits.join()
