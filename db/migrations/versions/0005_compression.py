"""Tasks that compress images, and that decompress them."""

from db.migrations.rebuilding import set_roles

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    set_roles(("train", "generate", "assemble", "evaluate", "compress", "decompress", "ping"))
