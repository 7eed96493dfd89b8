"""Which trials somebody is at: each says so from time to time, and one that has fallen silent is tried again.

Machines' clocks differ, so who waits for a trial measures by its own clock how long nothing new was said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

BEAT = 15.0  # seconds between two signs of life
SILENCE = 120.0  # seconds without one
_SIGN = "alive"


@contextmanager
def alive(trial: Trial) -> Iterator[None]:
    """Give signs of life meanwhile."""
    done = Event()
    thread = Thread(target=_beat, args=(trial, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _beat(trial: Trial, done: Event) -> None:
    count = 0
    while not done.wait(BEAT if count else 0):
        count += 1
        try:
            trial.set_user_attr(_SIGN, count)
        except Exception:  # the storage is away for a while, or others have given the trial up: its end will say
            continue


class Watch:
    """What one process has seen of the trials that are under way."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[object, float]] = {}

    def revive(self, study: Study) -> None:
        """Try again what has been silent for too long."""
        from optuna.trial import TrialState

        now = time.monotonic()
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            sign = trial.user_attrs.get(_SIGN)
            said, since = self._seen.get(trial.number, (None, now))
            if trial.number not in self._seen or said != sign:
                self._seen[trial.number] = (sign, now)
            elif now - since > SILENCE:
                study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
                study.enqueue_trial(trial.params)
