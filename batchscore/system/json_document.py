"""What every report, model card and other JSON document of ours has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class JsonDocument(BaseModel):
    """A JSON document or a part of one. A field that it does not know is an error.

    Its checks are built when it is first used: a run imports more documents than it writes.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), defer_build=True)

    def to_json(self) -> str:
        """The document as JSON text, with its fields in their order."""
        return self.model_dump_json(indent=1) + "\n"
