"""The tables, by what they tell of: a command loads those that it reads, and `db.tables.all` is every one.

Every time is UTC from the database's clock. Paths are relative to the storage root. A foreign key to a table of another
module names its class, so that this is loaded too. What one kind of database alone is told (that an index is partial;
AUTOINCREMENT on SQLite, since an id that names folders and references is never given twice) stands in the migrations:
to say it here would load the dialects of both.
"""
