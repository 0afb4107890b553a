"""A month of nights of one pipeline: what may happen in each, and what has become of it."""

from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import func, select

from db.aliases import freeze, model_events, promote, roll_back, unfreeze
from db.engine import Database
from db.pipelines import view_run
from db.registry import get_model
from db.schedules import RunLine, get_schedule, pause_schedule, run_lines
from db.tables.jobs import Outcome
from db.tables.pipelines import PipelineRun
from scheduler.pipelineacts import cancel_run, retry_run
from scheduler.schedules import cron_of
from scheduler.timetable import resume, run_now
from tests.rows import act
from tests.scheduler.desk import DEED
from tests.scheduler.nights import NAME, PipelineNights
from tests.scheduler.runs import NIGHT

STEPS = NIGHT["steps"]
RETRAINED = {
    **NIGHT,
    "steps": {
        "train": {**STEPS["train"], "start_from": "${champion.digits}", "skip_unchanged": True},
        "gate": {"kind": "gate", "model": "${train.model}", "against": "${champion.digits}"},
        "promote": STEPS["promote"],
        "bulk": {**STEPS["bulk"], "name": "digits-${run.date}"},
    },
}


class Month(PipelineNights):
    """Nights one after the other; what happens in each ends by the evening."""

    def __init__(self, database: Database, first: date) -> None:
        self.day = first
        super().__init__(database, f"{first - timedelta(days=1)}T12:00+00:00", RETRAINED)

    def sleep_for(self, hours: float) -> None:
        """No scheduler looks before so many hours of the day, by UTC."""
        self.at = datetime.combine(self.day, time(), UTC) + timedelta(hours=hours)

    def begins(self) -> None:
        """The schedulers look every half hour, also while 02:30 comes twice, or not at all."""
        for half_hours in range(5):
            self.sleep_for(half_hours / 2)
            self.look()

    @property
    def run_id(self) -> int:
        """The last run."""
        with self.database.read() as session:
            return session.scalar(select(func.max(PipelineRun.id))) or 0

    def train(self) -> None:
        self.pipelines.through(self.run_id, "train")

    def judge(self, verdict: str = "PROMOTE", bulk: Outcome = Outcome.SUCCEEDED) -> None:
        """The rest of a run whose model is trained."""
        self.pipelines.end(self.run_id, "gate", {"verdict": verdict})
        self.look()
        if self.pipelines.step(self.run_id, "bulk").job_id is not None:
            self.pipelines.end(self.run_id, "bulk", outcome=bulk)
            self.look()

    # What may happen in a night.

    def good(self, verdict: str = "PROMOTE", bulk: Outcome = Outcome.SUCCEEDED) -> None:
        self.begins()
        self.train()
        self.judge(verdict, bulk)

    def no_better(self) -> None:
        self.good("HOLD")

    def worse(self) -> None:
        self.good("REJECT")

    def no_images(self) -> None:
        self.good(bulk=Outcome.FAILED)

    def unchanged(self) -> None:
        self.begins()
        self.pipelines.end(self.run_id, "train", {"skipped": {"reason": "NoNewData", "detail": "as before"}})
        self.look()

    def failing(self) -> None:
        self.begins()
        self.pipelines.end(self.run_id, "train", outcome=Outcome.FAILED)
        self.look()

    def failing_first(self) -> None:
        self.failing()
        act(self.database, retry_run, self.run_id, actor="ann")
        self.train()
        self.judge()

    def cancelled(self) -> None:
        self.begins()
        act(self.database, cancel_run, self.run_id, actor="ann")

    def out_of_order(self) -> None:
        """No scheduler looks at all."""

    def overslept(self) -> None:
        self.sleep_for(11)
        self.look()
        self.train()
        self.judge()

    def abandoned(self) -> None:
        """The schedulers go while the model is trained, and come back in the evening."""
        self.begins()
        self.pipelines.end(self.run_id, "train")
        self.sleep_for(20)
        self.look()
        self.judge()

    def long(self) -> None:
        self.begins()
        self.train()

    def after_long(self) -> None:
        self.begins()
        self.judge()

    def frozen(self) -> None:
        act(self.database, freeze, "digits", DEED)
        self.good()
        act(self.database, unfreeze, "digits", DEED)

    def moved(self) -> None:
        self.begins()
        act(self.database, promote, "digits@7", "champion", DEED)
        self.train()
        self.judge()

    def rolled_back(self) -> None:
        self.begins()
        self.train()
        act(self.database, roll_back, "digits", DEED)
        self.judge()

    def paused(self) -> None:
        act(self.database, pause_schedule, NAME, actor="ann", why="holidays")
        self.begins()
        assert resume(self.database, NAME, actor="ann", outputs=None, clock=self.clock)

    def twice(self) -> None:
        self.good()
        act(self.database, run_now, NAME, self.at, actor="bob", outputs=None)
        self.look()
        self.train()
        self.judge()

    def after_a_promotion_by_hand(self) -> None:
        act(self.database, promote, "digits@19", "champion", DEED)
        self.good()

    # What has become of them, by the database.

    @property
    def lines(self) -> list[RunLine]:
        """What became of each time, the oldest first."""
        with self.database.read() as session:
            return run_lines(session, get_schedule(session, NAME).id, limit=1000)[::-1]

    def became(self, line: RunLine) -> tuple[str, str, str, str]:
        """Time by the clocks of Zurich, how the run has ended, what it has trained, and why that was not promoted."""
        at = f"{cron_of(self.schedule).local(line.run.scheduled_for):%Y-%m-%d %H:%M%z}"
        if line.pipeline is None:
            return at, str(line.run.reason), "", ""
        with self.database.read() as session:
            view = view_run(session, line.pipeline.id)
        train, gate, promotion = (view.named(name).step for name in ("train", "gate", "promote"))
        ended = " ".join(filter(None, [line.pipeline.state.value, line.pipeline.reason]))
        if "model" not in train.values:
            return at, ended, "", ""
        parent = self.pipelines.job(line.pipeline.id, "train").spec.get("start_from")
        assert gate.values.get("against") == parent, "a model is compared with the one that it began with"
        trained = f"{(parent or '').removeprefix('digits@')}>{train.values['version']}"
        return at, ended, trained, "" if promotion.values["promoted"] else promotion.values["reason"]

    @property
    def moves(self) -> list[str]:
        """All moves of the champion, the oldest first: by whom, or for which day, and from > to."""
        with self.database.read() as session:
            events = model_events(session, get_model(session, "digits").id)[::-1]
        return [
            f"{(event.evidence or {}).get('day', event.actor)} {event.from_version or ''}>{event.to_version}"
            for event in events
            if event.alias == "champion"
        ]
