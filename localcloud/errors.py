"""AWS errors in the shape of each protocol."""

from __future__ import annotations

import json
from uuid import uuid4
from xml.sax.saxutils import escape


def error_body(protocol: str, code: str, message: str) -> tuple[str, bytes]:
    """Content type and body of an AWS error in a protocol's shape."""
    request_id = str(uuid4())
    code, message_xml = escape(code), escape(message)
    if protocol in {"json", "sqs"}:
        return "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}).encode()
    if protocol == "s3":
        text = f"<Error><Code>{code}</Code><Message>{message_xml}</Message><RequestId>{request_id}</RequestId></Error>"
    elif protocol == "ec2":
        text = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{message_xml}</Message></Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    else:
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message_xml}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return "text/xml", text.encode()
