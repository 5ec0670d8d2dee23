"""The virtual world's time: it goes on when all who live in it have done their work.

A slow machine then makes a run longer and changes nothing else. Conservative synchronisation of a
distributed simulation (Chandy and Misra 1979): every participant says up to which time it is done,
and waits for the messages of those before it; a `StepConductor` advances the clock when all are
done, a `StepLedger` is one participant's account.

Limits: participants are trusted to say the truth; what a participant does with messages that no
ledger knows of is not ordered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

NEVER_NS = -1


@dataclass
class _Source:
    """Who comes before a participant.

    Attributes:
        is_feedback: it acts on the step before: only that must be done.
        received_ns: stamp of the newest message that was processed, by topic.
        done_ns: it is done up to here.
        newest_ns: stamp of the newest message that it published; NEVER_NS for none.
    """

    is_feedback: bool
    received_ns: dict[str, int] = field(default_factory=dict)
    done_ns: int = NEVER_NS
    newest_ns: int = NEVER_NS

    def delivered_ns(self) -> int:
        """Time up to which all is processed that it published; NEVER_NS while some is missing."""
        missing = any(stamp_ns < self.newest_ns for stamp_ns in self.received_ns.values())
        return NEVER_NS if missing else self.done_ns


class StepLedger:
    """What one participant has received, works on, and is done with; calls from any thread."""

    def __init__(
        self,
        sources: Mapping[str, Iterable[str]],
        feedback: Iterable[str] = (),
        may_lag: bool = False,
    ) -> None:
        """Begin before the first step.

        Args:
            sources: topics by the name of the participant that publishes them.
            feedback: names of sources that act on the step before; without them two participants
                that need each other would wait for ever.
            may_lag: arrive at times before the present step as well, as far as all sources have
                come: for a participant that the clock does not wait for at every step.
        """
        self._may_lag = may_lag
        self._sources = {
            name: _Source(name in feedback, dict.fromkeys(topics, NEVER_NS))
            for name, topics in sources.items()
        }
        self._lock = threading.Lock()
        self._step_ns = self._before_ns = NEVER_NS
        self._arrived_ns = NEVER_NS
        self._working: list[int] = []
        self._said_ns = NEVER_NS
        self.newest_ns = NEVER_NS

    def step(self, step_ns: int) -> None:
        """The clock shows this time."""
        with self._lock:
            if step_ns > self._step_ns:
                self._before_ns, self._step_ns = self._step_ns, step_ns

    def source_done(self, name: str, done_ns: int, newest_ns: int) -> bool:
        """A participant says that it is done; whether a source announces a new message."""
        with self._lock:
            source = self._sources.get(name)
            if source is None:
                return False
            is_new = newest_ns > source.newest_ns
            source.done_ns = max(source.done_ns, done_ns)
            source.newest_ns = max(source.newest_ns, newest_ns)
            return is_new

    def received(self, name: str, topic: str, stamp_ns: int) -> None:
        """A message of a source was processed."""
        with self._lock:
            source = self._sources.get(name)
            if source is not None and topic in source.received_ns:
                source.received_ns[topic] = max(source.received_ns[topic], stamp_ns)

    def drop_source(self, name: str) -> None:
        """Wait for a source no more: it has left."""
        with self._lock:
            self._sources.pop(name, None)

    def forgive(self) -> list[str]:
        """Topics whose announced messages did not come; they are waited for no more."""
        with self._lock:
            missing = []
            for source in self._sources.values():
                for topic, stamp_ns in source.received_ns.items():
                    if stamp_ns < source.newest_ns:
                        missing.append(topic)
                        source.received_ns[topic] = source.newest_ns
            return missing

    def waits_for(self) -> list[str]:
        """Sources that have not delivered the present step; empty when all arrived."""
        with self._lock:
            return [name for name, source in self._sources.items() if not self._delivered(source)]

    def take_arrived(self) -> int | None:
        """The present step, once, when all that belongs to it is processed."""
        with self._lock:
            reached_ns = self._step_ns
            if self._may_lag:
                came_ns = (source.delivered_ns() for source in self._sources.values())
                reached_ns = min([reached_ns, *came_ns])
            elif not all(self._delivered(source) for source in self._sources.values()):
                return None
            if reached_ns <= self._arrived_ns:
                return None
            self._arrived_ns = reached_ns
            return reached_ns

    def begin(self, stamp_ns: int) -> None:
        """Work that belongs to a time goes on after the step's own work."""
        with self._lock:
            self._working.append(stamp_ns)

    def end(self, stamp_ns: int) -> None:
        """That work is done."""
        with self._lock:
            if stamp_ns in self._working:
                self._working.remove(stamp_ns)

    def published(self, stamp_ns: int) -> None:
        """A message with this stamp was published."""
        with self._lock:
            self.newest_ns = max(self.newest_ns, stamp_ns)

    def take_done(self) -> int | None:
        """The time up to which all is done, once, when it is later than what was said before."""
        with self._lock:
            done_ns = min([self._arrived_ns, *(stamp_ns - 1 for stamp_ns in self._working)])
            if done_ns <= self._said_ns:
                return None
            self._said_ns = done_ns
            return done_ns

    def _delivered(self, source: _Source) -> bool:
        needed_ns = self._before_ns if source.is_feedback else self._step_ns
        return needed_ns == NEVER_NS or source.delivered_ns() >= needed_ns


class StepConductor:
    """Advances the clock when every participant is done."""

    def __init__(
        self, start_ns: int, step_ns: int, lags_ns: Mapping[str, int], has_started: bool = False
    ) -> None:
        """Begin at a time.

        Args:
            start_ns: first time of the clock.
            step_ns: by which it advances.
            lags_ns: by name of a participant: how far it may stay behind the clock.
            has_started: False: the clock stands until `start`.
        """
        self.now_ns = start_ns
        self._step_ns = step_ns
        self._lags_ns = dict(lags_ns)
        self._done_ns = dict.fromkeys(lags_ns, NEVER_NS)
        self._started = has_started

    def start(self) -> None:
        """Everybody is ready."""
        self._started = True

    @property
    def participants(self) -> list[str]:
        """Names of those who take part."""
        return list(self._lags_ns)

    def participant_done(self, name: str, done_ns: int) -> None:
        """A participant is done up to a time."""
        if name in self._done_ns:
            self._done_ns[name] = max(self._done_ns[name], done_ns)

    def drop(self, name: str) -> None:
        """Go on without a participant that has left."""
        self._lags_ns.pop(name, None)
        self._done_ns.pop(name, None)

    def waits_for(self) -> list[str]:
        """Participants that hold the clock now."""
        return [
            name
            for name, lag_ns in self._lags_ns.items()
            if self._done_ns[name] < self.now_ns - lag_ns
        ]

    def advance(self) -> bool:
        """Step the clock when nobody holds it; whether it was."""
        if not self._started or not self._lags_ns or self.waits_for():
            return False
        self.now_ns += self._step_ns
        return True
