"""The clock of the virtual world: nobody is overtaken, nothing is lost, a leaver stops nobody."""

from __future__ import annotations

import random

from tacdiff_ros.virtual.lock_step import NEVER_NS, StepConductor, StepLedger

STEP = 10


def test_a_step_arrives_when_all_announced_messages_are_processed():
    ledger = StepLedger({"arm": ["state"], "sensor": ["image"]})
    ledger.step(10)
    ledger.source_done("arm", 10, 10)
    ledger.source_done("sensor", 10, NEVER_NS)
    assert ledger.take_arrived() is None
    assert ledger.waits_for() == ["arm"]
    ledger.received("arm", "state", 10)
    assert ledger.take_arrived() == 10
    assert ledger.take_arrived() is None


def test_feedback_is_that_of_the_step_before():
    ledger = StepLedger({"controller": []}, ["controller"])
    ledger.step(100)
    assert ledger.take_arrived() == 100
    ledger.step(110)
    assert ledger.take_arrived() is None
    ledger.source_done("controller", 100, NEVER_NS)
    assert ledger.take_arrived() == 110


def test_unfinished_work_holds_what_is_said_to_be_done():
    ledger = StepLedger({})
    for step in (10, 20, 30):
        ledger.step(step)
        assert ledger.take_arrived() == step
        if step == 20:
            ledger.begin(20)
    assert ledger.take_done() == 19
    assert ledger.take_done() is None
    ledger.end(20)
    assert ledger.take_done() == 30


def test_lost_messages_are_named_and_forgiven():
    ledger = StepLedger({"sensor": ["image", "points"]})
    ledger.step(10)
    ledger.source_done("sensor", 10, 10)
    ledger.received("sensor", "image", 10)
    assert ledger.skip_missing() == ["points"]
    assert ledger.take_arrived() == 10


def test_only_what_is_new_is_announced():
    """A word that is repeated must not keep anybody waiting for a message that was lost."""
    ledger = StepLedger({"sensor": ["image"]})
    assert ledger.source_done("sensor", 10, 10)
    assert not ledger.source_done("sensor", 10, 10)
    assert not ledger.source_done("nobody", 10, 10)


def test_a_source_that_left_is_not_waited_for():
    ledger = StepLedger({"sensor": ["image"]})
    ledger.step(10)
    ledger.drop_source("sensor")
    assert ledger.take_arrived() == 10


def test_one_that_may_lag_comes_as_far_as_its_sources():
    strict, lagging = (StepLedger({"twin": ["drawn"]}, may_lag=lags) for lags in (False, True))
    for ledger in (strict, lagging):
        ledger.step(100)
        ledger.source_done("twin", 40, 40)
        assert ledger.take_arrived() is None  # what was drawn at 40 did not come yet
        ledger.received("twin", "drawn", 40)
    assert strict.take_arrived() is None
    assert (lagging.take_arrived(), lagging.take_done()) == (40, 40)


def test_the_clock_waits_for_everybody_within_their_lags():
    conductor = StepConductor(0, STEP, {"arm": 0, "twin": 30})
    assert not conductor.advance()  # not started
    conductor.start()
    conductor.participant_done("arm", 0)
    times = []
    while conductor.advance():
        times.append(conductor.now_ns)
        conductor.participant_done("arm", conductor.now_ns)
    assert times == [10, 20, 30]  # the twin has not even begun
    assert conductor.waits_for() == ["twin"]
    conductor.participant_done("twin", 10)
    assert conductor.advance()
    conductor.drop("twin")
    conductor.participant_done("arm", conductor.now_ns)
    assert conductor.advance()


def test_messages_in_any_order_never_let_a_participant_run_ahead():
    """An arm, a sensor and a controller; messages are delivered late and out of order."""
    dice = random.Random(3)  # noqa: S311
    conductor = StepConductor(0, STEP, {"arm": 0, "sensor": 0, "controller": 0}, True)
    ledgers = {
        "arm": StepLedger({"controller": []}, ["controller"]),
        "sensor": StepLedger({"arm": ["state"]}),
        "controller": StepLedger({"arm": ["state"], "sensor": ["image"]}),
    }
    post: list = [("step", name, 0) for name in ledgers]
    ticks: list[int] = []
    seen = {"state": NEVER_NS, "image": NEVER_NS}
    while post and conductor.now_ns < 400:
        kind, name, *rest = post.pop(dice.randrange(len(post)))
        ledger = ledgers[name]
        if kind == "step":
            ledger.step(rest[0])
        elif kind == "done":
            ledger.source_done(*rest)
        else:
            topic, stamp, sender = rest
            ledger.received(sender, topic, stamp)
            if name == "controller":
                seen[topic] = max(seen[topic], stamp)
        step = ledger.take_arrived()
        if step is None:
            continue
        topic = {"arm": "state", "sensor": "image"}.get(name)
        if topic == "state" or (topic == "image" and step % 40 == 0):
            ledger.published(step)
            post += [("data", other, topic, step, name) for other in ledgers if other != name]
        if name == "controller":
            assert seen["state"] == step
            assert seen["image"] == step // 40 * 40
            ticks.append(step)
        done = ledger.take_done()
        post += [("done", other, name, done, ledger.newest_ns) for other in ledgers]
        conductor.participant_done(name, done)
        if conductor.advance():
            post += [("step", other, conductor.now_ns) for other in ledgers]
    assert ticks == list(range(0, 400, STEP))
