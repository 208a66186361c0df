"""What of an exchange may be billed, as the members' page says it (docs/members.md, "What is free")."""

from __future__ import annotations

import pytest

from gateway.accounting import CLIENT_LEFT, Tab
from gateway.operation import Operation
from meter.event import Event, RequestClass
from meter.ids import MemberId
from meter.tally import billable_requests, tally
from meter.window import Month
from tests.events import NOON_US

GET, PUT, HEAD, DELETE = (
    Operation.GET_OBJECT, Operation.PUT_OBJECT, Operation.HEAD_OBJECT, Operation.DELETE_OBJECT,
)  # fmt: skip
A, B, FREE = RequestClass.A, RequestClass.B, RequestClass.FREE
BOTH, NEITHER = (1000, 50), (0, 0)


def ended(operation: Operation, status: int, *, authorised: bool = True, moved_in: int = 1000) -> Event:
    """An exchange in which 1000 bytes came in and 50 went out."""
    tab = Tab(bytes(16), NOON_US, operation, MemberId(1), MemberId(1), authorised=authorised)
    tab.moved_in, tab.head_only = moved_in, operation is HEAD
    return tab.event(ended_us=NOON_US, status=status, moved_out=50, aborted=False)


@pytest.mark.parametrize(
    ("operation", "status", "request_class", "billed"),
    [
        (PUT, 200, A, BOTH),
        (GET, 200, B, BOTH),
        (GET, 206, B, BOTH),
        (GET, 399, B, BOTH),
        (GET, 400, B, NEITHER),
        (GET, 404, B, NEITHER),
        (PUT, 404, A, NEITHER),
        (PUT, 498, A, NEITHER),
        (PUT, CLIENT_LEFT, A, BOTH),
        (GET, CLIENT_LEFT, B, BOTH),
        (PUT, 500, FREE, NEITHER),
        (GET, 500, FREE, NEITHER),
        (GET, 501, FREE, NEITHER),
        (PUT, 503, FREE, NEITHER),
        (GET, 503, FREE, NEITHER),
        (DELETE, 204, FREE, BOTH),
    ],
)
def test_what_is_billed_of_an_answer(
    operation: Operation, status: int, request_class: RequestClass, billed: tuple[int, int]
) -> None:
    event = ended(operation, status)
    assert (request_class, billed) == (event.request_class, (event.bytes_in, event.bytes_out))
    assert (1000, 50, status) == (event.moved_in, event.moved_out, event.status)
    (reading,) = tally([event], first_open=Month.of(NOON_US)).readings.values()
    counted = {A: (1, 0), B: (0, 1), FREE: (0, 0)}[request_class]
    assert counted == billable_requests(event.request_class, reading.requests)
    assert billed == (reading.bytes_in, reading.bytes_out)


@pytest.mark.parametrize(("operation", "status"), [(HEAD, 200), (HEAD, 404), (HEAD, 304), (GET, 304)])
def test_of_head_and_not_modified_no_byte_is_billed_and_the_request_counts(
    operation: Operation, status: int
) -> None:
    event = ended(operation, status, moved_in=0)
    assert (B, 0, 0, 50) == (event.request_class, event.bytes_in, event.bytes_out, event.moved_out)


@pytest.mark.parametrize("status", [200, 403, CLIENT_LEFT, 500])
def test_of_what_was_not_let_in_nothing_is_billed_and_nobody_pays(status: int) -> None:
    event = ended(PUT, status, authorised=False)
    assert (FREE, 0, 0, 0) == (event.request_class, event.bytes_in, event.bytes_out, event.payer)
