"""A CIB as the catalogue sees it: what the catalogue owns there, what it means in effect, and the CIB after a change."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lxml import etree

from ocfpy.services.cib_xml import parts
from ocfpy.services.composition import TAG, Colocation, Order, Prefer, WhereAlive, has_made

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ocfpy.services.composition import Composition

Element = Any
_REFERENCES = ("rsc", "with-rsc", "first", "then", "template", "reference")
"""Attributes that hold the id of a resource, in constraints, in primitives and in ACLs."""

_REFERENCE_ELEMENTS = ("obj_ref", "resource_ref")
"""Elements whose id is that of a resource, in tags and in resource sets."""


class CibError(Exception):
    """The CIB cannot be read, or the change cannot be made in it; each reason is a sentence."""

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = list(reasons)
        super().__init__("; ".join(self.reasons))


@dataclass(frozen=True)
class Effective:
    """What a resource of the CIB is, its template included. clone is None for a resource that is not cloned."""

    agent: str
    parameters: dict[str, str]
    meta: dict[str, str]
    operations: dict[str, dict[str, str]]
    clone: dict[str, str] | None


class Cib:
    """A CIB; it is never changed, replaced returns another one."""

    def __init__(self, root: Element) -> None:
        self.root = root
        configuration = root.find("configuration")
        if configuration is None:
            raise CibError(["the document has no <configuration>: it is not a CIB"])
        self.configuration: Element = configuration
        tagged = {ref.get("id") for ref in configuration.iterfind(f"tags/tag[@id='{TAG}']/obj_ref")}
        self.own = {*tagged, *self._left_behind()}
        """The ids of the catalogue's templates, primitives and clones: what is tagged, and what was, see _left_behind."""

    def _left_behind(self) -> Iterator[str]:
        """What a crm configure load update leaves without a tag: it replaces the tag, and removes no resource."""
        for primitive in self.configuration.iterfind("resources//primitive"):
            template = primitive.get("template") or ""
            if has_made(primitive.get("id"), template):
                parent = primitive.getparent()
                yield from (primitive.get("id"), template, *((parent.get("id"),) if parent.tag == "clone" else ()))

    @classmethod
    def parse(cls, data: bytes) -> Cib:
        """Return the CIB of an XML document. Raises CibError."""
        parser = etree.XMLParser(remove_blank_text=True, resolve_entities=False, no_network=True)
        try:
            return cls(etree.fromstring(data, parser))
        except etree.XMLSyntaxError as error:
            raise CibError([f"the CIB is not XML: {error}"]) from None

    def text(self) -> bytes:
        """The document, one element a line."""
        return bytes(etree.tostring(self.root, pretty_print=True))

    def owned(self) -> list[Element]:
        """The elements that the catalogue made: templates and resources, the tag, and constraints between these with its ids."""
        found = [element for element in self._section("resources") if self._is_owned(element)]
        found += [element for element in self._section("constraints") if _is_derived(element, self.own)]
        return found + [element for element in self._section("tags") if element.get("id") == TAG]

    def _section(self, name: str) -> list[Element]:
        return list(self.configuration.iterfind(f"{name}/*"))

    def _is_owned(self, element: Element) -> bool:
        """Whether it is tagged; a clone that was made around a tagged primitive is as good as that."""
        names = {element.get("id"), *(part.get("id") for part in element.iterfind("primitive") if element.tag == "clone")}
        return bool(names & self.own)

    def resources(self) -> dict[str, Effective]:
        """The resources that the catalogue made, by id; templates are part of these."""
        templates = {template.get("id"): template for template in self.configuration.iterfind("resources/template")}
        found = {}
        for element in self._section("resources"):
            if self._is_owned(element) and element.tag != "template":
                primitive = element if element.tag == "primitive" else element.find("primitive")
                if primitive is not None:
                    clone = _pairs(element, "meta") if element.tag == "clone" else None
                    found[primitive.get("id")] = _effective(primitive, templates.get(primitive.get("template")), clone)
        return found

    def constraints(self) -> dict[str, dict[str, str]]:
        """The constraints that the catalogue made: by id, their attributes, and a rule as canonical text."""
        own = (element for element in self._section("constraints") if _is_derived(element, self.own))
        return {element.get("id"): _attributes(element) for element in own}

    def replaced(self, composition: Composition) -> Cib:
        """Return the CIB with this composition in place of the catalogue's former one. Raises CibError.

        Everything else stays as it is, in the order in which it is.
        """
        new = Cib(copy.deepcopy(self.root))
        places: dict[str, int] = {}
        for element in new.owned():
            section = element.getparent()
            places.setdefault(section.tag, section.index(element))
            section.remove(element)
        self._check(new, composition)
        built = parts(composition)
        for name, elements in (("resources", built.resources), ("constraints", built.constraints), ("tags", built.tags)):
            section = new.configuration.find(name)
            if section is None and elements:
                section = etree.SubElement(new.configuration, name)
            place = places.get(name, 0 if section is None else len(section))
            for number, element in enumerate(elements):
                section.insert(place + number, element)
            if section is not None and name == "tags" and not len(section):
                new.configuration.remove(section)
        return Cib(new.root)

    def _check(self, rest: Cib, composition: Composition) -> None:
        """What is left after the removal neither has an id that is needed nor refers to what is gone."""
        wanted = {element.get("id") for element in _with_ids(composition)}
        taken = {element.get("id") for element in rest.configuration.iter(etree.Element) if _defines(element)}
        reasons = [
            f"{name} is in the CIB already, and is not the catalogue's: rename one of the two" for name in sorted(wanted & taken)
        ]
        gone = {name for name in self.own if name not in taken and name not in set(composition.tagged())}
        for element in rest.configuration.iter(etree.Element):
            is_reference = element.tag in _REFERENCE_ELEMENTS
            names = [element.get("id")] if is_reference else [element.get(name) for name in _REFERENCES]
            holder = element.getparent() if is_reference else element
            reasons += [
                f"{holder.get('id')} refers to {name}, which the catalogue has no more: remove it there first"
                for name in names
                if name in gone
            ]
        if reasons:
            raise CibError(sorted(set(reasons)))


def _with_ids(composition: Composition) -> Iterator[Element]:
    built = parts(composition)
    for top in (*built.resources, *built.constraints, *built.tags):
        for element in top.iter():
            if _defines(element):
                yield element


def _defines(element: Element) -> bool:
    """Whether the element has an id of its own, and does not only name another one's."""
    return bool(element.get("id")) and element.tag not in _REFERENCE_ELEMENTS


def _is_derived(element: Element, own: set[str]) -> bool:
    """Whether a constraint is the catalogue's: its resources are, and its id is the one that the catalogue derives from them."""
    ends = [value for name, value in element.items() if name in ("rsc", "with-rsc", "first", "then")]
    if not ends or not set(ends) <= own:
        return False
    if element.tag == "rsc_colocation" and len(ends) == 2:
        names = [Colocation(element.get("rsc"), element.get("with-rsc"), score).id for score in ("INFINITY", "")]
    elif element.tag == "rsc_order" and len(ends) == 2:
        names = [Order(element.get("first"), element.get("then")).id]
    else:
        names = [WhereAlive(ends[0], "").id, Prefer(ends[0], "").id]
    return element.get("id") in names


def _effective(primitive: Element, template: Element | None, clone: dict[str, str] | None) -> Effective:
    base = primitive if template is None else template
    return Effective(
        ":".join(filter(None, (base.get("class"), base.get("provider"), base.get("type")))),
        {**_pairs(base, "instance"), **_pairs(primitive, "instance")},
        {**_pairs(base, "meta"), **_pairs(primitive, "meta")},
        {**_operations(base), **_operations(primitive)},
        clone,
    )


def _pairs(element: Element, kind: str) -> dict[str, str]:
    return {pair.get("name"): pair.get("value") or "" for pair in element.iterfind(f"{kind}_attributes/nvpair")}


def _operations(element: Element) -> dict[str, dict[str, str]]:
    found = {}
    for operation in element.iterfind("operations/op"):
        found[operation.get("name")] = {name: value for name, value in operation.items() if name not in ("id", "name")}
    return found


def _attributes(constraint: Element) -> dict[str, str]:
    """A constraint without the ids inside it, and without what Pacemaker takes for granted, which pcs writes."""
    found = {name: value for name, value in constraint.items() if name != "id" and (name, value) not in _GRANTED}
    for rule in constraint:
        bare = copy.deepcopy(rule)
        for element in bare.iter():
            element.attrib.pop("id", None)
        found["rule"] = found.get("rule", "") + etree.tostring(bare, method="c14n").decode()
    return found


_GRANTED = {("first-action", "start"), ("then-action", "start")}
