"""The store's part of the checker alone: it runs over any recorded history of commits."""

from controller.simulator.invariants import replay


def release(**status):
    return {
        "metadata": {"namespace": "shop", "name": "a", "uid": "u1"},
        "spec": {"revision": "v2", "plan": "shop"},
        "status": {"epoch": 1, **status},
    }


def said(*versions):
    """Names of the breaches over the versions of one Release, written by us."""
    commits = [(float(i), "Release", versions[i - 1] if i else None, version, "penstock") for i, version in enumerate(versions)]
    return [breach.name for breach in replay(commits)]


def stage(weight, **more):
    return {"weight": weight, **more}


def test_a_final_phase_that_is_left_is_a_breach():
    assert "S7" in said(release(phase="RolledBack"), release(phase="Shifting"))


def test_a_grant_without_a_stored_verdict_is_a_breach():
    before = release(phase="Measuring", stage=0, grant=5, stages=[stage(5)])
    after = release(phase="Shifting", stage=1, grant=25, stages=[stage(5, verdict="pass"), stage(25)])

    assert "S3" in said(before, after)


def test_a_grant_that_jumps_a_stage_is_a_breach():
    before = release(phase="Measuring", stage=0, grant=5, stages=[stage(5, verdict="pass", verdictKey="v2/None/0")])
    after = release(phase="Shifting", stage=2, grant=50, stages=[*before["status"]["stages"], stage(25), stage(50)])

    assert "S3" in said(before, after)


def test_a_verdict_of_another_revision_is_a_breach():
    before = release(phase="Measuring", stage=0, grant=5, planHash="h", stages=[stage(5, verdict="pass", verdictKey="v1/h/0")])
    after = release(phase="Shifting", stage=1, grant=25, planHash="h", stages=[*before["status"]["stages"], stage(25)])

    assert "S10" in said(before, after)


def test_a_grant_after_a_rollback_is_a_breach():
    before = release(phase="RollingBack", stage=0, grant=5, stages=[stage(5)], rollback={"reason": "x"})
    after = release(phase="RollingBack", stage=0, grant=25, stages=[stage(5)], rollback={"reason": "x"})

    assert "S8" in said(before, after)


def test_a_pass_without_a_number_is_a_breach():
    before = release(phase="Measuring", stage=0, grant=5, stages=[stage(5)])
    after = release(
        phase="Measuring", stage=0, grant=5, stages=[stage(5, verdict="pass", checks=[{"name": "c", "outcome": "pass", "value": None}])]
    )

    assert "S13" in said(before, after)


def test_a_hold_with_neither_deadline_nor_person_is_a_breach():
    assert "L6" in said(release(phase="Measuring"), release(phase="Holding", hold={"reason": "NoData"}))


def test_an_epoch_that_falls_is_a_breach():
    later = release(phase="Measuring", epoch=1)

    assert "S9" in said(release(phase="Shifting", epoch=2), later)


def test_what_others_write_is_no_breach():
    commits = [
        (0.0, "Release", None, release(phase="RolledBack"), "penstock-cli"),
        (1.0, "Release", release(), release(phase="Shifting"), "kubectl"),
    ]

    assert replay(commits) == []
