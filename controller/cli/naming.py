"""Names that are derived: the revision from an image, names of releases, images by member. Pure."""

import hashlib
import re
from collections.abc import Iterable, Sequence

from controller.api.base import GROUP, NAME_LENGTH

REVISION_LENGTH, ID_LENGTH, OBJECT_NAME_LENGTH = 40, 128, 253
DIGEST_DIGITS = 12
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_RETRIES = re.compile(r"-r([0-9]+)$")


class NamingError(ValueError):
    """Something cannot be named; the message is one sentence."""


def slug(text: str, length: int = REVISION_LENGTH) -> str:
    """Lower-case letters, digits and dashes: `V2.0_rc1` -> `v2-0-rc1`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:length].strip("-")


def revision_of(image: str) -> str:
    """The revision that an image's tag (else its digest) names. Raises `NamingError` where it has neither.

    Beside a digest a tag without a digit, such as latest, is taken for one that moves: the next release would have the same name.
    """
    name, _, digest = image.partition("@")
    last = name.rpartition("/")[2]
    tag = last.partition(":")[2]
    algorithm, _, hexadecimal = digest.partition(":")
    exact = bool(algorithm and hexadecimal)
    if slug(tag) and (not exact or re.search(r"\d", tag)):
        return slug(tag)
    if exact:
        return slug(hexadecimal[:DIGEST_DIGITS])
    raise NamingError(
        f"The image {image!r} has neither a tag nor a digest, so nobody could tell what was released: write {with_tag(image)}."
    )


def with_tag(image: str) -> str:
    """How an image without a tag is to be written; `shop:` has its colon already."""
    return f"{image.rstrip(':@')}:TAG"


def images_by_member(given: Iterable[str], members: Sequence[str]) -> dict[str, str]:
    """`MEMBER=REF` and `REF` as a mapping; a bare one belongs to the only member. Raises `NamingError`."""
    images: dict[str, str] = {}
    for one in given:
        member, equals, reference = one.partition("=")
        if not equals:
            if len(members) != 1:
                raise NamingError(f"The plan has several members ({', '.join(members)}): write --image MEMBER={one}.")
            member, reference = members[0], one
        if member not in members:
            raise NamingError(f"The plan has no member {member!r}; it has {', '.join(members)}.")
        if member in images:
            raise NamingError(f"Member {member!r} was given two images.")
        if not reference:
            raise NamingError(f"Member {member!r} was given no image: write --image {member}=REGISTRY/NAME:TAG.")
        if re.search(r"\s", reference):
            raise NamingError(f"The image {reference!r} has a space in it: write --image {member}=REGISTRY/NAME:TAG.")
        revision_of(reference)
        images[member] = reference
    return images


def checked(word: str, text: str, length: int) -> str:
    """The text where it is a DNS label of at most that length (or empty); raises `NamingError` naming one that would do."""
    if text and (len(text) > length or not _LABEL.match(text)):
        would = f", such as {slug(text, length)}" if slug(text, length) else ""
        raise NamingError(f"The {word} {text!r} cannot be used: expected at most {length} lower-case letters, digits and dashes{would}.")
    return text


WORDS = {
    "release": "releases", "releases": "releases", "rel": "releases", "plan": "plans", "plans": "plans", "rp": "plans",
    "releaseplan": "plans", "releaseplans": "plans", "request": "requests", "requests": "requests", "rr": "requests", "rrq": "requests",
    "releaserequest": "requests", "releaserequests": "requests",
}  # fmt: skip
"""What people call our kinds."""


def apart(text: str) -> list[str]:
    """A kind and a name of `release.penstock.dev/shop-v2`, as `-o name` prints it and kubectl takes it; else the text alone."""
    kind, _, name = text.partition("/")
    word = kind.removesuffix(f".{GROUP}")
    return [word, name] if name and word in WORDS else [text]


def existing_of(noun: str, text: str) -> str:
    """As `existing`, of a noun of `WORDS`, which may stand in front of the name."""
    *kind, name = apart(text)
    if kind and WORDS[kind[0]] != noun:
        raise NamingError(f"found {text!r}, expected the name of a {noun.removesuffix('s')}")
    return existing(name)


def existing(text: str) -> str:
    """The name of something in the cluster where it can be one; raises `NamingError`.

    An empty one (a variable of a pipeline that was never set) would ask the API server for the whole list.
    """
    if len(text) > OBJECT_NAME_LENGTH or not _SUBDOMAIN.match(text):
        raise NamingError(f"found {text!r}, expected a name of lower-case letters, digits and dashes")
    return text


def release_name(plan: str, revision: str) -> str:
    """`<plan>-<revision>`, cut to a DNS label at the plan's end."""
    return f"{plan[: NAME_LENGTH - 1 - len(revision)].rstrip('-')}-{revision}"


def name_for_id(plan: str, id_: str) -> str:
    """The same name for the same plan and id, always."""
    return f"{plan[:45].rstrip('-')}-{hashlib.sha256(id_.encode()).hexdigest()[:10]}"


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """The wanted name, else with -2, -3, ... behind it."""
    names = set(taken)
    if wanted not in names:
        return wanted
    numbers = range(2, len(names) + 3)
    return next(name for n in numbers if (name := f"{wanted[: NAME_LENGTH - 1 - len(str(n))].rstrip('-')}-{n}") not in names)


def next_try(revision: str) -> str:
    """The revision of a further attempt: `v2` -> `v2-r2` -> `v2-r3`."""
    found = _RETRIES.search(revision)
    number = int(found.group(1)) + 1 if found else 2
    base = revision[: found.start()] if found else revision
    suffix = f"-r{number}"
    return f"{base[: REVISION_LENGTH - len(suffix)].rstrip('-')}{suffix}"
