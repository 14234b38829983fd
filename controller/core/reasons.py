"""The vocabulary of reasons: each word with its sentence, its next step and its severity.

The CLI, the Events, the conditions and the records all print the sentence from here. A template's
`{detail}` carries the numbers: both of them, the limit and n. What a reason is stands in `core.vocabulary`.
"""

from controller.core.vocabulary import REASONS, Reason, Severity, next_step, say, severity
from controller.core.vocabulary import reason as _reason

__all__ = ["REASONS", "Reason", "Severity", "next_step", "say", "severity"]
"""Beside the words: what is asked of them."""

_I, _W, _C = Severity.INFO, Severity.WARNING, Severity.CRITICAL

# The way to green.
WAITING_FOR_PLAN = _reason(
    "WaitingForPlan", "Waits for release {detail} of the same plan.", "It goes on by itself; or roll the other release back."
)
WAITING_FOR_OLD = _reason(
    "WaitingForOldVersion",
    "Waits until the old version can go that is kept for release {detail}.",
    "It goes on by itself when nothing more of it is seen. Nothing that is used is taken down: a person ends that by what the sentence names.",
    _W,
)
SUPERSEDING = _reason(
    "Superseding", "Waits until release {detail}, whose place it takes, has given the plan back.", "It goes on by itself."
)
STARTED = _reason("Started", "Begins, by the plan as it stands now: revision {detail}", "It goes on by itself.")
PREPARING_GREEN = _reason("PreparingGreen", "Brings green up: {detail}", "It goes on by itself until the preparation deadline.")
GREEN_STUCK = _reason(
    "GreenStuck",
    "Green does not come up: {detail}",
    "Look at green's pods and their events; it goes on by itself once they are ready, and back at the preparation deadline.",
    _W,
)
WAITING_FOR_CLUSTER = _reason(
    "WaitingForCluster", "Green is ready; its cluster travels to the proxies before the first weight.", "It goes on by itself."
)
GRANTED = _reason("Granted", "Green may have {detail} %.", "It goes on by itself.")
SETTLING = _reason(
    "Settling", "Waits until the observed split is the granted one: {detail}", "It goes on by itself until the settle deadline."
)
WARMING_UP = _reason("WarmingUp", "Warms up; the window opens {detail}.", "It goes on by itself.")
MEASURING = _reason("Measuring", "Judges the window: {detail}", "It goes on by itself.")
BAKING = _reason(
    "Baking", "All requests go to green, blue is kept ready: {detail}", "It goes on by itself; penstock rollback puts everybody back."
)
RETURNING = _reason("Returning", "The original takes the new image and its traffic back: {detail}", "It goes on by itself.")
RETURN_PASSED = _reason("ReturnPassed", "The original passed with the new image: {detail}", "It goes on by itself.")
RETURN_FAILED = _reason(
    "ReturnFailed",
    "The original does badly with the new image, the clone serves again: {detail}",
    "Put the original right, then penstock resume; or penstock rollback.",
    _C,
)
RETURN_UNJUDGED = _reason(
    "ReturnNotJudged",
    "Nobody could judge the original in time, the clone serves again: {detail}",
    "Put right what kept it from being judged, then penstock resume; or penstock rollback.",
    _C,
)
HOME_UNREADY = _reason(
    "OriginalNotReady",
    "The original does not get ready with the new image, the clone serves everybody: {detail}",
    "Look at the original's pods and their events, then penstock resume; or penstock rollback.",
    _W,
)
HOME_GONE = _reason(
    "OriginalGone",
    "The original is gone, the clone serves everybody: {detail}",
    "Put the Deployment back, then penstock resume; or leave it as it is.",
    _C,
)
HOME_MISSING = _reason(
    "OriginalMissing",
    "Nobody can be put back on the original, which is gone: {detail}",
    "Make the Deployment again with the image that it had: the release then goes back to it by itself.",
    _C,
)
RETURN_DRIFT = _reason(
    "ReturnTakenBack",
    "Somebody gave the clone its traffic back, it serves again: {detail}",
    "penstock resume returns once more, penstock rollback goes back.",
    _W,
)
STAGE_PASSED = _reason("StagePassed", "The stage passed: {detail}", "It goes on by itself.")
SUCCEEDED = _reason("Succeeded", "Green serves everybody: {detail}", "penstock rollback brings the old version back.")
OLD_VERSION_SERVES = _reason(
    "OldVersionServes",
    "Green had everybody, and the old version has requests again: {detail}",
    "penstock rollback brings it back in order; or give the new one everything in the VirtualService, and in its manifest.",
    _W,
)
# Holding.
PAUSED = _reason("Paused", "Paused by {detail}.", "penstock resume goes on, penstock rollback goes back.", _W)
MANUAL_HOLD = _reason(
    "ManualHold", "The plan asks for a person after this stage.", "penstock advance goes on, penstock rollback goes back.", _W
)
NO_DATA = _reason(
    "NoData", "No data to judge by: {detail}", "Look at Prometheus and at the query; it goes on by itself when data come.", _W
)
TOO_FEW_REQUESTS = _reason(
    "TooFewRequests",
    "Too few requests to judge by: {detail}",
    "It waits for more until the deadline, then for a person; penstock resume waits on with what was counted; penstock advance (once it is "
    "no longer halted) goes on without; or lower minRequests of the stage or the check, or judge a lower quantile.",
    _W,
)
TOO_FEW_FAILED = _reason(
    "TooFewFailedRequests",
    "Too few failed requests to act on: {detail}",
    "It goes on being watched; or lower minFailed of the trigger, where that is the number.",
)
NOT_SETTLED = _reason(
    "NotSettled", "The observed split is not the granted one: {detail}", "Look at the route, the proxies and the named source.", _W
)
SPLIT_UNSEEN = _reason(
    "TooFewRequestsForSplit",
    "Too few requests to see the split: {detail}",
    "It waits for more until the deadline, then for a person; penstock resume waits on with what was counted; penstock advance (once it is "
    "no longer halted) goes on without; or lower settle.minRequests.",
    _W,
)
DRIFT_TO_BLUE = _reason(
    "DriftTowardBlue",
    "Somebody lowered green's weight by hand: {detail}",
    "penstock resume goes on from there, penstock rollback goes back.",
    _W,
)
DRIFT_CORRECTED = _reason("DriftCorrected", "Somebody raised green's weight by hand, it was put back: {detail}", "Nothing to do.", _W)
FIGHTER = _reason(
    "WeightFight",
    "Another writer keeps changing the weights: {detail}",
    "Tell that tool to ignore /spec/http/*/route/*/weight, then penstock resume.",
    _W,
)
NO_PODS_ANYWHERE = _reason(
    "NoPodsAnywhere",
    "Neither version has a ready pod: {detail}",
    "Bring the pods back; it goes on by itself. penstock rollback sends everybody to blue all the same.",
    _C,
)
BLUE_EMPTY = _reason(
    "BlueWithoutPods",
    "Blue has no ready pod, so that nobody could be put back on it: {detail}",
    "Bring blue's pods back now. The release goes on, because green is all that its users have.",
    _C,
)
HOLD_KEPT = _reason(
    "KeptFromEmptyBlue",
    "The deadline of the hold is over, and nobody is sent where nobody answers: {detail}",
    "Bring blue's pods back, then it goes on; penstock rollback sends everybody to blue all the same, penstock promote to green.",
    _C,
)
BLUE_REFILLED = _reason("BlueHasPodsAgain", "Blue has ready pods again: {detail}", "Look at why its pods went.", _W)
BLUE_CHANGED = _reason(
    "BlueWasChanged",
    "Blue was changed, so that nobody has judged what it runs, and a rollback would put everybody on it: {detail}",
    "Put blue back to what it was, unless it is meant to serve. The release goes on, and compares with what blue runs now.",
    _C,
)
BLUE_AS_BEFORE = _reason("BlueIsAsBefore", "Blue runs again what served at the start: {detail}", "Look at who changed it for a time.", _W)
GREEN_SHRUNK = _reason(
    "GreenWasMadeSmaller",
    "Green is smaller than when it got its requests: {detail}",
    "Scale it up; before it gets more it is made whole.",
    _W,
)
CONFIG_CHANGED = _reason(
    "ConfigWasChanged",
    "What the versions read was changed since green was ready: {detail}",
    "Pods that start from now on read it, and a copy in green's own namespace does not have it. Where that matters: roll back, start again.",
    _W,
)
CONFIG_AS_BEFORE = _reason(
    "ConfigIsAsBefore", "The versions read again what they read when green was ready: {detail}", "Look at who changed it for a time.", _W
)
GREEN_WHOLE = _reason("GreenIsWhole", "Green has its size again: {detail}", "Look at who made it smaller.", _W)
PODS_BACK = _reason("PodsBack", "There are ready pods again: {detail}", "Look at why its pods went, all at the same time.", _W)
CLUSTER_GONE = _reason(
    "ClusterGone",
    "Green's subset, or a Service of the routes, is not as it should be.",
    "Put it back, then it goes on; penstock rollback puts everybody on blue.",
    _W,
)
CAPACITY_MISSING = _reason("CapacityMissing", "The next stage needs more ready pods of green: {detail}", "Look at green's pods.", _W)
PROBE_FAILED_BOTH = _reason(
    "ProbesFailOnBoth", "Health probes fail on green and on blue: {detail}", "Are they asked from outside a strict mTLS mesh?", _W
)
BLUE_UNHEALTHY = _reason(
    "BlueUnhealthy", "Blue is not healthy while it has to take everything: {detail}", "Look at blue now; green has no traffic.", _C
)
DRAIN_UNKNOWN = _reason(
    "DrainUnknown",
    "Green is at weight 0, but nobody can say that it gets no traffic: {detail}",
    "Bring Prometheus back, or lead to blue what is named here (take a mirror off); penstock resume takes green down.",
    _W,
)
GREEN_STAYS = _reason(
    "GreenStays", "Green has no traffic, but does not go away: {detail}", "Look at its finalizers and events, then penstock resume.", _W
)
GREEN_LEFT = _reason(
    "GreenLeft",
    "The deleted Release has ended, and leaves green standing at weight 0. {detail}",
    "Look whether anybody asks green, then delete its Deployment: the next release needs its place.",
    _W,
)
LEFT_UNSEEN = _reason(
    "LeftUnseen",
    "The deleted Release has ended on blue, and what it may have left cannot be read: {detail}",
    "Nothing to do where that namespace is gone; else look there for green's Deployment and destination.",
    _W,
)
# Triggers, gates and the way back.
CHECK_FAILED = _reason("CheckFailed", "{detail}", "penstock why shows the query and both numbers.", _C)
TRIGGER_FIRED = _reason("TriggerFired", "{detail}", "penstock why shows the query and both numbers.", _C)
TOGETHER_FIRED = _reason("TriggersFiredTogether", "{detail}", "penstock why shows the queries and the numbers.", _C)
PODS_GONE = _reason("NoReadyPods", "{detail}", "Look at green's pods and their events, then penstock retry.", _C)
NO_DATA_DEADLINE = _reason(
    "NoDataDeadline", "No data for longer than the plan allows: {detail}", "Look at Prometheus, then penstock retry.", _C
)
HOLD_DEADLINE = _reason("HoldDeadline", "The hold reached its deadline: {detail}", "penstock why, then penstock retry.", _C)
PREPARATION_DEADLINE = _reason(
    "PreparationDeadline", "Green was not ready in time: {detail}", "Look at green's pods and events, then penstock retry.", _C
)
ROLLBACK_REQUESTED = _reason("RollbackRequested", "Rollback asked by {detail}.", "penstock retry starts again.", _W)
RELEASE_DELETED = _reason("ReleaseDeleted", "The Release was deleted in mid-release.", "Nothing to do.", _W)
SUPERSEDED = _reason("Superseded", "Release {detail} took its place.", "Watch that one.", _W)
TARGET_GONE = _reason("TargetGone", "{detail}", "Put the object back, then penstock retry.", _C)
ROUTE_GONE = _reason(
    "RouteGone",
    "{detail}",
    "Put the VirtualService back, then everybody is put on blue. Until then only green's Deployment scaled to 0 (kubectl scale) keeps "
    "requests from it; where the route is gone for good, delete the Release.",
    _C,
)
BLUE_GONE = _reason(
    "BlueGone",
    "{detail}",
    "Put the Deployment back, then penstock resume; penstock promote goes on without it; penstock rollback sends everybody to blue all the same.",
    _C,
)
BLUE_AGAIN = _reason("BlueMadeAgain", "Somebody made {detail} (blue) again; it is looked after like the one before.", "Nothing to do.", _W)
GREEN_KEPT = _reason(
    "GreenKept",
    "Everybody is sent to blue, and green is not taken down, because nothing else is left: {detail}",
    "Bring blue back, then penstock resume takes green down.",
    _C,
)
ROLLBACK_FOUND = _reason(
    "RollbackFound", "An earlier controller had put everybody back on blue; this one finishes it.", "penstock retry starts again.", _C
)
ROLLING_BACK = _reason("RollingBack", "Puts everybody back on blue: {detail}", "It goes on by itself.", _C)
ROLLBACK_REFUSED = _reason(
    "RollbackRefused",
    "Goes back to blue, and the cluster does not take the write: {detail}",
    "It is tried again every second: take away what refuses it (penstock install gives rights back), or put the weights to 100 and 0 by hand.",
    _C,
)
BACK_BY_HAND = _reason(
    "BackByHand", "Everybody was put on blue by hand; green stays until our own write is taken: {detail}", "Remove what refuses it.", _W
)
UNTAKEN = frozenset({ROLLBACK_REFUSED, BACK_BY_HAND})
"""Of a way back that is decided, and whose write the cluster does not take."""
ROLLBACK_FOUGHT = _reason(
    "RollbackFought",
    "Another writer keeps giving green requests, and each time everybody is put back on blue: {detail}",
    "Stop that writer, or tell it to ignore /spec/http/*/route/*/weight; green goes when it has had no weight for as long as it drains.",
    _C,
)
DRAINING = _reason("Draining", "Blue has all traffic; green drains: {detail}", "It goes on by itself.")
TEARING_DOWN = _reason("TearingDown", "Takes green down.", "It goes on by itself.")
ROLLED_BACK = _reason("RolledBack", "Everybody is on blue, {detail}", "penstock why, then penstock retry.", _C)
BREACH = _reason(
    "InvariantBreach",
    "The world broke a rule that must hold: {detail}",
    "penstock history -o json shows what led there; penstock rollback still works.",
    _C,
)
DEFECT = _reason(
    "Defect",
    "Penstock itself broke in looking at this release, so that nothing judges it: {detail}",
    "penstock rollback still works; the controller's log has the details, please report them. It goes on by itself once a look ends well.",
    _C,
)
HALTED = _reason("Halted", "Stopped for a person: {detail}", "penstock rollback still works.", _C)
# Requests.
ACCEPTED = _reason("Accepted", "Done: {detail}", "Nothing to do.")
REQUEST_INVALID = _reason(
    "RequestInvalid",
    "This controller cannot read the request, nothing was done: {detail}",
    "Ask with the same version of the command as the controller has (penstock version).",
    _W,
)
EXPECTATION = _reason(
    "ExpectationUnmet", "The release is no longer where it was seen: {detail}", "Look again with penstock get, then ask again.", _W
)
NOT_PAUSED = _reason("NotPaused", "The release is not held: {detail}", "penstock get shows where it stands.", _W)
NOT_NOW = _reason("NotNow", "This cannot be done now: {detail}", "penstock get shows where it stands.", _W)
REASON_NEEDED = _reason("ReasonNeeded", "A request toward green needs a reason.", "Give --reason.", _W)
ALREADY_FINISHED = _reason("AlreadyFinished", "The release has ended, nothing was done: {detail}", "penstock start begins a new one.", _W)
ALREADY_BACK = _reason("AlreadyBack", "Nothing to do: {detail}", "penstock retry tries the same version again.")
MOVED_SINCE = _reason(
    "MovedSince",
    "The release has ended, and the route was changed after it: {detail}",
    "penstock get shows a later release, roll that one back; if there is none, put the weights right by hand.",
    _W,
)
END_UNTRUE = _reason(
    "EndUntrue",
    "By its status the release has ended, and the route says otherwise: {detail}",
    "If nobody moved the route by hand, look at who may write the status of releases; look after green's Deployment: nobody takes it down.",
    _C,
)
TAKE_BACK = _reason(
    "TakeBack", "The release has succeeded, so only a new release takes it back: {detail}", "penstock rollback starts that release.", _W
)
RELEASE_MISSING = _reason("ReleaseMissing", "There is no release {detail}, nothing was done.", "penstock get shows those there are.", _W)
WRONG_RELEASE = _reason("WrongRelease", "It was meant for another release of this name.", "Look again with penstock get.", _W)
# Refusals before anything is touched.
PLAN_MISSING = _reason("PlanMissing", "There is no plan {detail}.", "Apply the ReleasePlan, then penstock start.", _W)
PLAN_LOST = _reason(
    "PlanLost",
    "Stopped for a person, because nobody can tell any more which routes these are: {detail}",
    "Apply the ReleasePlan again: a rollback or a deletion that waits then goes back by it. Until then the weights can only be set by hand.",
    _C,
)
PLAN_INVALID = _reason("PlanInvalid", "The plan cannot be used: {detail}", "penstock validate shows every error.", _W)
RELEASE_INVALID = _reason("ReleaseInvalid", "The release cannot be used: {detail}", "Start a new one with penstock start.", _W)
RELEASE_UNREAD = _reason(
    "ReleaseUnreadable",
    "This controller cannot read the release, it stops where it stands: {detail}",
    "Run the version of Penstock that it was made with, then penstock resume; or penstock rollback, which this version can do.",
    _C,
)
ROUTE_MISSING = _reason("RouteMissing", "{detail}", "Create the VirtualService or name the right one in the plan.", _W)
ROUTE_UNSUITABLE = _reason("RouteUnsuitable", "{detail}", "Change the VirtualService or the plan, then penstock start.", _W)
ROUTE_OWNED = _reason("RouteOwned", "Another release owns the route: {detail}", "Wait for it, or roll it back.", _W)
ROUTE_SHADOWED = _reason("RouteShadowed", "{detail}", "Remove one of the VirtualServices of this host.", _W)
BYPASS_UNLISTED = _reason(
    "BypassUnlisted",
    "A rule that the plan does not list sends requests to green: {detail}",
    "Lead it to blue, or list it by its name under `bypass` of its VirtualService in the plan; take a mirror off.",
    _W,
)
BLUE_UNKNOWN = _reason(
    "BlueUnknown", "It cannot be told which version serves: {detail}", "Give one version 100 %, then penstock start.", _W
)
WORKLOAD_MISSING = _reason("WorkloadMissing", "{detail}", "Create it or name the right one in the plan.", _W)
WORKLOAD_UNSUITABLE = _reason("WorkloadUnsuitable", "{detail}", "Change the workload or the plan, then penstock start.", _W)
REFERENCE_MISSING = _reason(
    "ReferenceMissing",
    "Green would refer to something that is not there: {detail}",
    "Create it where green lives; a ConfigMap or a Secret may be brought along there (configMaps and secrets of the member).",
    _W,
)
SELECTOR_OVERLAP = _reason(
    "SelectorOverlap",
    "{detail}",
    "Give blue's pods a label that names their version, such as version: v1, and when they have it put it into the selector that is named; "
    "a clone gets its own. Where the Service must stay as it is: subsets with that label, or a namespace of its own for the second slot.",
    _W,
)
GITOPS_OWNED = _reason("GitOpsOwned", "{detail}", "Tell that tool to ignore the field and say gitops: ignored in the plan.", _W)
HPA_FOREIGN = _reason(
    "AutoscalerForeign", "{detail}", "Pause that autoscaler for the release, or let a plain HorizontalPodAutoscaler own the workload.", _W
)
RIGHTS_MISSING = _reason(
    "RightsMissing", "The controller may not do this: {detail}", "Apply the Role that the sentence names (penstock install).", _W
)
PROVIDER_UNKNOWN = _reason(
    "ProviderUnknown", "The plan names a Prometheus that the controller does not know: {detail}", "Add it to its configuration.", _W
)
MIXED_REVERSE = _reason("NothingToReverse", "There is no version to go back to: {detail}", "Start a release with the old image.", _W)
ACTION_REFUSED = _reason("ActionRefused", "The cluster refused a step: {detail}", "Remove what is in the way; the release tries again.", _W)
SCHEMA_OLD = _reason("SchemaOld", "The installed CRDs are older than this controller: {detail}", "Run this version's penstock install.", _W)
GREEN_CHANGED = _reason(
    "GreenChanged",
    "Green was changed in mid-release: {detail}",
    "penstock resume judges it as it is now, from this stage on; penstock rollback puts everybody on blue.",
    _W,
)
ROUTE_CHANGED = _reason(
    "RouteChanged", "The route was changed in mid-release: {detail}", "Put it right, then penstock resume; or penstock rollback.", _W
)
# Warnings.
HELM_MARKED = _reason("HelmMarked", "{detail}", "The next helm upgrade will write it; finish: home keeps the original in place.", _W)
AUTHORIZATION_DENIES = _reason("AuthorizationDenies", "{detail}", "Allow green's workload in that policy.", _W)
QUERY_DOUBTFUL = _reason("QueryDoubtful", "Prometheus may refuse a query of the plan: {detail}", "penstock validate shows its place.", _W)
TRIGGER_SILENT = _reason(
    "TriggerSilent", "A stage has passed without one answer to a trigger, so that nobody watches by it: {detail}", "Look at its query.", _W
)
DISPERSION_ASSUMED = _reason(
    "DispersionAssumed",
    "Blue was not measured, so that a dispersion of at least 2 is assumed: {detail}",
    "penstock preflight PLAN measures it over a day; by itself a release sees the last 90 minutes, and how pods differ only where blue has several.",
    _W,
)
GAUGE_BY_LIMIT = _reason(
    "GaugeByLimit",
    "A gauge is judged by its limit at the window's end, because nobody has measured how much it wanders: {detail}",
    "penstock preflight PLAN measures it.",
    _W,
)
MEASURED_LONG_AGO = _reason(
    "MeasuredLongAgo", "The dispersion of sequential checks was measured long ago: {detail}", "penstock preflight PLAN measures again.", _W
)
MEMBER_UNWATCHED = _reason(
    "MemberUnwatched",
    "Green will get requests that no check and no trigger looks at: {detail}",
    "Give that member checks and triggers of its own (`member: NAME`), at least of its error rate.",
    _W,
)
FAILURES_UNSEEN = _reason(
    "FailuresUnseen",
    "A stage passed on a counter of failures of which neither version has ever shown a series: {detail}",
    "Where something has failed before, look at the metric's name and labels in counters.bad; where nothing has, nothing is wrong.",
    _W,
)
# Answers of checks. The words are those of `analysis.reasons`; each way of missing data has its own remedy.
WITHIN_LIMIT = _reason("WithinLimit", "{detail}", "Nothing to do.")
BEYOND_LIMIT = _reason("BeyondLimit", "{detail}", "penstock why shows the query and both numbers.", _C)
NO_SERIES = _reason(
    "NoSeries", "The query has no result: {detail}", "Look at the query and whether its metric is scraped; no traffic gives no result.", _W
)
NOT_A_NUMBER = _reason("NotANumber", "The answer is NaN: {detail}", "NaN is 0 divided by 0, most often: no traffic in the window.", _W)
INFINITE = _reason("Infinite", "The answer is infinite: {detail}", "Something is divided by 0 in the query.", _W)
SEVERAL_SERIES = _reason(
    "SeveralSeries", "The answer has more than one series: {detail}", "Sum over the labels that differ, for example sum(...).", _W
)
PARTIAL_ANSWER = _reason(
    "PartialAnswer", "Prometheus answered with a warning: {detail}", "A store behind it may be down; look at the warning.", _W
)
STALE_SAMPLE = _reason("StaleSample", "The newest sample is too old: {detail}", "Is the target still scraped?", _W)
UNUSABLE_COUNTER = _reason(
    "UnusableCounter",
    "A counter's newest samples are no counts: {detail}",
    "A counter is finite, not negative and below 2^53: look at what exports it. It goes on by itself when the counter is sound again.",
    _W,
)
WRONG_TYPE = _reason(
    "WrongResultType", "The answer is of another kind: {detail}", "A check needs a number: rate(), sum() or a function over the range.", _W
)
BASELINE_MISSING = _reason(
    "BaselineMissing",
    "There is no number of blue to compare with. {detail}",
    "Does blue have traffic, and does the query give a result for it?",
    _W,
)
BASELINE_UNUSABLE = _reason(
    "BaselineUnusable",
    "Blue's number cannot be compared with by ratio: {detail}",
    "Use maxDifference for numbers that can be negative.",
    _W,
)
NEGATIVE_NUMBER = _reason(
    "NegativeNumber",
    "Green's number is negative, so that it is no share of blue's. {detail}",
    "Look at what is counted; use maxDifference for numbers that may be negative.",
    _W,
)
TOO_FEW_SAMPLES = _reason("TooFewSamples", "The window has too few scrapes: {detail}", "Make the window longer or scrape more often.", _W)
NOT_CONFIRMED = _reason(
    "NotConfirmed", "A measurement failed, but not yet as often as the plan asks: {detail}", "It is measured again by itself."
)
EVIDENCE_AGAINST = _reason("EvidenceAgainst", "{detail}", "penstock why shows both rates, the requests and the e-value.", _C)
CHECK_ASKS = _reason(
    "CheckAsks",
    "A check asks for a person: {detail}",
    "penstock why shows the numbers of both versions; penstock resume goes on with a new bet, penstock rollback goes back.",
    _W,
)
WORSE_UNPROVEN = _reason(
    "WorseUnproven",
    "Green is worse than tolerated over the whole window, but scrape by scrape not beyond doubt: {detail}",
    "It looks on until the deadline, then waits for a person: look at green's failures; penstock rollback goes back, penstock resume "
    "measures anew.",
    _W,
)
NOT_CONCLUDED = _reason(
    "NotConcluded", "Another check gave the evidence against green before this one came to an end. {detail}", "Nothing to do."
)
NO_EVIDENCE_AGAINST = _reason("NoEvidenceAgainst", "{detail}", "Nothing to do.")
SCORE_PASSED = _reason("ScorePassed", "{detail}", "Nothing to do.")
SCORE_MARGINAL = _reason(
    "ScoreMarginal",
    "Kayenta's judge neither passes nor fails it: {detail}",
    "It is judged again as values come, until noData.deadline; penstock advance goes on.",
    _W,
)
SCORE_FAILED = _reason("ScoreFailed", "{detail}", "penstock why shows the metrics that failed, and their queries.", _C)
NOT_COMPARED = _reason(
    "NotCompared",
    "Kayenta's judge cannot compare the two versions: {detail}",
    "Look at the queries of these metrics; a longer window or a shorter step has more values.",
    _W,
)
SAME_SERIES = _reason("SameSeries", "Blue and green are counted by the same series. {detail}", "Do the routes tell the versions apart?", _W)
NO_INF_BUCKET = _reason("NoInfBucket", "A histogram cannot be read: {detail}", "Is a recording or relabelling rule dropping buckets?", _W)
BAD_BUCKET_EDGE = _reason("BadBucketEdge", "A histogram cannot be read: {detail}", "Is a relabelling rule writing the label le?", _W)
FALLING_BUCKETS = _reason("FallingBuckets", "A histogram cannot be read: {detail}", "Are two sources writing the same series?", _W)
NO_COMMON_EDGE = _reason(
    "NoCommonEdge",
    "No bucket edge can be tested: {detail}",
    "Use method: threshold here, or on both versions buckets that reach as far as most requests take.",
    _W,
)
NOT_MEASURED = _reason(
    "NotMeasured", "Not measured. {detail}", "A parameter of the query has no value here; penstock plan shows the queries.", _W
)
CLOCK_SKEW = _reason("ClockSkew", "Prometheus's clock differs from the controller's: {detail}", "Synchronise the clocks (NTP).", _W)
SEVERAL_CLUSTERS = _reason(
    "SeveralClusters", "The samples come from several clusters: {detail}", "Name this cluster in the controller's configuration.", _W
)
PROMETHEUS_UNREACHABLE = _reason("PrometheusUnreachable", "Prometheus cannot be reached: {detail}", "Is it up, and its address right?", _W)
PROMETHEUS_TIMEOUT = _reason(
    "PrometheusTimeout", "Prometheus did not answer in time: {detail}", "Is it overloaded, or the query too heavy?", _W
)
PROMETHEUS_ERROR = _reason("PrometheusError", "Prometheus answered with an error: {detail}", "Look at Prometheus.", _W)
QUERY_REFUSED = _reason("QueryRefused", "Prometheus refused the query: {detail}", "penstock validate checks the query.", _W)
ANSWER_UNREADABLE = _reason("AnswerUnreadable", "The answer is not what Prometheus sends: {detail}", "Is that address a Prometheus?", _W)
ANSWER_TOO_LARGE = _reason("AnswerTooLarge", "The answer was cut off: {detail}", "Aggregate in the query.", _W)
PROMETHEUS_UNAUTHORIZED = _reason(
    "PrometheusUnauthorized", "Prometheus does not accept our credentials: {detail}", "Look at the provider's token or password file.", _W
)
PROBE_PASSED = _reason("ProbePassed", "The health probe passed. {detail}", "Nothing to do.")
PROBE_FAILED = _reason("ProbeFailed", "The health probe fails on green and passes on blue: {detail}", "Look at green's pods.", _C)
PROBE_NOT_ARMED = _reason(
    "ProbeNotArmed", "The health probe never passed on green yet, so it does not act: {detail}", "Is the path right?", _W
)
FAULTS: dict[str, str] = {
    "unreachable": PROMETHEUS_UNREACHABLE,
    "timeout": PROMETHEUS_TIMEOUT,
    "server-error": PROMETHEUS_ERROR,
    "bad-query": QUERY_REFUSED,
    "not-executed": QUERY_REFUSED,
    "unreadable": ANSWER_UNREADABLE,
    "too-large": ANSWER_TOO_LARGE,
    "unauthorized": PROMETHEUS_UNAUTHORIZED,
    "clock-skew": CLOCK_SKEW,
}
"""The reason of each `ports.AnswerFault`, by its value."""
