"""The words of a verdict: why a check passed, failed or could not be answered.

Only words stand here; the controller keeps their sentences and next steps. Every way in which data can
be missing has a word of its own, because each has another remedy.
"""

WITHIN_LIMIT = "WithinLimit"
BEYOND_LIMIT = "BeyondLimit"

NO_SERIES = "NoSeries"
NOT_A_NUMBER = "NotANumber"
INFINITE = "Infinite"
SEVERAL_SERIES = "SeveralSeries"
PARTIAL_ANSWER = "PartialAnswer"
STALE_SAMPLE = "StaleSample"
WRONG_TYPE = "WrongResultType"
UNUSABLE_COUNTER = "UnusableCounter"
BASELINE_MISSING = "BaselineMissing"
BASELINE_UNUSABLE = "BaselineUnusable"
NEGATIVE_NUMBER = "NegativeNumber"
TOO_FEW_REQUESTS = "TooFewRequests"
TOO_FEW_SAMPLES = "TooFewSamples"
NOT_CONFIRMED = "NotConfirmed"

MISSING_DATA = frozenset(
    {
        NO_SERIES,
        NOT_A_NUMBER,
        INFINITE,
        SEVERAL_SERIES,
        PARTIAL_ANSWER,
        STALE_SAMPLE,
        WRONG_TYPE,
        UNUSABLE_COUNTER,
        BASELINE_MISSING,
        BASELINE_UNUSABLE,
        NEGATIVE_NUMBER,
    }
)
"""The words of an answer that cannot be judged: never a pass and never a failure."""

# Of sequential checks.
EVIDENCE_AGAINST = "EvidenceAgainst"
NO_EVIDENCE_AGAINST = "NoEvidenceAgainst"
SAME_SERIES = "SameSeries"
BOTH_BEYOND_LIMIT = "BothBeyondLimit"
WORSE_UNPROVEN = "WorseUnproven"
NOT_CONCLUDED = "NotConcluded"

# Of Kayenta's judge.
SCORE_PASSED = "ScorePassed"
SCORE_MARGINAL = "ScoreMarginal"
SCORE_FAILED = "ScoreFailed"
NOT_COMPARED = "NotCompared"

# Of histograms.
NO_INF_BUCKET = "NoInfBucket"
BAD_BUCKET_EDGE = "BadBucketEdge"
FALLING_BUCKETS = "FallingBuckets"
NO_COMMON_EDGE = "NoCommonEdge"

UNUSABLE_HISTOGRAM = frozenset({NO_INF_BUCKET, BAD_BUCKET_EDGE, FALLING_BUCKETS, NO_COMMON_EDGE})
"""The words of a histogram that cannot be judged: inconclusive, like missing data."""
