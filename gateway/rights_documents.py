"""The XML of rights: access lists, ownership controls, the public access block; read and written. Pure."""

from __future__ import annotations

from gateway.errors import s3_error
from gateway.exposure import Ownership, PublicAccessBlock
from gateway.grants import (
    URIS,
    AccessList,
    Grant,
    Permission,
    canonical_user,
    from_document,
    group,
    unresolvable,
)
from gateway.listing import owner_element, owner_id
from gateway.markup import document, element
from gateway.tree import Node, malformed, parse_boolean, parse_tree
from meter.ids import MemberId

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_URI_OF = {grantee: uri for uri, grantee in URIS.items()}


def parse_access_list(body: bytes, owner: MemberId) -> AccessList:
    """Read an AccessControlPolicy. Raises MalformedACLError, InvalidArgument, AccessDenied, NotImplemented."""
    root = parse_tree(body, "AccessControlPolicy")
    named, listed = root.child("Owner"), root.child("AccessControlList")
    if named is None or listed is None or any(node.name != "Grant" for node in listed.children):
        raise s3_error("MalformedACLError")
    return from_document((named.one("ID") or "").strip(), map(_grant, listed.children), owner)


def _grant(node: Node) -> Grant:
    grantee, permission = node.child("Grantee"), (node.one("Permission") or "").strip()
    if grantee is None or permission not in Permission.__members__:
        raise s3_error("MalformedACLError")
    # The children say which kind it is; the attribute xsi:type only says it again.
    identity, uri = grantee.one("ID"), grantee.one("URI")
    if grantee.one("EmailAddress") is not None:
        raise unresolvable()
    if (identity is None) == (uri is None):
        raise s3_error("MalformedACLError")
    who = canonical_user(identity.strip()) if identity is not None else group((uri or "").strip())
    return Grant(who, Permission(permission))


def render_access_list(access: AccessList, *, owner: MemberId, owner_name: str) -> bytes:
    """AccessControlPolicy. Of members other than the owner it tells the id alone."""
    lines = "".join(
        f"<Grant>{_grantee(one.grantee, owner=owner, owner_name=owner_name)}"
        f"{element('Permission', one.permission.value)}</Grant>"
        for one in access.grants
    )
    return document(
        "AccessControlPolicy",
        f"{owner_element(owner, owner_name)}<AccessControlList>{lines}</AccessControlList>",
    )


def _grantee(grantee: str, *, owner: MemberId, owner_name: str) -> str:
    uri = _URI_OF.get(grantee)
    if uri is not None:
        return f'<Grantee xmlns:xsi="{_XSI}" xsi:type="Group">{element("URI", uri)}</Grantee>'
    name = element("DisplayName", owner_name) if grantee == owner_id(owner) else ""
    return f'<Grantee xmlns:xsi="{_XSI}" xsi:type="CanonicalUser">{element("ID", grantee)}{name}</Grantee>'


def parse_ownership(body: bytes) -> Ownership:
    """Read OwnershipControls with its one rule. Raises MalformedXML."""
    rule = parse_tree(body, "OwnershipControls").child("Rule")
    return ownership_named("" if rule is None else (rule.one("ObjectOwnership") or "").strip())


def ownership_named(name: str) -> Ownership:
    """The ownership of that name. Raises MalformedXML."""
    try:
        return Ownership(name)
    except ValueError:
        raise malformed() from None


def render_ownership(ownership: Ownership) -> bytes:
    """OwnershipControls."""
    return document("OwnershipControls", f"<Rule>{element('ObjectOwnership', ownership.value)}</Rule>")


_FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def parse_block_document(body: bytes) -> PublicAccessBlock:
    """Read a PublicAccessBlockConfiguration; a flag that is not there is off. Raises MalformedXML."""
    root = parse_tree(body, "PublicAccessBlockConfiguration")
    if any(child.name not in _FLAGS for child in root.children):
        raise malformed()
    return PublicAccessBlock(*(parse_boolean(root.one(name)) for name in _FLAGS))


def render_block_document(block: PublicAccessBlock) -> bytes:
    """PublicAccessBlockConfiguration."""
    flags = (
        block.block_public_acls,
        block.ignore_public_acls,
        block.block_public_policy,
        block.restrict_public_buckets,
    )
    inner = "".join(
        element(name, "true" if flag else "false") for name, flag in zip(_FLAGS, flags, strict=True)
    )
    return document("PublicAccessBlockConfiguration", inner)


def render_policy_status(*, is_public: bool) -> bytes:
    """PolicyStatus."""
    return document("PolicyStatus", element("IsPublic", "true" if is_public else "false"))
