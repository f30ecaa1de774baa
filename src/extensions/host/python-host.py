"""Runs one Python extension for bpbroker, in a process of its own (docs/extensions.md, "Hosts").

The broker sends calls as lines of JSON on standard input; answers go back on standard output, each after a mark. The
extension itself can use neither: its own output goes to standard error, and so to the broker's log.
"""

import sys

# The extension directory, from which `-c` would load the library's own modules; see load().
if sys.path and sys.path[0] == "":
    sys.path.pop(0)

import base64
import collections.abc
import importlib
import importlib.machinery
import importlib.util
import inspect
import json
import os
import queue
import threading
import traceback
import types

PART_BYTES = 64 * 1024

name = os.environ.pop("BPBROKER_EXTENSION_NAME")
file = os.environ.pop("BPBROKER_EXTENSION_FILE")
directory = os.environ.pop("BPBROKER_EXTENSION_DIR")
mark = os.environ.pop("BPBROKER_EXTENSION_MARK")

requests = os.fdopen(os.dup(0), "r", encoding="utf-8", newline="\n")
answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)

writing = threading.Lock()
calls = queue.Queue()
asked = {}
current = None


class BrokerError(Exception):
    """A refusal of the broker, with the code and the HTTP status of its error table."""

    def __init__(self, code, status, message):
        super().__init__(message)
        self.code = code
        self.status = status


def send(**frame):
    text = mark + json.dumps(frame, allow_nan=False) + "\n"
    with writing:
        answers.write(text)
        answers.flush()


def printed(number):
    """Marks the place in the extension's own output up to which a call has printed."""
    try:
        # A line without an end is ended, so that it is not continued by the next call.
        os.write(2, ("\n" + mark + json.dumps({"type": "printed", "id": number}) + "\n").encode())
    except OSError:
        pass  # The extension has closed it, and the broker waits no longer than a moment.


def read():
    """Reads in a separate thread: the process then ends with its broker, whatever the extension is doing."""
    for line in requests:
        frame = json.loads(line)
        if frame["type"] == "call":
            calls.put(frame)
        elif frame["type"] == "answer":
            waiting = asked.pop(frame["id"], None)
            if waiting is not None:
                waiting.put(frame)
    os._exit(0)


def ask(question):
    waiting = queue.Queue()
    with writing:
        ask.count += 1
        number = ask.count
    asked[number] = waiting
    send(type="ask", id=number, call=current, question=question)
    answer = waiting.get()
    if "error" in answer:
        error = answer["error"]
        raise BrokerError(error["code"], error["status"], error["message"])
    return answer["envelope"]


ask.count = 0


class RLock:
    """A lock among all calls of Python extensions, in any process."""

    def __enter__(self):
        ask({"lock": ""})
        return self

    def __exit__(self, *_):
        ask({"unlock": ""})

    def acquire(self):
        self.__enter__()
        return True

    def release(self):
        self.__exit__()


def visible(stamped):
    """The data of an entry as a user sees it: the string, or the object without its stamps."""
    data = {key: value for key, value in stamped.items() if key not in ("last_write_ts", "last_write_ip")}
    return data["_str"] if list(data) == ["_str"] else data


class Registry:
    """The broker's registry. Errors are BrokerError, whose `code` says what is wrong."""

    def _call(self, method, **params):
        given = {key: value for key, value in params.items() if value is not None}
        return ask({"services": method, "params": given})

    def register(self, name, data, ttl=None, if_same=None):
        return visible(self._call("Register", name=name, data=data, ttl=ttl, if_same=if_same)["data"])

    def replace(self, name, data, ttl=None, if_revision=None):
        return visible(self._call("Replace", name=name, data=data, ttl=ttl, if_revision=if_revision)["data"])

    def update(self, name, data, ttl=None, if_revision=None):
        return visible(self._call("Update", name=name, data=data, ttl=ttl, if_revision=if_revision)["data"])

    def get(self, name, wait=None):
        return visible(self._call("Get", name=name, wait=wait)["data"])

    def delete(self, name, if_revision=None):
        self._call("Delete", name=name, if_revision=if_revision)

    def list(self, prefix=""):
        """All entries whose names start with `prefix`: a dict of name and data."""
        entries, after = {}, None
        while True:
            page = self._call("List", prefix=prefix, after=after)["data"]
            entries.update((entry["name"], visible(entry["data"])) for entry in page["entries"])
            after = page.get("next")
            if after is None:
                return entries


class Services(collections.abc.MutableMapping):
    """`bpbroker.config.data['services']`: the registry in the form in which the original's modules use it."""

    def __getitem__(self, name):
        try:
            return registry._call("Get", name=name)["data"]
        except BrokerError as error:
            if error.code != "not_found":
                raise
            raise KeyError(name) from error

    def __setitem__(self, name, data):
        kept = {key: value for key, value in data.items() if not key.startswith("last_write_")}
        registry.replace(name, kept)

    def __delitem__(self, name):
        registry.delete(name)

    def __iter__(self):
        return iter(registry.list())

    def __len__(self):
        return len(registry.list())


class Log:
    """Writes to the broker's log."""

    def debug(self, message):
        send(type="log", level="debug", message=str(message))

    def info(self, message):
        send(type="log", level="info", message=str(message))

    def warn(self, message):
        send(type="log", level="warn", message=str(message))

    def error(self, message):
        send(type="log", level="error", message=str(message))


class RequestHandler:
    """The argument of a method, which answers by setting `data`, or `status` and `status_message`."""

    def __init__(self, call):
        self.method = call["method"]
        self.qs = call["params"]
        self.config = call["config"]
        self.registry = registry
        self.log = log
        self.status = 200
        self.status_message = ""
        self.content_type = "application/json"
        self.data = ""
        self._client_address = call["clientAddress"]

    def RequestingHost(self):
        return self._client_address


registry = Registry()
log = Log()

bpbroker = types.ModuleType("bpbroker")
bpbroker.BrokerError = BrokerError
bpbroker.config = types.SimpleNamespace(rlock=RLock(), data={"services": Services()})
sys.modules["bpbroker"] = bpbroker


class SourceLoader(importlib.machinery.SourceFileLoader):
    """Loads sources only. Another user may have written the byte code beside them: it is neither read nor written."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def own_finder(path):
    """Finds modules only within the extension directory: sources, and libraries in machine code."""
    if not (os.path.realpath(path) + os.sep).startswith(os.path.realpath(directory) + os.sep):
        raise ImportError(path + " is not within the extension directory", path=path)
    return importlib.machinery.FileFinder(
        path,
        (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
        (SourceLoader, importlib.machinery.SOURCE_SUFFIXES),
    )


def load():
    sys.path_hooks.insert(0, own_finder)
    sys.path_importer_cache.clear()
    sys.path.append(directory)
    if "." in name:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, file, loader=SourceLoader(name, file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def methods_of(module):
    """Only methods that the module itself defines: imported ones are not offered to the network."""
    functions = inspect.getmembers(module, inspect.isfunction)
    return {key: value for key, value in functions if value.__module__ == name and not key.startswith("_")}


def part(body):
    if isinstance(body, str):
        return {"text": body}
    return {"base64": base64.b64encode(body).decode("ascii")}


def send_parts(number, parts):
    for body in parts:
        if not isinstance(body, (str, bytes, bytearray)):
            raise TypeError("a part of the answer is neither str nor bytes, but " + type(body).__name__)
        for at in range(0, len(body), PART_BYTES):
            send(type="part", id=number, **part(body[at : at + PART_BYTES]))
    send(type="end", id=number)


def answer(number, rh):
    data = rh.data
    head = {"status": int(rh.status), "contentType": rh.content_type}
    if inspect.isgenerator(data):
        send(type="start", id=number, **head)
        return send_parts(number, data)
    if data is None:
        data = ""
    if not isinstance(data, (str, bytes, bytearray)):
        data = json.dumps(data, allow_nan=False)
    if len(data) <= PART_BYTES:
        return send(type="reply", id=number, **head, **part(data))
    send(type="start", id=number, **head)
    send_parts(number, [data])


def fail(number, message, status=500):
    valid = isinstance(status, int) and 400 <= status <= 599
    send(type="fail", id=number, message=message, status=status if valid else 500)


def run(module, call):
    methods = methods_of(module)
    number, method = call["id"], call["method"]
    if method not in methods:
        known = ", ".join(methods) or "none"
        return fail(number, f"Extension '{name}' has no method '{method}'; it has {known}", 404)
    bpbroker.config.data[name] = call["config"]
    rh = RequestHandler(call)
    methods[method](rh)
    if 200 <= int(rh.status) <= 299:
        return answer(number, rh)
    message = str(rh.status_message) or f"Extension '{name}' answered with status {rh.status}"
    fail(number, message, int(rh.status))


def main():
    global current
    threading.Thread(target=read, daemon=True).start()
    try:
        module = load()
    except BaseException as error:
        traceback.print_exc()
        send(type="unloadable", message=f"{type(error).__name__}: {error}")
        os._exit(1)
    send(type="ready")
    while True:
        call = calls.get()
        current = call["id"]
        try:
            run(module, call)
        except Exception as error:
            traceback.print_exc()
            fail(current, str(error) or type(error).__name__, getattr(error, "status", 500))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            printed(current)
            current = None


main()
