"""A gate job of two versions, as a worker ends it."""

from dataclasses import asdict
from typing import Any

import numpy as np

from db.aliases import Deed, promote
from db.leases import finish
from db.tables.jobs import Outcome, Role
from imagemodels.evaluation.report import Metric
from pixmill.gates.judging import judge
from pixmill.gates.limits import Limits
from storage.pictures import contact_sheet, save_png
from tests.cli.running import Runner
from tests.cli.world import World
from tests.pixmill.gates.figures import HEALTHY, sample
from worker.parent.publishing import publisher

NET = "cnn-1a2b3c4d"
GATES = {"kid": Limits(max=0.02, worse_by=0.005), "class_share": Limits(min=0.25)}
SUBMIT = ("submit", "gate", "--model", "digits-vae@2", "--against", "digits-vae@champion")


def two_versions(world: World) -> None:
    """Two versions of one model, the first of them champion."""
    worker = world.worker()
    for _ in range(2):
        world.trained(worker, name="digits-vae")
    world.database.transact(lambda session: promote(session, "digits-vae@1", "champion", Deed(actor="ann")))


def metrics(kid: float) -> list[dict[str, Any]]:
    metric = Metric(f"kid@{NET}", kid, 100, 1400, "lower", "distance", standard_error=0.001)
    return [{**asdict(metric), "controls": []}]


def gated(world: World, run: Runner, kid: float = 0.012) -> int:
    """A gate job from submit to verdict, ended as a worker ends it; its id."""
    job_id = int(run(*SUBMIT, "--images", "100", "-q").out)
    lease = world.claim_by(world.worker("gates"), job_id)
    new = HEALTHY | {"kid": sample("kid", kid, kid + 0.001), "class_share": sample("class_share", 0.9, 0.9)}
    old = HEALTHY | {"kid": sample("kid", 0.015, 0.016), "class_share": sample("class_share", 0.8, 0.9)}
    judgement = judge(GATES, "kid", new, old)
    sheets = {side: f"{lease.folder}/{side}.png" for side in ("challenger", "champion")}
    for number, sheet in enumerate(sheets.values()):
        save_png(world.root / sheet, contact_sheet(np.full((4, 8, 8, 1), 9 * number, np.uint8), columns=2))
    rows = [row.to_json() for row in judgement.rows]
    result: dict[str, Any] = {
        "verdict": judgement.verdict,
        "model": "digits-vae@2",
        "against": "digits-vae@1",
        "aliases": {"digits-vae@1": "champion"},
        "primary": rows[-1],
        "seeds": [0, 1],
        "images": 100,
        "feature_net": {"name": NET, "digest": "1a2b3c4d" * 8},
        "gates": rows,
        "warnings": ["digits-vae@2: only 100 images were measured"],
        "report": f"{lease.folder}/gate.json",
        **{f"{side}_sheet": sheet for side, sheet in sheets.items()},
        "sheet_columns": ["zero", "one"],
        "dataset": {"name": "digits", "description": {"fingerprint": "f" * 64}},
        "measured": [
            {"model": "digits-vae@2", "images": 100, "metrics": metrics(kid)},
            {"model": "digits-vae@1", "images": 100, "metrics": metrics(0.0155)},
        ],
        "batch_size": 64,
    }
    publish = publisher(Role.GATE)
    assert publish is not None
    world.database.transact(
        lambda session: finish(
            session, lease, Outcome.SUCCEEDED, publish=lambda session: publish(session, lease, result)
        )
    )
    return job_id
