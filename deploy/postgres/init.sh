#!/bin/sh
# Run once by the postgres image, on an empty data folder: a role that owns its database and is no superuser.
set -eu

# psql reads the password from the file by itself, so that it is in no list of processes and in no environment.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
\set password `cat "${DATABASE_PASSWORD_FILE:-/run/secrets/database_password}"`
CREATE ROLE pixmill LOGIN PASSWORD :'password';
CREATE DATABASE pixmill OWNER pixmill;
REVOKE ALL ON DATABASE pixmill FROM PUBLIC;
SQL
