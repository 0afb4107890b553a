"""What a form sends: some short texts."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from server.errors import RequestError

MOST_BYTES = 8000
MOST_FIELDS = 10
FORM = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form.  Raises RequestError for anything else, and for more than a form of ours has."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise RequestError("that is no form", hint=f"send it as {FORM}")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise RequestError(f"the form is larger than {MOST_BYTES:,} bytes", hint="shorten it")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise RequestError("the form cannot be read", hint="send it once more") from error
    return dict(pairs)
