"""Reads `multipart/form-data` (RFC 7578), as much of it as file uploads of SDKs use."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_multi_core.embedder.testing.hosted.wire import HttpRequest, WireError

_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class FormPart:
    """One field of a form; `filename` is empty for a plain value."""

    name: str
    data: bytes
    filename: str = ""
    media_type: str = ""


def read_form(request: HttpRequest) -> list[FormPart]:
    """The fields of a form, in order.

    Raises:
        WireError: if the body is not a form.
    """
    content_type = request.headers.get("content-type", "")
    boundary = _BOUNDARY.search(content_type)
    if not content_type.startswith("multipart/form-data") or boundary is None:
        raise WireError(400, f"the body is {content_type or 'untyped'}, not multipart/form-data")
    _, *pieces, last = (b"\r\n" + request.body).split(b"\r\n--" + boundary[1].encode())
    if not last.startswith(b"--"):
        raise WireError(400, "the form has no end")
    return [_part(piece) for piece in pieces]


def _part(piece: bytes) -> FormPart:
    head, separator, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if not separator:
        raise WireError(400, "a field of the form has no content")
    headers = {}
    for line in head.decode().split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    parameters = dict(_PARAMETER.findall(headers.get("content-disposition", "")))
    return FormPart(parameters.get("name", ""), data, parameters.get("filename", ""), headers.get("content-type", ""))
