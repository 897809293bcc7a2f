"""`python run_sql.py FILE`: its statements, on the database of `.local/run.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg


def main() -> None:
    """Print the rows of the last statement that has any, one JSON array a line."""
    url = json.loads(Path(".local/run.json").read_text())["database_url"]
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(Path(sys.argv[1]).read_bytes())
        while cursor.nextset():
            pass
        rows = cursor.fetchall() if cursor.description else []
    sys.stdout.writelines(f"{json.dumps(row, default=str)}\n" for row in rows)


if __name__ == "__main__":
    main()
