"""A power cut at any moment of a client's rotation: its file still has what is needed then.

A request that was sent may have been answered. So what it was sent with must outlive every cut,
until what was answered does.
"""

import pickle
import random

from keyturn.client.credentials import Rotation, Stored, decode

from .client_process import DONE
from .disk import Image, Operation, power_cuts
from .outcome import Outcome
from .scene import HEALTHY, Cast, Scene, opened
from .subject import Subject

RUNS = 20
SAMPLES = 10
"""Random parts of what was not synced, at each moment of a cut."""

Sent = tuple[str, str | None]
"""The API key and the idempotency key that a request was sent with."""


def run(runs: int, seed: int, *, sample: int | None = None, cast: Cast = HEALTHY) -> Outcome:
    """Cut `runs` rotations at every moment, or at `sample` moments, each in every way."""
    choice = random.Random(seed)
    with opened(choice, cast) as scene:
        for _ in range(runs):
            subject = scene.new_subject()
            operations, moments = _recorded_rotation(scene, subject)
            chosen = choice.sample(moments, min(sample or len(moments), len(moments)))
            for cut in power_cuts(operations, set(chosen), choice, SAMPLES):
                wrong = _wrong(cut.image, cut.acknowledged, subject)
                scene.outcome.check(not wrong, f"a cut at {cut.moment}: LOCKED OUT, {wrong}")
            scene.outcome.runs += len(chosen)
    return scene.outcome


def _recorded_rotation(scene: Scene, subject: Subject) -> tuple[list[Operation], range]:
    """What a rotation does to its folder; what is acknowledged in it is that it sends."""
    code = scene.clients.call("recorded", subject.path)
    scene.outcome.check(code == DONE, f"a rotation without a fault ended with {code}")
    operations, moments = pickle.loads(subject.path.parent.with_suffix(".record").read_bytes())
    return operations, moments


def _wrong(image: Image, sent: list[Sent], subject: Subject) -> str:
    """Why the agent can't go on with the file that the cut has left; nothing if it can."""
    stored = decode(image.get(subject.path.name, b""))
    if not isinstance(stored, Stored) or stored.holder is None:
        return "the file is gone or damaged"
    key, pending = stored.holder.api_key.reveal(), stored.pending
    kept = pending.idempotency_key.reveal() if isinstance(pending, Rotation) else None
    if not sent or key != sent[-1][0]:
        # Only a pair that has come later is better than the one that was sent.
        known = [pair[0] for pair in subject.pairs]
        newest = known.index(sent[-1][0]) if sent else 0
        return "" if known.index(key) >= newest else "the file has an older pair than was used"
    if sent[-1][1] is not None and kept != sent[-1][1]:
        return "the file has lost the idempotency key that was sent"
    return ""
