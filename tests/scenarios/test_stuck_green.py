"""A green that does not come up by itself is told at once; one that takes long is told once a minute."""

import pytest

from tests.scenarios.test_meddling import told

MISSING = [{"image": "*:2.0", "imageMissing": True}, {}]
SLOW = [{"image": "*:2.0", "readyAfter": "8m"}, {}]


def test_an_image_that_cannot_be_pulled_is_told_long_before_the_preparation_deadline():
    status = told(pods=MISSING, limit="40s").status

    assert (status["phase"], status["reason"]) == ("Preparing", "GreenStuck")
    assert "shop/shop-green: ImagePullBackOff" in status["message"]


def test_pods_that_take_long_are_counted_in_the_status_once_a_minute():
    story = told(pods=SLOW, limit="4m")

    assert (story.status["phase"], story.status["reason"]) == ("Preparing", "PreparingGreen")
    assert "shop/shop-green has 0 of 3 pods available" in story.status["message"]
    assert story.breaches == []


@pytest.mark.long
def test_an_image_that_is_pushed_late_goes_on_by_itself():
    story = told(pods=[{"image": "*:2.0", "readyAfter": "4m"}, {}])

    assert story.status["phase"] == "Succeeded"
