"""Every error that the API gives, in its one JSON shape. No text here shows a secret or what went wrong inside."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from channels.web.models import Error, ErrorBody
from core.errors import InputError, StoreUnavailable

log = logging.getLogger(__name__)

INPUT_STATUS = {"not_allowed": 403, "empty": 422, "too_long": 413, "too_many": 429, "too_fast": 429, "crowded": 503}
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}
AWAY = "My store is away, so I can neither take nor look up anything. Please try again in a moment."


class Problem(HTTPException):
    """An answer that is an error. ``code`` is stable and for programs, the text for people."""

    def __init__(self, status: int, code: str, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, text, headers)
        self.body = Error(error=ErrorBody(code=code, message=text))

    def response(self) -> JSONResponse:
        """Return the whole answer."""
        return JSONResponse(self.body.model_dump(), self.status_code, self.headers)


def problem_of(error: Exception) -> Problem:
    """Return what is told of an error."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, InputError):
        status = INPUT_STATUS.get(error.code, 400)
        headers = {"Retry-After": str(math.ceil(error.retry_after_s))} if error.retry_after_s else None
        return Problem(status, error.code, str(error), headers)
    if isinstance(error, StoreUnavailable):
        log.warning("a request was refused: %s", error)
        return Problem(503, "unavailable", AWAY, {"Retry-After": "2"})
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, HTTPException):
        code = CODES.get(error.status_code, "error")
        return Problem(error.status_code, code, str(error.detail), error.headers)
    return Problem(500, "internal", "Something went wrong on my side. It is in the log of whoever runs me.")


def handle_all(app: FastAPI) -> None:
    """Have every error of this app answered in the one shape."""

    async def answer(_: Request, error: Exception) -> JSONResponse:
        return problem_of(error).response()

    for kind in (InputError, StoreUnavailable, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)


def _invalid(errors: Sequence[Any]) -> Problem:
    first = errors[0]
    if first["type"] == "json_invalid":
        reason = first["ctx"]["error"]
        return Problem(400, "bad_json", f"The body is not valid JSON ({reason} at character {first['loc'][-1]}).")
    field = ".".join(str(part) for part in first["loc"][1:])
    if not field:
        return Problem(422, "invalid", 'The body must be a JSON object such as {"message": "Hello", "user": "anna"}.')
    if first["type"] == "missing":
        return Problem(422, "invalid", f'"{field}" is missing.')
    if first["type"] == "extra_forbidden":
        return Problem(422, "invalid", f'"{field}" is not known here. Remove it or correct its name.')
    text = first["msg"].removeprefix("Value error, ")
    return Problem(422, "invalid", f'"{field}": {text}.')
