"""Pickles of moto's backends and of localcloud's own state.

What lives as long as the server (backends, the objects that the extensions name as anchors) is written by name and found
again by name. Locks are made anew, private keys go through DER, functions made within functions are kept by value, and
the content of large S3 objects lies in files of its own.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import marshal
import os
import pickle
import sys
import threading
from collections import defaultdict
from pathlib import Path
from types import CellType, FunctionType
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from moto.core.base_backend import BackendDict, BaseBackend
from moto.s3.models import FakeKey

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGE_BYTES = 64 * 1024
_LOCKS: dict[type, Any] = {type(threading.Lock()): threading.Lock, type(threading.RLock()): threading.RLock}
_SERVICES: dict[type, str] = {}
_PRIVATE_KEYS = PrivateKeyTypes.__args__  # type: ignore[attr-defined]  # a union of classes


def dumps(value: Any, anchors: Mapping[str, Any], contents: Path) -> bytes:
    """Pickle a value.

    :param anchors: objects that are written by name.
    :param contents: folder for the content of large S3 objects.
    :raises RuntimeError: another thread changed it meanwhile.
    """
    file = io.BytesIO()
    _Pickler(file, anchors, contents).dump(value)
    return file.getvalue()


def loads(data: bytes, anchors: Mapping[str, Any]) -> Any:
    """Read what :func:`dumps` wrote; only from a folder that none but this user can write."""
    return _Unpickler(io.BytesIO(data), anchors).load()


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, anchors: Mapping[str, Any], contents: Path) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._names = {id(anchor): name for name, anchor in anchors.items()}
        self._contents = contents

    def persistent_id(self, obj: Any) -> tuple[str, ...] | None:
        if isinstance(obj, BaseBackend):
            return ("backend", *place_of(obj))
        kind = type(obj)
        if kind.__module__.startswith("moto.ec2.models") and kind.__name__ in {"Ami", "Snapshot"}:
            return _image(obj)
        name = self._names.get(id(obj))
        return None if name is None else ("anchor", name)

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) in _LOCKS:
            return _LOCKS[type(obj)], ()
        if isinstance(obj, type):
            return _by_true_name(obj)
        if isinstance(obj, defaultdict) and type(obj) is not defaultdict:
            return _default_dict, (type(obj), obj.default_factory), vars(obj) or None, None, iter(obj.items())
        if isinstance(obj, _PRIVATE_KEYS):
            return _private_key, (obj.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),)
        if isinstance(obj, FunctionType) and ("<locals>" in obj.__qualname__ or "<lambda>" in obj.__qualname__):
            cells = tuple(cell.cell_contents for cell in obj.__closure__ or ())
            return _function, (marshal.dumps(obj.__code__), obj.__module__, obj.__name__, obj.__defaults__, cells)
        if isinstance(obj, FakeKey) and not obj.disposed and obj.contentsize > LARGE_BYTES:
            state = {name: value for name, value in vars(obj).items() if name not in {"_value_buffer", "lock"}}
            return _object, (type(obj), state, str(self._keep(obj)))
        return NotImplemented

    def _keep(self, key: FakeKey) -> Path:
        """Write the content of an S3 object once: its ETag follows from it."""
        path = self._contents / hashlib.sha256(f"{key.etag} {key.contentsize}".encode()).hexdigest()
        if not path.exists():
            self._contents.mkdir(parents=True, exist_ok=True)
            write(path, key.value)
        return path


class _Unpickler(pickle.Unpickler):  # noqa: S301 - a folder of this user's own
    def __init__(self, file: io.BytesIO, anchors: Mapping[str, Any]) -> None:
        super().__init__(file)
        self._anchors = anchors

    def persistent_load(self, pid: Any) -> Any:
        kind, *rest = pid
        if kind == "anchor":
            return self._anchors[rest[0]]
        if kind == "backend":
            return backend_at(*rest)
        *place, image = rest
        found = backend_at(*place).amis[image]  # type: ignore[attr-defined]  # of EC2
        return found if kind == "image" else found.ebs_snapshot


def _function(code: bytes, module: str, name: str, defaults: tuple[Any, ...] | None, cells: tuple[Any, ...]) -> Any:
    names = vars(importlib.import_module(module))
    return FunctionType(marshal.loads(code), names, name, defaults, tuple(CellType(cell) for cell in cells))  # noqa: S302


def _image(resource: Any) -> tuple[str, ...] | None:
    """Name one of the public images that moto gives every account, or its snapshot: a megabyte; None for others."""
    backend = resource.ec2_backend
    image = backend.amis.get(resource.from_ami) if hasattr(resource, "from_ami") else resource
    if image is None or image.owner_id == backend.account_id:
        return None
    return "image" if image is resource else "image-snapshot", *place_of(backend), image.id


def _by_true_name(kind: type) -> Any:
    """Reduce a class of an extension, which bears the name of moto's module, to where it is; others go as usual."""
    if getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind or "." in kind.__qualname__:
        return NotImplemented
    for name, module in list(sys.modules.items()):
        if name.startswith("localcloud.") and vars(module).get(kind.__name__) is kind:
            return _attribute, (name, kind.__name__)
    return NotImplemented


def _attribute(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _default_dict(kind: type[defaultdict[Any, Any]], factory: Any) -> defaultdict[Any, Any]:
    """Make one of moto's dictionaries without its own arguments, which are attributes too."""
    made = kind.__new__(kind)
    made.default_factory = factory
    return made


def _private_key(der: bytes) -> PrivateKeyTypes:
    return load_der_private_key(der, None)


def _object(kind: type[FakeKey], state: dict[str, Any], path: str) -> FakeKey:
    made = object.__new__(kind)
    made.__setstate__({**state, "value": Path(path).read_bytes()})
    return made


def place_of(backend: BaseBackend) -> tuple[str, str, str, str]:
    """Return module, service, account and region, by which :func:`backend_at` finds a backend."""
    kind = type(backend)
    service = _SERVICES.get(kind)
    if service is None:
        service = _SERVICES[kind] = _service_of(kind)
    return kind.__module__, service, backend.account_id, backend.region_name


def _service_of(kind: type) -> str:
    for found in vars(importlib.import_module(kind.__module__)).values():
        if isinstance(found, BackendDict) and issubclass(kind, found.backend):
            return str(found.service_name)
    raise pickle.PicklingError(f"{kind.__name__} is in no BackendDict of {kind.__module__}")


def backends_of(module: str, service: str) -> BackendDict[Any]:
    """All accounts' backends of a service.

    :raises LookupError: moto has none of this name there.
    """
    for found in vars(importlib.import_module(module)).values():
        if isinstance(found, BackendDict) and found.service_name == service:
            return found
    raise LookupError(f"{module} has no backends of {service}")


def backend_at(module: str, service: str, account: str, region: str) -> BaseBackend:
    """Backend of an account in a region; one that is not there yet is made empty, to be filled with its state."""
    backends = backends_of(module, service)
    regions = backends[account]
    if service == "ec2":
        return regions[region]  # type: ignore[no-any-return]  # with moto's public images
    if region not in regions.keys():  # noqa: SIM118 - `in regions` is also true for what could be made
        made = object.__new__(backends.backend)
        made.region_name, made.account_id = region, account
        dict.__setitem__(regions, region, made)
    found: BaseBackend = dict.__getitem__(regions, region)
    return found


def write(path: Path, data: bytes) -> None:
    """Write a file so that it is whole or not there. It survives the death of this process, not that of the machine.

    No fsync: the databases do without as well, and it would cost each call some milliseconds.
    """
    making = path.with_name(f"{path.name}.{threading.get_ident()}.making")
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    making.replace(path)
