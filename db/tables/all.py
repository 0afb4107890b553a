"""All tables, for those who ask which there are."""

from db.tables import fleet, jobs, models, pipelines, published, schedules, told
from db.tables.base import Table

__all__ = ["Table", "fleet", "jobs", "models", "pipelines", "published", "schedules", "told"]
