"""Tasks that judge one model against another, and measurements of both by one job."""

from alembic import op

from db.migrations.rebuilding import rebuild_table, set_roles

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    set_roles(("train", "generate", "assemble", "evaluate", "gate", "compress", "decompress", "ping"))
    name = op.f("uq_evaluations_job_id_model_version_id")
    if op.get_bind().dialect.name == "sqlite":
        unique = rf"CONSTRAINT {name} UNIQUE (job_id, model_version_id)"
        rebuild_table("evaluations", r"CONSTRAINT uq_evaluations_job_id UNIQUE \(job_id\)", unique)
    else:
        op.drop_constraint(op.f("uq_evaluations_job_id"), "evaluations", type_="unique")
        op.create_unique_constraint(name, "evaluations", ["job_id", "model_version_id"])
