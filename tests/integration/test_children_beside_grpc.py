"""Processes that start children while a channel is busy: each child reaches its program (grpc/grpc issue 43055)."""

import subprocess
import sys

from tests.support.patience import PATIENCE_S

CHILDREN = 150
PROGRAM = f"""
import asyncio

import edgegw.daemon.child_processes
import grpc


async def main():
    server = grpc.aio.server()
    echo = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x", {{"Y": echo}}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def busy(channel):
        while True:
            await channel.unary_unary("/x/Y")(b"")

    async with grpc.aio.insecure_channel(f"127.0.0.1:{{port}}") as channel, asyncio.TaskGroup() as group:
        calls = [group.create_task(busy(channel)) for _ in range(4)]
        for _ in range({CHILDREN}):
            child = await asyncio.create_subprocess_exec(
                "true", preexec_fn=edgegw.daemon.child_processes.die_with_parent, start_new_session=True
            )
            assert await child.wait() == 0, "a child died before its program began"
        for call in calls:
            call.cancel()
    await server.stop(None)
    print("all")


asyncio.run(main())
"""


def test_each_child_reaches_its_program() -> None:
    """With a busy channel in the parent, every child process reaches its program, as the daemon and the demo need."""
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout) == (0, "all\n"), done.stderr
