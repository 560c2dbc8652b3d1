"""The JSON Schema of the site file, with which editors complete and check it, and the reference in docs/site-file.md.

`python -m stream.settings.site.schema` writes both into the source tree.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import configs
from stream.settings.site.models import SiteFile

SCHEMA: Final = Path(configs.__file__).parent / "site.schema.json"
_BEGIN, _END = "<!-- made by python -m stream.settings.site.schema -->\n", "<!-- end -->"
_BLOCKS: Final = {
    "The file": "",
    "`canary`": "CanaryModel",
    "`mqtt`": "MqttModel",
    "`http`": "HttpModel",
    "Each of `people` in `http`": "PersonModel",
    "`proxy` in `http`": "ProxyModel",
    "`retention`": "RetentionModel",
    "`notify`": "NotifyModel",
    "Each of `webhooks`": "WebhookModel",
    "`escalate`": "EscalateModel",
    "`frigate`": "FrigateModel",
    "Each of `modes`": "ModeModel",
    "`every` and each of `cameras` in a mode": "CameraModeModel",
    "Each of `cameras`, and `defaults` (all but `url`)": "CameraModel",
    "`tls` of cameras": "CameraTlsModel",
    "`alarm`": "AlarmModel",
    "`clip`": "ClipModel",
    "`retention` of cameras": "CameraRetentionModel",
    "`region`": "RegionModel",
    "Each of `schedule`": "PeriodModel",
}


def site_schema() -> dict[str, Any]:
    """Generated from the models. Keys may be omitted, and then have the inherited value; `null` counts as omitted."""
    schema = SiteFile.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_tidied(schema),
        "title": "Site file of mgfn-stream",
    }


def _tidied(node: Any) -> Any:
    """Without titles generated from names, and without `null` as a default, which editors would write into the file."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {"additionalProperties": False} if "patternProperties" in node else {}  # a name must match
    return {key: _tidied(value) for key, value in node.items() if not _is_noise(key, value)} | closed


def _is_noise(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)


def reference() -> str:
    """Markdown: a table of keys for each block, in the order of the file."""
    schema = site_schema()
    parts: list[str] = []
    for heading, name in _BLOCKS.items():
        block = schema if not name else schema["$defs"][name]
        rows = [_row(key, value, block.get("required", ())) for key, value in block["properties"].items()]
        parts.append("\n".join([f"### {heading}\n", "| key | what | allowed |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _row(key: str, schema: dict[str, Any], required: Sequence[str]) -> str:
    must = " **Required.**" if key in required else ""
    return f"| `{key}` | {schema['description']}{must} | {_allowed(schema)} |"


def _allowed(schema: dict[str, Any]) -> str:
    """A short description of the values of a key."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    (kind,) = kinds
    if "enum" in kind:
        return ", ".join(f"`{value}`" for value in kind["enum"])
    if "$ref" in kind:
        return "a block"
    low = kind.get("minimum", kind.get("exclusiveMinimum"))
    if low is not None:
        bounds = f"{low:,.10g}", f"{kind['maximum']:,.10g}"
        return f"above {bounds[0]}, up to {bounds[1]}" if "exclusiveMinimum" in kind else " to ".join(bounds)
    return {"boolean": "`true`, `false`", "array": "a list", "object": "a block", "string": "text"}[kind["type"]]


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(site_schema(), indent=2) + "\n", encoding="utf-8")
    page = SCHEMA.parents[1] / "docs" / "site-file.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n{reference()}{end}{after}", encoding="utf-8")
