"""Makes bundles for members who ask the portal: a process for each, which has the keys that the portal has not.

It knows the line on which the portal asks and the end of its patience; what is in a bundle is the process's matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Mapping
from dataclasses import replace
from signal import SIGKILL

from billing.portal.bundles import LINE_VARIABLE, QUESTION_BYTES_MAX, readable
from billing.settings import BillingSettings
from deploy.children import PACKAGE_ROOT, ChildSpec, python_module
from deploy.privilege import launched

DESCRIPTORS = 2
"""The file to write into, and the line to answer on."""
PERIOD = re.compile(r"\d{4}(-\d{2})?", re.ASCII)


class Bundler:
    """Answers the portal, one question after the other, until it is stopped."""

    def __init__(
        self, settings: BillingSettings, environment: Mapping[str, str], *, tell: Callable[[str], None]
    ) -> None:
        # Both ends are kept, so that a portal that is started again finds the same line.
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ours.settimeout(0)
        self._timeout_s = settings.portal_bundle_timeout_s
        self._environment = environment
        self._tell = tell
        self._answering = asyncio.create_task(self._answer_all())

    def reached_by(self, portal: ChildSpec) -> ChildSpec:
        """The portal with the line on which it asks."""
        number = self._theirs.fileno()
        environment = {**portal.environment, LINE_VARIABLE: str(number)}
        return replace(portal, environment=environment, descriptors=(*portal.descriptors, number))

    async def stop(self) -> None:
        """Answer no more; what is being made is broken off."""
        self._answering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._answering
        self._ours.close()
        self._theirs.close()

    async def _answer_all(self) -> None:
        while True:
            await readable(self._ours.fileno())
            question, descriptors, *_ = socket.recv_fds(self._ours, QUESTION_BYTES_MAX, DESCRIPTORS)
            try:
                await self._answer(question, descriptors)
            except (OSError, ValueError, KeyError) as error:
                self._tell(f"a bundle could not be made: {type(error).__name__}: {error}")
            finally:
                for one in descriptors:
                    os.close(one)

    async def _answer(self, question: bytes, descriptors: list[int]) -> None:
        told = json.loads(question)
        member, period = int(told["member"]), str(told["period"])
        if len(descriptors) != DESCRIPTORS or PERIOD.fullmatch(period) is None:
            raise ValueError("a question that no portal of ours asks")
        file, line = descriptors
        command = (*python_module("deploy.bundling_process"), str(member), period, str(line))
        process = await asyncio.create_subprocess_exec(
            *launched(command, death_signal=SIGKILL), stdin=DEVNULL, stdout=file, pass_fds=(line,),
            env={**os.environ, "PYTHONPATH": _path(), **self._environment}, start_new_session=True,
        )  # fmt: skip
        try:
            await asyncio.wait_for(process.wait(), self._timeout_s)
        except TimeoutError:
            self._tell(f"a bundle of {period} took longer than portal_bundle_timeout_s, {self._timeout_s} s")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def _path() -> str:
    return os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
