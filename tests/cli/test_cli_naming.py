"""Names that are derived fit Kubernetes and mean the same thing every time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cli.naming import NamingError, checked, free_name, images_by_member, name_for_id, next_try, release_name, revision_of, slug
from tests.cli.cli_bed import a_terminal

LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")


@pytest.mark.parametrize(
    ("image", "revision"),
    [
        ("registry.example:5000/shop/cart:V2.0_rc1", "v2-0-rc1"),
        ("shop@sha256:0123456789abcdef0123", "0123456789ab"),
        ("shop:2@sha256:0123456789abcdef0123", "2"),
        ("shop:latest", "latest"),
        ("shop:latest@sha256:0123456789abcdef0123", "0123456789ab"),
    ],
)
def test_a_revision_is_the_tag_else_the_digest(image, revision):
    assert revision_of(image) == revision


@pytest.mark.parametrize("image", ["shop", "registry.example:5000/shop", "shop:", "shop:---"])
def test_an_image_that_names_no_version_is_refused(image):
    with pytest.raises(NamingError):
        revision_of(image)


@pytest.mark.parametrize("given_images", [["a:1"], ["cart=a:1", "cart=b:1"], ["pay="], ["mail=a:1"], ["cart=a b:1"]])
def test_images_that_cannot_be_told_apart_are_refused(given_images):
    with pytest.raises(NamingError):
        images_by_member(given_images, ["cart", "pay"])


def test_images_by_member():
    assert images_by_member(["cart=a:1", "pay=b:2"], ["cart", "pay"]) == {"cart": "a:1", "pay": "b:2"}


def test_further_tries_count_up():
    assert [next_try("v2"), next_try("v2-r2"), next_try("v2-r9")] == ["v2-r2", "v2-r3", "v2-r10"]


def test_a_taken_name_gets_the_next_free_number():
    assert free_name("shop-v2", ["shop-v2", "shop-v2-2"]) == "shop-v2-3"


@given(st.from_regex(LABEL, fullmatch=True).filter(lambda t: len(t) <= 63), st.text(max_size=60), st.text(max_size=60))
def test_whatever_is_derived_is_a_dns_label(plan, text, id_):
    revision = slug(text) or "x"

    usual = release_name(plan, revision)
    for name in (usual, name_for_id(plan, id_), free_name(usual, [usual])):
        assert LABEL.match(name)
        assert len(name) <= 63
    assert checked("revision", next_try(revision), 40)


@pytest.fixture(scope="module")
def running():
    """In front of a release that runs."""
    terminal = a_terminal()
    terminal.until(60)
    return terminal


class TestNamesAsKubectlTakesThem:
    """`penstock wait $(penstock start ... -o name)`: what `-o name` prints is a name."""

    @pytest.mark.parametrize("name", ["release.penstock.dev/shop-v2", "release/shop-v2", "rel/shop-v2", "shop-v2"])
    @pytest.mark.parametrize("command", [("why",), ("get",), ("wait", "--for", "stage=1")])
    def test_a_release_may_have_its_kind_in_front(self, running, command, name):
        assert running.penstock(*command, name).code == 0

    def test_what_o_name_prints_is_taken_by_every_noun(self, running):
        for noun in ("releases", "plans"):
            printed = running.penstock("get", noun, "-o", "name").out.split()
            assert [running.penstock("get", name, "-o", "name").out.strip() for name in printed] == printed

    def test_another_kind_is_a_usage_error(self, running):
        result = running.penstock("why", "releaseplan.penstock.dev/shop")

        assert result.code == 2
        assert "found 'releaseplan.penstock.dev/shop', expected the name of a release" in result.err
        assert running.penstock("start", "plan/shop", "--image", "r.example/shop:9", "--name", "more").code == 0

    def test_what_may_be_a_file_or_a_name_and_what_an_option_names_may_have_it_too(self, running, tmp_path):
        image = ("--image", "r.example/shop:8")
        superseding = running.penstock("start", "shop", *image, "--name", "next", "--supersede", "release.penstock.dev/shop-v2")
        measured = running.penstock("preflight", "plan/shop", "--file", tmp_path / "none")

        assert running.penstock("report", "release/shop-v2", "-o", "json").code == 0
        assert (superseding.code, running.release("next")["spec"]["supersedes"]) == (0, "shop-v2")
        assert f"{tmp_path / 'none'}: there is no such file" in measured.err
        assert "expected the name of a release" in running.penstock("start", "shop", *image, "--supersede", "plan/shop").err
