# SPDX-License-Identifier: GPL-3.0-or-later
"""What other add-ons wrote on an armature: a VRM's humanoid map, MikuMikuDance's Japanese names.

Read from their properties while they are enabled, and from what they left in the file when they
are not. Since Blender 5.0 the two are kept apart: ``bl_system_properties_get`` has the latter.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["humanoid_of", "japanese_names"]

_VRM = "vrm_addon_extension"


def _kept(owner: Any, name: str) -> Any:
    """Return what an add-on keeps on something under ``name``, enabled or not; None: nothing."""
    live = getattr(owner, name, None)
    if live is not None:
        return live
    system = getattr(owner, "bl_system_properties_get", None)
    if system is not None:
        properties = system()
        if properties is not None and name in properties:
            return properties[name]
    return owner.get(name)


def _part(group: Any, name: str) -> Any:
    """Return a member of a property group, whether its add-on is enabled or not."""
    if group is None:
        return None
    if hasattr(group, name):
        return getattr(group, name)
    try:
        return group.get(name)
    except (AttributeError, TypeError):  # a type that holds no properties of add-ons
        return None


def humanoid_of(armature: Any) -> dict[str, str] | None:
    """Return a VRM's own map from humanoid bone names (``leftUpperArm``) to bones.

    None where the armature is no VRM, or its map names no bone.
    """
    kept = _kept(armature.data, _VRM)
    if kept is None:
        return None
    maps = [dict(_first_vrm(armature, kept)), dict(_second_vrm(armature, kept))]
    if str(_part(kept, "spec_version") or "1.0").startswith("1"):
        maps.reverse()
    return next((found for found in maps if found), None)


def _first_vrm(armature: Any, kept: Any) -> Iterator[tuple[str, str]]:
    """Yield the map of VRM 0: a list of bones with their names."""
    humanoid = _part(_part(kept, "vrm0"), "humanoid")
    for item in _part(humanoid, "human_bones") or ():
        bone = _bone_of(armature, _part(item, "node"))
        name = _part(item, "bone")
        if bone and isinstance(name, str):
            yield name, bone


def _second_vrm(armature: Any, kept: Any) -> Iterator[tuple[str, str]]:
    """Yield the map of VRM 1: one property for each bone."""
    bones = _part(_part(_part(kept, "vrm1"), "humanoid"), "human_bones")
    for name in _members(bones):
        bone = _bone_of(armature, _part(_part(bones, name), "node"))
        if bone:
            yield re.sub("_([a-z])", lambda match: match[1].upper(), name), bone


def _members(group: Any) -> list[str]:
    if group is None:
        return []
    described = getattr(group, "bl_rna", None)
    if described is not None and hasattr(group, "hips"):
        pointers = [p.identifier for p in described.properties if p.type == "POINTER"]
        return [name for name in pointers if name != "rna_type"]
    return list(group.keys()) if hasattr(group, "keys") else []


def _bone_of(armature: Any, node: Any) -> str:
    """Return the bone that a node of a VRM names, directly or by its identifier."""
    bones = armature.data.bones
    for key in ("bone_name", "value"):
        name = _part(node, key)
        if isinstance(name, str) and name in bones:
            return name
    identifier = _part(node, "bone_uuid")
    if isinstance(identifier, str) and identifier:
        for bone in bones:
            if _part(_kept(bone, _VRM), "uuid") == identifier:
                return str(bone.name)
    return ""


def japanese_names(armature: Any) -> Mapping[str, str]:
    """Return the Japanese name of each bone that MikuMikuDance's tools kept one for."""
    names = {}
    for bone in armature.pose.bones:
        name = _part(_kept(bone, "mmd_bone"), "name_j")
        if isinstance(name, str) and name:
            names[bone.name] = name
    return names
