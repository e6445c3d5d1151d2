"""The units of one manager: which files each is made of, under which names, in which order they are merged."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.engine.services import reasons
from chopmark.engine.services.units import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.engine.services.rooted import Root
    from chopmark.engine.services.units.names import UnitName
    from chopmark.engine.services.units.paths import Scope

NULL = "/dev/null"
_DEPENDENCIES = (".wants", ".requires", ".upholds")


class Made(NamedTuple):
    """What a unit is made of: its own file (empty: none), drop-ins in the order they are read, all of its names.

    `links` are the links by which it has further names, with where they lead to as it is written.
    """

    name: str
    fragment: str
    dropins: tuple[str, ...]
    names: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()
    is_masked: bool = False
    wanted_by: tuple[str, ...] = ()


class Tree:
    """The unit files of one scope below a root, looked at once."""

    def __init__(self, root: Root, scope: Scope) -> None:
        self.scope = scope
        self.findings: list[Finding] = []
        self._root = root
        self._ids: dict[str, str] = {}
        """A name to the absolute path of its file, or to the name that it is a link to."""
        self._links: dict[str, str] = {}
        self._folders: dict[str, list[str]] = {}
        """The name of a folder with drop-ins to where there are some, the first that counts first."""
        self._wanted: dict[str, list[str]] = {}
        self._resolved: dict[str, str] = {}
        for folder in scope.folders:
            self._look(folder)
        self._others: dict[str, list[str]] = {}
        for name in self._ids:
            self._enter_other(name)

    def _look(self, folder: str) -> None:
        try:
            found = self._root.names(folder)
        except OSError as error:
            self.findings.append(reasons.UNREADABLE.found(os.strerror(error.errno or 0), subject=folder))
            return
        for name, is_link, is_folder in found:
            path = f"{folder}/{name}"
            if name.endswith((".d", *_DEPENDENCIES)) and (is_folder or is_link):
                if name.endswith(".d"):
                    self._folders.setdefault(name, []).append(path)
                else:
                    self._enter_wanted(path, name)
            elif not is_folder and names.parse(name) and name not in self._ids:
                self._enter(path, name, folder, is_link=is_link)

    def _enter_wanted(self, path: str, name: str) -> None:
        try:
            for each, is_link, _ in self._root.names(path):
                if is_link and names.parse(each):
                    self._wanted.setdefault(each, []).append(f"{name.rpartition('.')[0]}")
        except OSError as error:
            self.findings.append(reasons.UNREADABLE.found(os.strerror(error.errno or 0), subject=path))

    def _enter(self, path: str, name: str, folder: str, *, is_link: bool) -> None:
        """A file is itself, a link within the load path another name, any other link a file that stands elsewhere."""
        if not is_link:
            self._ids[name] = path
            return
        try:
            target = self._root.link(path)
        except OSError:
            return
        self._links[path] = target
        place = posixpath.normpath(posixpath.join(folder, target))
        place = "/" + place.lstrip("/")
        above, _, other = place.rpartition("/")
        if place == NULL or not self._is_within(above):
            self._ids[name] = path
            return
        alias, named = names.parse(name), names.parse(other)
        if other == name:
            self.findings.append(reasons.UNIT_ALIAS.found("of itself", subject=path))
        elif alias is None or named is None or not names.may_alias(alias, named):
            self.findings.append(reasons.UNIT_ALIAS.found(f"{name} is no name for {other}", subject=path))
        else:
            self._ids[name] = other

    def _is_within(self, folder: str) -> bool:
        """Whether a folder is of the load path, also by another name of it."""
        if folder in self.scope.folders:
            return True
        if folder not in self._resolved:
            found = self._root.get(folder)
            self._resolved[folder] = found.path if found else folder
        return any(self._real(each) == self._resolved[folder] for each in self.scope.folders)

    def _real(self, folder: str) -> str:
        if folder not in self._resolved:
            found = self._root.get(folder)
            self._resolved[folder] = found.path if found else folder
        return self._resolved[folder]

    def _file_of(self, name: str) -> str:
        """The path of the file that a name leads to; empty for none, and for names that lead in a circle."""
        for _ in range(limits.SERVICE_ALIASES_MAX):
            target = self._ids.get(name, "")
            if not target or target.startswith("/"):
                return target
            parsed = names.parse(target)
            if target not in self._ids and parsed is not None and parsed.is_instance:
                target = parsed.template.text
            name = target
        return ""

    def _enter_other(self, name: str) -> None:
        """What else the unit of this name is called."""
        path = self._file_of(name)
        if not path:
            if not self._ids[name].startswith("/"):
                self.findings.append(reasons.UNIT_ALIAS.found("leads to no unit", subject=name))
            return
        if self._is_masked(path):  # and with it, everything that it is called besides
            return
        own = names.parse(path.rpartition("/")[2])
        parsed = names.parse(name)
        if own is not None and parsed is not None and own.is_template and parsed.is_instance:
            own = own._replace(instance=parsed.instance)
        if own is not None and own.text != name:
            self._others.setdefault(own.text, []).append(name)

    def unit_names(self) -> list[str]:
        """Every unit that there is, by its own name: files, and instances of templates that something asks for."""
        found: dict[str, None] = {}
        asked = (*self._ids, *self._wanted, *(each[:-2] for each in self._folders))
        for name in sorted(asked):
            parsed = names.parse(name)
            path = self._file_of(name) if parsed else ""
            if parsed is None:
                continue
            if not path and parsed.is_instance:
                path = self._file_of(parsed.template.text)
            own = names.parse(path.rpartition("/")[2]) if path else None
            if own is None:
                continue
            found[
                own._replace(instance=parsed.instance).text if own.is_template and parsed.is_instance else own.text
            ] = None
            if len(found) > limits.SERVICE_UNITS_MAX:
                self.findings.append(reasons.UNREADABLE.found("too many units", subject=self.scope.name))
                break
        return sorted(found)

    def made(self, name: str) -> Made | None:
        """What the unit of any of its names is made of; None where there is no such unit."""
        asked = names.parse(name)
        if asked is None:
            return None
        fragment = self._file_of(name)
        if not fragment and asked.is_instance:
            fragment = self._file_of(asked.template.text)
        own = names.parse(fragment.rpartition("/")[2]) if fragment else None
        if own is None:
            return None
        if own.is_template and asked.is_instance:
            own = own._replace(instance=asked.instance)
        called = self._called(own, asked, is_template=fragment.rpartition("/")[2] != own.text)
        masked = self._is_masked(fragment)
        dropins = () if masked else tuple(self._dropins([own, *(each for each in called if each != own)]))
        texts = [each.text for each in called]
        links = [
            (path, target) for path, target in self._links.items() if path == fragment or self._is_alias(path, texts)
        ]
        wanted = sorted({each for text in (own.text, *texts) for each in self._wanted.get(text, ())})
        return Made(own.text, fragment, dropins, tuple(texts), tuple(sorted(links)), masked, tuple(wanted))

    def _is_alias(self, path: str, texts: list[str]) -> bool:
        folder, _, name = path.rpartition("/")
        return name in texts and folder in self.scope.folders and not self._ids.get(name, "/").startswith("/")

    def _called(self, own: UnitName, asked: UnitName, *, is_template: bool) -> list[UnitName]:
        """All names, its own first. Other names of the template count where the file is the template's."""
        found = {own.text, asked.text, *self._others.get(own.text, ())}
        if own.is_instance and is_template:
            for name in self._others.get(own.template.text, ()):
                parsed = names.parse(name)
                if parsed is not None and parsed.is_template:
                    text = parsed._replace(instance=own.instance).text
                    if text not in self._ids:  # else it has a file of its own
                        found.add(text)
        called = [parsed for name in sorted(found) if (parsed := names.parse(name)) is not None]
        return [own, *(each for each in called if each != own)]

    def _is_masked(self, fragment: str) -> bool:
        """A link to /dev/null, or a file without a byte in it."""
        if self._links.get(fragment) == NULL:
            return True
        found = self._root.get(fragment)
        if found is None:
            return False
        return found.path == NULL or (found.is_file and not found.state.st_size)

    def _dropins(self, called: list[UnitName]) -> Iterator[str]:
        """For each file name the first place that has it; in the order of the names."""
        chosen: dict[str, str] = {}
        for folder in self._dropin_folders(called):
            try:
                listed = self._root.names(folder)
            except OSError as error:
                self.findings.append(reasons.UNREADABLE.found(os.strerror(error.errno or 0), subject=folder))
                continue
            for name, _, is_folder in listed:
                if name.endswith(".conf") and not name.startswith(".") and not is_folder:
                    chosen.setdefault(name, f"{folder}/{name}")
        for name in sorted(chosen, key=os.fsencode):
            yield chosen[name]

    def _dropin_folders(self, called: list[UnitName]) -> Iterator[str]:
        for each in called:
            wanted = names.folders(each)
            for above in self.scope.folders:
                for name in wanted:
                    path = f"{above}/{name}"
                    if path in self._folders.get(name, ()):
                        yield path
        yield from self._folders.get(f"{called[0].type}.d", ())
