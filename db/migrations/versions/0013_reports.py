"""Tasks that write the page of a pipeline run."""

from db.migrations.rebuilding import set_roles

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    set_roles(("train", "generate", "assemble", "evaluate", "gate", "compress", "decompress", "report", "ping"))
