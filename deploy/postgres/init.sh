#!/bin/sh
# Run once by the postgres image, on an empty data folder: an owner who migrates, and an application that `pixmill db
# upgrade` lets work on rows (database.app_role). Neither is a superuser.
set -eu

# psql reads the passwords from the files by itself, so that they are in no list of processes and in no environment.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
\set password `cat "${DATABASE_PASSWORD_FILE:-/run/secrets/database_password}"`
\set owner_password `cat "${DATABASE_OWNER_PASSWORD_FILE:-/run/secrets/database_owner_password}"`
CREATE ROLE pixmill_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE pixmill LOGIN PASSWORD :'password';
CREATE DATABASE pixmill OWNER pixmill_owner;
REVOKE ALL ON DATABASE pixmill FROM PUBLIC;
GRANT CONNECT ON DATABASE pixmill TO pixmill;
SQL
