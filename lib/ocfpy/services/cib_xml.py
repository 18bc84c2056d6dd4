"""Writes a composition as elements of the CIB, and puts them in the place of what the catalogue had there before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lxml import etree

from ocfpy.services.composition import (
    CLONE_META,
    PREFERENCE,
    TAG,
    Colocation,
    Order,
    Prefer,
    WhereAlive,
    full_agent,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocfpy.services.composition import Composition, Constraint, Operation, Resource, Template

Element = Any
"""An lxml element, which has no types of its own."""


@dataclass(frozen=True)
class Parts:
    """The elements of a composition, by the section of the CIB that they belong to."""

    resources: tuple[Element, ...]
    constraints: tuple[Element, ...]
    tags: tuple[Element, ...]


def parts(composition: Composition) -> Parts:
    """Return the elements, in the order in which the CIB will have them."""
    tag = etree.Element("tag", id=TAG)
    for name in composition.tagged():
        etree.SubElement(tag, "obj_ref", id=name)
    return Parts(
        (*map(_template, composition.templates), *map(_resource, composition.resources)),
        tuple(map(_constraint, composition.constraints)),
        (tag,) if len(tag) else (),
    )


def document(composition: Composition) -> str:
    """Return a <configuration> with nothing but the composition."""
    root = etree.Element("configuration")
    found = parts(composition)
    for section, elements in (("resources", found.resources), ("constraints", found.constraints), ("tags", found.tags)):
        etree.SubElement(root, section).extend(elements)
    return str(etree.tostring(root, pretty_print=True, encoding="unicode"))


def _template(template: Template) -> Element:
    element = etree.Element("template", id=template.id, **_agent(template.agent))
    _fill(element, template.id, template.parameters, template.meta, template.operations)
    return element


def _resource(resource: Resource) -> Element:
    primitive = etree.Element("primitive", id=resource.id, template=resource.template.id)
    _fill(primitive, resource.id, resource.parameters, resource.meta, resource.operations)
    if not resource.is_cloned:
        return primitive
    clone = etree.Element("clone", id=resource.top)
    _nvpairs(clone, "meta_attributes", resource.top, CLONE_META)
    clone.append(primitive)
    return clone


def _agent(agent: str) -> dict[str, str]:
    provider, name = full_agent(agent)
    return {"class": "ocf", "provider": provider, "type": name}


def _fill(
    element: Element, name: str, parameters: Mapping[str, str], meta: Mapping[str, str], operations: Mapping[str, Operation]
) -> None:
    _nvpairs(element, "instance_attributes", name, parameters)
    _nvpairs(element, "meta_attributes", name, meta)
    if operations:
        section = etree.SubElement(element, "operations")
        for action, attributes in operations.items():
            values = dict(attributes)
            etree.SubElement(section, "op", id=f"{name}-{action}-{values['interval']}", name=action, **values)


def _nvpairs(element: Element, kind: str, name: str, values: Mapping[str, str]) -> None:
    if values:
        section = etree.SubElement(element, kind, id=f"{name}-{kind}")
        for key, value in values.items():
            etree.SubElement(section, "nvpair", id=f"{name}-{kind}-{key}", name=key, value=value)


def _constraint(constraint: Constraint) -> Element:
    if isinstance(constraint, Colocation):
        ends = {"rsc": constraint.resource, "with-rsc": constraint.other}
        return etree.Element("rsc_colocation", id=constraint.id, score=constraint.score, **ends)
    if isinstance(constraint, Order):
        return etree.Element("rsc_order", id=constraint.id, kind=constraint.kind, first=constraint.first, then=constraint.then)
    if isinstance(constraint, Prefer):
        return etree.Element(
            "rsc_location", id=constraint.id, rsc=constraint.resource, node=constraint.node, score=PREFERENCE
        )
    return _where_alive(constraint)


def _where_alive(constraint: WhereAlive) -> Element:
    """The rule "not_defined healthy-POOL or healthy-POOL lt 1"."""
    location = etree.Element("rsc_location", id=constraint.id, rsc=constraint.resource)
    name = f"{constraint.id}-rule"
    rule = etree.SubElement(location, "rule", {"id": name, "score": "-INFINITY", "boolean-op": "or"})
    etree.SubElement(rule, "expression", id=f"{name}-undefined", attribute=constraint.attribute, operation="not_defined")
    etree.SubElement(
        rule, "expression", id=f"{name}-dead", attribute=constraint.attribute, operation="lt", type="number", value="1"
    )
    return location
