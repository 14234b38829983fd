"""A look that ends in a defect of ours stops that release where people read it; it never says that all goes on."""

from dataclasses import replace

import pytest

from controller.compose import Loop
from controller.ports import EVENT
from tests.scenarios.test_meddling import BAKING, MEASURING, told

KEY = ("shop", "shop-v2")


class BrokenProviders:
    """A Prometheus client that breaks on each question, as no client of ours should."""

    def provider(self, name):
        raise ZeroDivisionError(f"nothing divides by {name!r}")


def looked_broken(kept):
    """A deed: the production loop looks once, with a part that is broken; what the release says then is kept."""

    def deed(kube):
        sim = kept["sim"]
        with pytest.raises(ZeroDivisionError):
            Loop(sim.memo)(KEY, replace(sim.ports, prometheus=BrokenProviders()), cache=sim.cache)
        kept["status"] = sim.release(KEY)["status"]
        kept["events"] = [event["reason"] for event in kube.list(EVENT, "shop").items]

    return deed


@pytest.mark.parametrize("when", [MEASURING, BAKING])
def test_a_look_that_breaks_holds_the_release_and_names_what_broke(when):
    kept = {}
    story = told((when, looked_broken(kept)), prepared=lambda sim: kept.update(sim=sim))

    assert (kept["status"]["phase"], kept["status"]["hold"]["reason"], kept["status"]["hold"]["then"]) == ("Holding", "Defect", "rollback")
    assert "ZeroDivisionError: nothing divides by" in kept["status"]["message"]
    assert "Defect" in kept["events"]
    assert story.status["phase"] == "Succeeded", "a look that ends well goes on with it"
    assert story.breaches == []
