"""JSON Schemas of Pydantic models as components of an OpenAPI document (3.1)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, TypeAdapter

from interfaces.contracts import JsonObject

COMPONENTS = "#/components/schemas/"
_OBJECT: TypeAdapter[JsonObject] = TypeAdapter(JsonObject)


class Schemas:
    """Collects schemas under their names. Two that differ must not share one: raises `ValueError`."""

    def __init__(self) -> None:
        self._named: dict[str, JsonObject] = {}

    def answer(self, model: type[BaseModel]) -> JsonObject:
        """A reference to what this model answers."""
        return self._model(model, "serialization")

    def body(self, model: type[BaseModel]) -> JsonObject:
        """A reference to what this model takes."""
        return self._model(model, "validation")

    def add(self, schema: JsonObject) -> JsonObject:
        """A reference to this schema, which has a title; those that it defines are named as well."""
        own = self._without_definitions(schema)
        return self._put(str(own["title"]), own)

    def parameters(self, model: type[BaseModel]) -> list[JsonObject]:
        """The fields of a model of a query, as parameters; lists are separated by commas."""
        schema = self._without_definitions(model.model_json_schema())
        required = schema.get("required", [])
        fields = schema.get("properties", {})
        assert isinstance(fields, dict)
        assert isinstance(required, list)
        return [self._parameter(name, field, name in required) for name, field in fields.items()]

    def all(self) -> JsonObject:
        """Every schema, by name."""
        return _OBJECT.validate_python(dict(sorted(self._named.items())))

    def _parameter(self, name: str, field: object, required: bool) -> JsonObject:
        assert isinstance(field, dict)
        schema: JsonObject = {key: value for key, value in field.items() if key != "title"}
        choices = schema.get("anyOf")
        if isinstance(choices, list):
            # What may be left out is null to the model only.
            (one,) = [choice for choice in choices if choice != {"type": "null"}]
            assert isinstance(one, dict)
            schema = {**one, **{k: v for k, v in schema.items() if k not in ("anyOf", "default")}}
        parameter: JsonObject = {"name": name, "in": "query", "required": required, "schema": schema}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        return parameter

    def _model(self, model: type[BaseModel], mode: Literal["validation", "serialization"]) -> JsonObject:
        return self._put(model.__name__, self._without_definitions(model.model_json_schema(mode=mode)))

    def _without_definitions(self, schema: JsonObject) -> JsonObject:
        text = json.dumps(schema).replace('"$ref": "#/$defs/', f'"$ref": "{COMPONENTS}')
        moved: JsonObject = json.loads(text)
        definitions = moved.pop("$defs", {})
        assert isinstance(definitions, dict)
        for name, definition in definitions.items():
            assert isinstance(definition, dict)
            self._put(name, definition)
        return moved

    def _put(self, name: str, schema: JsonObject) -> JsonObject:
        if self._named.setdefault(name, schema) != schema:
            raise ValueError(f"two schemas are called {name}")
        return {"$ref": f"{COMPONENTS}{name}"}


def one_of(schemas: Iterable[JsonObject]) -> JsonObject:
    """Exactly one of these."""
    return {"oneOf": list(schemas)}
