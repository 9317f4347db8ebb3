"""Tasks side by side in threads of Python, each with its share of the CPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from chainrule.system.interrupts import interrupts_to
from chainrule.system.threads import ThreadShare, get_num_threads

Result = TypeVar("Result")

_SECONDS = 0.1
"""How long Ctrl-C waits: a wait without an end would not see it where another thread got it."""


def side_by_side(
    task: Callable[[int], Result], count: int, stop: Callable[[str], None], name: str = "member"
) -> dict[int, Result]:
    """The results of task(0) ... task(count - 1), by their numbers.

    As many run at once as native runs may have threads, and share these: a task that is alone has
    all of them. A single task runs in the thread that calls.

    Args:
        task: what runs; it should spend its time in native runs, which release the GIL.
        count: how many there are.
        stop: called with a reason, again and again, until the tasks under way have ended: after
            Ctrl-C, or an error of one. Those that have not begun then never do.
        name: what a task is called in an error's message.

    Returns:
        The results of all tasks; after Ctrl-C of those that had begun.

    Raises:
        KeyboardInterrupt: if Ctrl-C came before the first task has begun.
        Exception: the first error of a task, with its number in the message.
    """
    if count == 1:
        return {0: task(0)}
    # A tenth of the time of importing the Trainer, with the modules that it imports.
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    share = ThreadShare()

    def run(number: int) -> Result:
        with share.taken():
            try:
                return task(number)
            except Exception as error:
                if error.args and isinstance(error.args[0], str):
                    error.args = (f"{name} {number}: {error.args[0]}", *error.args[1:])
                raise

    reasons: list[str] = []
    with (
        interrupts_to(reasons.append) as interrupts,
        ThreadPoolExecutor(min(count, get_num_threads())) as pool,
        interrupts.let_through(),
    ):
        futures = [pool.submit(run, number) for number in range(count)]
        pending = set(futures)
        while pending:
            try:
                _, pending = wait(pending, _SECONDS, FIRST_EXCEPTION)
                ended = [future for future in futures if future.done() and not future.cancelled()]
                if not reasons and any(future.exception() for future in ended):
                    reasons.append(f"another {name} failed")
                if reasons:
                    pool.shutdown(wait=False, cancel_futures=True)
                    stop(reasons[0])
                    pending = {future for future in pending if not future.cancelled()}
            except KeyboardInterrupt:  # a second Ctrl-C: threads can't end sooner
                continue
        done = {n: f for n, f in enumerate(futures) if not f.cancelled()}
        if not done:
            raise KeyboardInterrupt
        return {number: future.result() for number, future in done.items()}
