-- A database server of Azure's: its users are identities of Entra's. In braces: identifiers and literals, which
-- psycopg.sql puts in and quotes.

-- name: create_extension
CREATE EXTENSION IF NOT EXISTS {extension}

-- name: label
-- What the role is labelled with now; no row where it is not there.
SELECT r.rolcanlogin AS logs_in, l.label
FROM pg_roles r LEFT JOIN pg_seclabels l
    ON l.objoid = r.oid AND l.classoid = 'pg_authid'::regclass AND l.provider = 'pgaadauth'
WHERE r.rolname = %(role)s

-- name: let_log_in
-- https://learn.microsoft.com/azure/postgresql/flexible-server/how-to-manage-azure-ad-users, "Enable Microsoft Entra
-- authentication for an existing PostgreSQL role"
ALTER ROLE {role} LOGIN;
SECURITY LABEL FOR pgaadauth ON ROLE {role} IS {label}
