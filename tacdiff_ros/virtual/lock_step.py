"""Lock-step simulation time: the clock advances when all participants have completed their work.

A slow machine therefore only makes a run longer and does not change its result. This is the
conservative synchronisation of a distributed simulation (Chandy and Misra 1979): every participant
reports the time up to which it is done, and waits for the messages of its sources. A
`StepConductor` advances the clock when all participants are done; a `StepLedger` is the
bookkeeping of one participant.

Limits: the reports of participants are not verified, and messages that are registered in no ledger
are not ordered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

NEVER_NS = -1  # before any time of the clock


@dataclass
class _Source:
    """A participant whose messages another participant needs.

    Attributes:
        is_feedback: whether it acts on the previous step, so that only that step must be done.
        received_ns: stamp of the newest processed message by topic, ns.
        done_ns: time up to which the source is done, ns.
        newest_ns: stamp of the newest message that it published, ns; NEVER_NS for none.
    """

    is_feedback: bool
    received_ns: dict[str, int] = field(default_factory=dict)
    done_ns: int = NEVER_NS
    newest_ns: int = NEVER_NS

    def delivered_ns(self) -> int:
        """Return the time up to which its messages are processed; NEVER_NS if one is missing."""
        missing = any(stamp_ns < self.newest_ns for stamp_ns in self.received_ns.values())
        return NEVER_NS if missing else self.done_ns


class StepLedger:
    """Bookkeeping of one participant: received messages, current work and completed steps.

    All methods can be called from any thread.

    Attributes:
        newest_ns: stamp of the newest message that the participant published, ns; NEVER_NS for
            none.
    """

    def __init__(
        self,
        sources: Mapping[str, Iterable[str]],
        feedback: Iterable[str] = (),
        may_lag: bool = False,
    ) -> None:
        """Start before the first step.

        Args:
            sources: names of participants, and the topics that each of them publishes.
            feedback: names of sources that act on the previous step; without this exception, two
                participants that need each other would wait for ever.
            may_lag: whether the participant may work on times before the current step, up to the
                time that all sources have reached; for a participant that the clock does not wait
                for at every step.
        """
        self._may_lag = may_lag
        self._sources = {
            name: _Source(name in feedback, dict.fromkeys(topics, NEVER_NS))
            for name, topics in sources.items()
        }
        self._lock = threading.Lock()
        self._step_ns = self._previous_ns = NEVER_NS
        self._arrived_ns = NEVER_NS
        self._working: list[int] = []
        self._reported_ns = NEVER_NS
        self.newest_ns = NEVER_NS

    def step(self, step_ns: int) -> None:
        """Set the current time of the clock, ns."""
        with self._lock:
            if step_ns > self._step_ns:
                self._previous_ns, self._step_ns = self._step_ns, step_ns

    def source_done(self, name: str, done_ns: int, newest_ns: int) -> bool:
        """Record the report of a participant.

        Args:
            name: name of the participant.
            done_ns: time up to which it is done, ns.
            newest_ns: stamp of the newest message that it published, ns.

        Returns:
            Whether the participant is a source and announces a new message.
        """
        with self._lock:
            source = self._sources.get(name)
            if source is None:
                return False
            is_new = newest_ns > source.newest_ns
            source.done_ns = max(source.done_ns, done_ns)
            source.newest_ns = max(source.newest_ns, newest_ns)
            return is_new

    def received(self, name: str, topic: str, stamp_ns: int) -> None:
        """Record that the message of a source with this stamp (ns) was processed."""
        with self._lock:
            source = self._sources.get(name)
            if source is not None and topic in source.received_ns:
                source.received_ns[topic] = max(source.received_ns[topic], stamp_ns)

    def drop_source(self, name: str) -> None:
        """Stop waiting for a source, because it has left."""
        with self._lock:
            self._sources.pop(name, None)

    def skip_missing(self) -> list[str]:
        """Stop waiting for announced messages that did not arrive, and return their topics."""
        with self._lock:
            missing = []
            for source in self._sources.values():
                for topic, stamp_ns in source.received_ns.items():
                    if stamp_ns < source.newest_ns:
                        missing.append(topic)
                        source.received_ns[topic] = source.newest_ns
            return missing

    def waits_for(self) -> list[str]:
        """Return the names of the sources that have not delivered the current step."""
        with self._lock:
            return [name for name, source in self._sources.items() if not self._delivered(source)]

    def take_arrived(self) -> int | None:
        """Return the step (ns) once all its messages are processed; None before and afterwards."""
        with self._lock:
            reached_ns = self._step_ns
            if self._may_lag:
                delivered_ns = (source.delivered_ns() for source in self._sources.values())
                reached_ns = min([reached_ns, *delivered_ns])
            elif not all(self._delivered(source) for source in self._sources.values()):
                return None
            if reached_ns <= self._arrived_ns:
                return None
            self._arrived_ns = reached_ns
            return reached_ns

    def begin(self, stamp_ns: int) -> None:
        """Register work that belongs to a time (ns) and continues after the step itself."""
        with self._lock:
            self._working.append(stamp_ns)

    def end(self, stamp_ns: int) -> None:
        """Record the end of the work that was registered by `begin`."""
        with self._lock:
            if stamp_ns in self._working:
                self._working.remove(stamp_ns)

    def published(self, stamp_ns: int) -> None:
        """Record the stamp (ns) of a published message."""
        with self._lock:
            self.newest_ns = max(self.newest_ns, stamp_ns)

    def take_done(self) -> int | None:
        """Return the time (ns) up to which all work is done if it has advanced, otherwise None."""
        with self._lock:
            done_ns = min([self._arrived_ns, *(stamp_ns - 1 for stamp_ns in self._working)])
            if done_ns <= self._reported_ns:
                return None
            self._reported_ns = done_ns
            return done_ns

    def _delivered(self, source: _Source) -> bool:
        needed_ns = self._previous_ns if source.is_feedback else self._step_ns
        return needed_ns == NEVER_NS or source.delivered_ns() >= needed_ns


class StepConductor:
    """Advances the clock when every participant is done.

    Attributes:
        now_ns: current time of the clock, ns.
    """

    def __init__(
        self, start_ns: int, step_ns: int, lags_ns: Mapping[str, int], has_started: bool = False
    ) -> None:
        """Set the clock to its first time.

        Args:
            start_ns: first time of the clock, ns.
            step_ns: time step of the clock, ns.
            lags_ns: maximum lag behind the clock by name of the participant, ns.
            has_started: whether the clock runs; otherwise it stands still until `start`.
        """
        self.now_ns = start_ns
        self._step_ns = step_ns
        self._lags_ns = dict(lags_ns)
        self._done_ns = dict.fromkeys(lags_ns, NEVER_NS)
        self._started = has_started

    def start(self) -> None:
        """Start the clock."""
        self._started = True

    @property
    def participants(self) -> list[str]:
        """Names of the participants."""
        return list(self._lags_ns)

    def participant_done(self, name: str, done_ns: int) -> None:
        """Record the time (ns) up to which a participant is done."""
        if name in self._done_ns:
            self._done_ns[name] = max(self._done_ns[name], done_ns)

    def drop(self, name: str) -> None:
        """Remove a participant that has left."""
        self._lags_ns.pop(name, None)
        self._done_ns.pop(name, None)

    def waits_for(self) -> list[str]:
        """Return the names of the participants that the clock waits for."""
        return [
            name
            for name, lag_ns in self._lags_ns.items()
            if self._done_ns[name] < self.now_ns - lag_ns
        ]

    def advance(self) -> bool:
        """Advance the clock by one step, unless it waits for a participant.

        Returns:
            Whether the clock was advanced.
        """
        if not self._started or not self._lags_ns or self.waits_for():
            return False
        self.now_ns += self._step_ns
        return True
