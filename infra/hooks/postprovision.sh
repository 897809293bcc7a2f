#!/bin/sh
# Makes the database ready, as its administrator: roles, extensions, schema, catalog. It can be run again at any time,
# and is what an upgrade runs before the app is deployed: `azd hooks run postprovision`.
set -eu
cd -- "$(dirname -- "$0")/../.."

if [ "${PRIVATE_NETWORKING:-}" = true ] && [ -z "${INSIDE_NETWORK:-}" ]; then
    cat >&2 <<END
The database is in a private network, and was not made ready. From a machine in that network, with this checkout,
this environment and \`az login\`:

    INSIDE_NETWORK=1 azd hooks run postprovision
END
    exit 0
fi

# The environment of ./run: Python and what requirements.txt says.
python3 -m local.stack.bootstrap -- -c ''
python=.venv/bin/python

administrator=$("$python" -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1], safe=""))' \
    "$DATABASE_ADMINISTRATOR")
# Past PgBouncer: migrations hold a session.
export DATABASE_URL="postgresql://$administrator@$DATABASE_HOST:5432/$DATABASE_NAME?sslmode=verify-full"
PGSSLROOTCERT=$("$python" -c 'import certifi; print(certifi.where())')
# A token of Entra's, good for about an hour.
PGPASSWORD=$(az account get-access-token --resource-type oss-rdbms --query accessToken --output tsv)
export PGSSLROOTCERT PGPASSWORD

"$python" -m repositories.roles --app "$DATABASE_APP_NAME"
"$python" -m repositories.entra_roles --role "$DATABASE_APP_NAME" --object-id "$DATABASE_APP_OBJECT_ID"
"$python" -m repositories.migrations
"$python" -m repositories.pgstac_schema
# Once more: now there are the catalog's roles, which the app is to be a member of.
"$python" -m repositories.roles --app "$DATABASE_APP_NAME"
