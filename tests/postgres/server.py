"""A real PostgreSQL server for tests, on a Unix socket in a temporary folder, which ends with the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

_USER = "replay"
_SECONDS = "120"
# a test may kill the server at any moment, and looks at what a client sees: no disk has to be waited for, but a commit
# is handed to the system before it is told, as a killed server would lose it otherwise
_SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "max_connections": "20",
    "autovacuum": "off",
}


def binaries() -> Path:
    """Return the folder of the programs of the server; `make` brings them where they are missing."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    for folder in [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *folders]:
        if all((folder / program).exists() for program in ("initdb", "pg_ctl", "createdb")):
            return folder
    raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql (make test does so)")


def _as_user() -> dict[str, Any]:
    """Return how a child is started: the server refuses to run as root."""
    return {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}


class Server:
    """A server in a folder of its own; `uri` leads to one of its databases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._bin = binaries()
        self._run("initdb", "-D", self.data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in _SETTINGS.items())
            file.write(f"unix_socket_directories = '{folder}'\n")

    def _run(self, program: str, *words: object) -> subprocess.CompletedProcess[str]:
        log = self.folder / "programs.log"
        with log.open("a") as out:  # a pipe would be held open by the server
            done = subprocess.run(
                [self._bin / program, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=180,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
                **_as_user(),
            )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {log.read_text()[-2000:]}")
        return done

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._run("pg_ctl", "-D", self.data, "-w", "-t", _SECONDS, "-l", self.folder / "server.log", "start")

    def stop(self) -> None:
        """Stop it, with whatever it is doing."""
        self._run("pg_ctl", "-D", self.data, "-w", "-t", _SECONDS, "-m", "immediate", "stop")

    def kill(self) -> None:
        """Kill it as a power cut does: the process that listens, and all of its children; return when they are gone."""
        leader = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
        everyone = [psutil.Process(number) for number in (leader, *map(int, children)) if psutil.pid_exists(number)]
        for process in everyone:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        give_up_at = time.monotonic() + 60
        while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in everyone):
            if time.monotonic() > give_up_at:
                raise TimeoutError("the server does not end")
            time.sleep(0.01)
        for left in (self.data / "postmaster.pid", *self.folder.glob(".s.PGSQL*")):
            left.unlink(missing_ok=True)  # names a process that its parent has not seen end

    def database(self, name: str) -> str:
        """Make an empty database and return its URI."""
        self._run("createdb", "-h", self.folder, "-U", _USER, name)
        return self.uri(name)

    def guarded(self, name: str, password: str) -> str:
        """Return the URI of a database for a user who needs a password."""
        self.run_sql(name, f"CREATE ROLE guard LOGIN SUPERUSER PASSWORD '{password}'")
        rules = self.data / "pg_hba.conf"
        rules.write_text("local all guard scram-sha-256\n" + rules.read_text())
        self._run("pg_ctl", "-D", self.data, "reload")
        return self.uri(name).replace(_USER, f"guard:{quote(password, safe='')}")

    def run_sql(self, name: str, statement: str) -> None:
        """Run a statement that may stand in no transaction."""
        self._run("psql", "-h", self.folder, "-U", _USER, "-d", name, "-c", statement)

    def uri(self, name: str, **more: str) -> str:
        """Return the URI of a database."""
        extra = "".join(f"&{key}={quote(value, safe='')}" for key, value in more.items())
        return f"postgresql://{_USER}@/{name}?host={quote(str(self.folder), safe='')}{extra}"

    def environment(self, name: str) -> Mapping[str, str]:
        """Return what lets ``postgresql://`` lead to a database."""
        return {"PGHOST": str(self.folder), "PGUSER": _USER, "PGDATABASE": name}


@contextmanager
def server() -> Iterator[Server]:
    """Yield a server that runs; nothing of it is left afterwards."""
    # a short path, as that of a socket has at most 107 bytes, and one that a user other than root can reach
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        if os.getuid() == 0:
            os.chown(folder, 65534, 65534)
        made = Server(folder)
        made.start()
        try:
            yield made
        finally:
            if (made.data / "postmaster.pid").exists():
                made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
