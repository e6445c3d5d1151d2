"""What a database's schema is, in a form that can be compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


def described(connection: Connection) -> dict[str, Any]:
    """Tables with their columns, keys, references and indices, as the database itself tells them."""
    inspector = inspect(connection)
    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(table)
            },
            "primary key": inspector.get_pk_constraint(table),
            "unique": _sorted(inspector.get_unique_constraints(table)),
            "references": _sorted(inspector.get_foreign_keys(table)),
            "indices": _sorted(inspector.get_indexes(table)),
        }
        for table in sorted(inspector.get_table_names())
    }


def _sorted(found: Any) -> list[str]:  # noqa: ANN401 - SQLAlchemy's descriptions
    return sorted(json.dumps(item, sort_keys=True, default=str) for item in found)
