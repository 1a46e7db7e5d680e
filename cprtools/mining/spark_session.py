"""A Spark session that says nothing of its own, and what its failures mean for a user."""

import contextlib
import logging
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cprtools.errors import (
    CprError,
    DataError,
    MissingExtraError,
    SchemaError,
    UsageError,
    quote,
)
from cprtools.mining.rules import size_bytes
from cprtools.tables import explain
from cprtools.tables.leftovers import temporary_folder
from cprtools.tables.source import Source

# what the rows depend on: nobody else decides it
_FIXED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.caseSensitive": "true",
    "spark.sql.legacy.parquet.nanosAsLong": "true",
}
_DEFAULTS = {
    "spark.app.name": "cprtools mine-pairs",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
}
_PACKAGE = Path(__file__).resolve().parents[1]
_LEAST_MEMORY = 512_000_000
# rows read from this much of a file, and what is made of them, fit into the memory of one task
_BYTES_OF_A_TASK = 4 << 20
_MOST_TASKS = 2000
_LAST_WORDS = 1 << 16
_LONGEST_REASON = 200
# a value that a cast refused, a damaged file, a broken line
_UNREAD = re.compile("USER_RAISED_EXCEPTION|FAILED_READ_FILE|MALFORMED_(CSV_)?RECORD")
_NOISE = re.compile(
    r'^(Exception in thread "main" )?[\w.]+: (\[[A-Z_.]+\] )?|\s*SQLSTATE: \w+|\.?$'
)
_LOUD = ("py4j", "SQLQueryContextLogger", "DataFrameQueryContextLogger")


@dataclass(frozen=True)
class SparkCluster:
    """Where Spark runs, and with which settings of the user's own.

    Raises UsageError for settings that are not Spark's, or that decide the rows.
    """

    master: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    memory_limit: str = "2GB"
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in self.settings:
            if not name.startswith("spark."):
                raise UsageError(f"--spark-conf {quote(name)}: settings of Spark begin with spark.")
            if name in _FIXED or name == "spark.master":
                raise UsageError(f"--spark-conf {name} is decided by cprtools and its options")

    @property
    def where(self) -> str:
        """The master's address; this machine where none is named."""
        return self.master or f"local[{self.threads or '*'}]"

    @property
    def is_local(self) -> bool:
        """Whether everything runs on this machine."""
        return self.where == "local" or self.where.startswith("local[")

    def configuration(self, source: Source, folder: Path) -> dict[str, str]:
        """All settings of a session that is to read this source; the user's own go last."""
        found = {**_DEFAULTS, "spark.master": self.where}
        if self.is_local:
            memory = size_bytes(self.memory_limit)
            if memory < _LEAST_MEMORY and "spark.driver.memory" not in self.settings:
                raise UsageError(
                    f"--memory-limit {self.memory_limit} is too small: Spark needs 512MB"
                )
            size = sum(Path(path).stat().st_size for path in source.paths)
            tasks = max(self._processors(), min(_MOST_TASKS, size // _BYTES_OF_A_TASK))
            found |= {
                "spark.driver.memory": f"{memory >> 20}m",
                "spark.executorEnv.PYTHONPATH": str(_PACKAGE.parent),
                "spark.driver.host": "127.0.0.1",
                "spark.driver.bindAddress": "127.0.0.1",
                "spark.local.dir": str(folder),
                "spark.sql.warehouse.dir": str(folder / "warehouse"),
                "spark.sql.shuffle.partitions": str(tasks),
            }
        return {**found, **self.settings, **_FIXED}

    def _processors(self) -> int:
        return self.threads or len(os.sched_getaffinity(0))


@contextlib.contextmanager
def open_session(cluster: SparkCluster, source: Source) -> Iterator[Any]:
    """A SparkSession for reading this source, stopped at the end unless Spark ran before.

    Raises MissingExtraError without PySpark or Java, UsageError for a master or settings that
    Spark does not take, DataError where it does not start. Failures inside the block become the
    errors that they are for a user.
    """
    try:
        import pyspark
        from pyspark.sql import SparkSession
    except ImportError:
        raise MissingExtraError(
            "--engine spark needs PySpark: pip install 'cprtools[spark]'"
        ) from None
    with contextlib.ExitStack() as stack:
        stack.enter_context(_silent_loggers())
        running = pyspark.SparkContext._active_spark_context is not None
        if running:
            # beside the caller's own session, whose settings and views are not ours to change
            session = SparkSession.builder.getOrCreate().newSession()
            heard: list[str] = []
        else:
            place = stack.enter_context(temporary_folder())
            settings = cluster.configuration(source, place)
            session, heard = _start(cluster, settings)
            stack.callback(_stop, session)
            if not cluster.is_local:
                _send_package(session, place)
        with _translated(cluster, source, heard):
            _configure(session, cluster, running)
            yield session


def _configure(session: Any, cluster: SparkCluster, running: bool) -> None:
    # set once more: Spark looks at the values of its SQL settings only now
    for name, value in {**cluster.settings, **_FIXED}.items():
        if session.conf.isModifiable(name):
            session.conf.set(name, value)
        elif running:
            raise UsageError(
                f"--spark-conf {name}: Spark runs already and takes it at its start only"
            )


def _start(cluster: SparkCluster, settings: Mapping[str, str]) -> tuple[Any, list[str]]:
    from py4j.protocol import Py4JError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    _require_java()
    conf = SparkConf(loadDefaults=False).setAll(list(settings.items()))
    loud = "spark.log.level" in cluster.settings
    heard: list[str] = []
    # PySpark takes ctrl-c for itself
    handler = signal.getsignal(signal.SIGINT)
    try:
        if SparkContext._gateway is None:
            with _listening(heard) as pipe:
                gateway = launch_gateway(conf, {} if loud else {"stderr": pipe, "stdout": pipe})
        else:
            gateway = SparkContext._gateway
        with _workers_like_this(cluster):
            return SparkSession(SparkContext(conf=conf, gateway=gateway)), heard
    except (Py4JError, PySparkException) as error:
        raise _no_start(cluster, _reason(error, heard)) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def _workers_like_this(cluster: SparkCluster) -> Iterator[None]:
    """Let tasks on this machine run in this Python; elsewhere PYSPARK_PYTHON or python3 is it."""
    name = "PYSPARK_PYTHON"
    if not cluster.is_local or name in os.environ:
        yield
        return
    os.environ[name] = sys.executable
    try:
        yield
    finally:
        del os.environ[name]


def _send_package(session: Any, folder: Path) -> None:
    # executors elsewhere then need PyArrow and numpy alone
    packed = shutil.make_archive(
        str(folder / "package"), "zip", root_dir=_PACKAGE.parent, base_dir=_PACKAGE.name
    )
    session.sparkContext.addPyFile(packed)


def _stop(session: Any) -> None:
    from py4j.protocol import Py4JError

    # where Java is gone there is nothing left to stop
    with contextlib.suppress(Py4JError, OSError):
        session.stop()


def _require_java() -> None:
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        raise MissingExtraError(
            "--engine spark needs Java 17 or newer: no java on PATH and no JAVA_HOME"
        )


def _no_start(cluster: SparkCluster, reason: str) -> CprError:
    if "UnsupportedClassVersion" in reason:
        return MissingExtraError("--engine spark needs Java 17 or newer; the java here is older")
    named = [] if cluster.master is None else [f"--master {cluster.master}"]
    named += [f"--spark-conf {name}={value}" for name, value in cluster.settings.items()]
    if named:
        return UsageError(f"{' '.join(named)}: Spark does not start: {reason}")
    return DataError(f"--engine spark: Spark does not start: {reason}")


@contextlib.contextmanager
def _silent_loggers() -> Iterator[None]:
    # Py4J tells of an interrupt by way of the root logger, which then makes itself a handler
    quiet = logging.NullHandler()
    logging.getLogger().addHandler(quiet)
    levels = {name: logging.getLogger(name).level for name in _LOUD}
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(quiet)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def _listening(heard: list[str]) -> Iterator[int]:
    """A pipe for what Java says; its last words are kept for an error message."""
    reader, writer = os.pipe()

    def listen() -> None:
        while block := os.read(reader, 4096):
            heard[:] = ["".join([*heard, block.decode(errors="replace")])[-_LAST_WORDS:]]
        os.close(reader)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield writer
    finally:
        # Java holds its own end by now
        os.close(writer)


@contextlib.contextmanager
def _translated(cluster: SparkCluster, source: Source, heard: list[str]) -> Iterator[None]:
    from py4j.protocol import Py4JError
    from pyspark.errors import AnalysisException, PySparkException

    try:
        yield
    except AnalysisException as error:
        if error.getCondition() == "CANNOT_MODIFY_CONFIG":
            raise UsageError(f"--spark-conf: {_reason(error, heard)}") from error
        raise
    except (Py4JError, PySparkException) as error:
        raise _failure(cluster, source, error, heard) from error


def _failure(cluster: SparkCluster, source: Source, error: Exception, heard: list[str]) -> CprError:
    said = "\n".join([*_causes(error), *heard])
    if _UNREAD.search(said):
        return _unread(source, error, said)
    if "INVALID_CONF_VALUE" in said:
        return UsageError(f"--spark-conf: {_reason(error, heard)}")
    if "OutOfMemoryError" in said:
        return UsageError(f"--memory-limit {cluster.memory_limit} is too small here")
    if "No space left on device" in said:
        return DataError("the temporary folder is full; TMPDIR names another")
    return DataError(f"--engine spark: {_reason(error, heard)}")


def _unread(source: Source, error: Exception, said: str) -> CprError:
    # the other engine says which file, line and value it was; it also refuses what Spark refuses
    found = explain(source, DataError(said))
    if isinstance(found, DataError) and "USER_RAISED_EXCEPTION" in said:
        return SchemaError(f"{source.label}: --engine spark cannot read {_reason(error, [])}")
    return found


def _causes(error: Exception) -> list[str]:
    """What an error in Java and its causes say, the innermost last."""
    found = []
    cause = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    while cause is not None:
        found.append(f"{cause.getClass().getSimpleName()}: {cause.getMessage()}")
        cause = cause.getCause()
    return found


def _reason(error: Exception, heard: list[str]) -> str:
    # the first line says what happened, in a stack trace too
    lines = [line.strip() for line in "".join(heard).splitlines() if line.strip()]
    telling = [line for line in lines if re.search("Exception|Error|[Ii]nvalid|No such", line)]
    text = [*_causes(error)[-1:], *telling, *lines, "Java ended without a word"][0]
    if "Traceback (most recent call last)" in text:
        text = text.strip().splitlines()[-1]
    text = _NOISE.sub("", text)
    return " ".join(text.split())[:_LONGEST_REASON]
