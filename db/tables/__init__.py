"""The tables, by what they tell of: a command loads those that it reads, and `db.tables.all` is every one.

Every time is UTC from the database's clock. Paths are relative to the storage root. A foreign key to a table of another
module names its class, so that this is loaded too.
"""
