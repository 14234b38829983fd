"""What the generated pages say beside what the code says: a sentence a phase, a reason a default, an example a model.

Data only. `tests/docs` holds each table against the code, so that nothing is missing and nothing is left over.
"""

from controller.api.plan_checks import BuiltIn
from controller.api.release import Phase

PHASES: dict[Phase, str] = {
    Phase.QUEUED: "Waits for the lock of its plan. Nothing was touched.",
    Phase.PREPARING: "Looks at what is there, refuses what is unsuitable, brings green up. Green has no traffic.",
    Phase.SHIFTING: "The grant is written, then the weight; then it waits until the observed split is the granted one.",
    Phase.MEASURING: "The window of a stage runs; at its end the checks are judged and the gates asked.",
    Phase.HOLDING: "Nothing moves: until a deadline, or until a person asks. Triggers stay on.",
    Phase.BAKING: "The window of the last stage: 100 % on green, blue kept at full size.",
    Phase.RETURNING: "Only `finish: {mode: home}`: the original gets the new image, then its traffic back.",
    Phase.ROLLING_BACK: "Every route goes to blue; then blue's pods and probes are looked at.",
    Phase.TEARING_DOWN: "Blue has everything. Green drains, then goes.",
    Phase.SUCCEEDED: "Green serves everybody. The old version is kept for the retention time.",
    Phase.ROLLED_BACK: "Everybody is on blue; green is gone, or stays without traffic.",
    Phase.REFUSED: "Nothing was touched; the reason says what is in the way.",
    Phase.HALTED: "Stopped for a person. Never toward green by itself; `penstock rollback` works.",
}

BUILTINS: dict[BuiltIn, str] = {
    BuiltIn.ERROR_RATE: "Percent of requests that failed: HTTP 5xx, no answer at all (code 0), and the gRPC codes of server faults.",
    BuiltIn.SUCCESS_RATE: "100 minus the error rate, percent.",
    BuiltIn.LATENCY: (
        "The quantile `quantile` (0.99) of the request duration, milliseconds. At a window's end a second query asks whether the buckets "
        "can be counted at all."
    ),
    BuiltIn.REQUEST_RATE: "Requests per second.",
    BuiltIn.CPU: "CPU used, percent of the limits of the pods' own containers; of the requests where nothing has a limit.",
    BuiltIn.MEMORY: "Working set, percent of the memory limit, averaged over the containers that have one.",
    BuiltIn.UP: "1 while every scraped pod answers its scrapes, else 0.",
    BuiltIn.UNROUTED: (
        "Percent of the requests to both hosts that reached no pod: no ready one was there (503 UH), or the caller's sidecar knew no such "
        "cluster or route (503 NC, 404 NR) and was asked by the Service's full name."
    ),
}

DEFAULTS: dict[str, str] = {
    "Probe.port": "The port that Services of web applications have most often.",
    "Probe.attempts": "One lucky answer of a starting process is not readiness.",
    "Probe.timeout": "A healthy endpoint answers in milliseconds; three seconds outlast a pause of the garbage collector.",
    "HttpProbe.port": "As for readiness probes.",
    "HttpProbe.timeout": "As for readiness probes.",
    "Bypass.value": "What people type: `canary: true`.",
    "Traffic.metrics": "Istio is what the routes belong to; its metrics show what really arrived.",
    "Traffic.reporter": "Only the source sees requests that reached no pod.",
    "Traffic.scrape_interval": "What Istio's own Prometheus example uses.",
    "Traffic.gitops": "A tool that writes the weights back would undo a rollback.",
    "Stage.window": "20 scrapes of 15 s: enough for a rate that does not jump.",
    "Stage.warm_up": "Connection pools, caches and just-in-time compilers start cold; blue did that long ago.",
    "Stage.min_requests": "Below this an error rate of 1 % is one request.",
    "Tolerance.ratio": "A tenth more errors than blue wakes nobody; a test for exactly equal would find some difference in the end.",
    "Margin.ratio": "Half as many errors again is what nobody would ship knowingly.",
    "Margin.difference": "Of a blue without errors, one request in 200.",
    "Analysis.beta": "One bad release in twenty may leave a stage too soon, and is still watched in all that follow.",
    "Analysis.alpha": "One healthy release in a hundred goes back for nothing, at most, however long it is watched.",
    "EffectSize.measure": "What a canaryConfig without a word means.",
    "Kayenta.step": "As Kayenta's pipelines ask by default; a 5 minute window then has five values, the fewest that can be judged.",
    "KayentaMetric.direction": "What a canaryConfig without a word means.",
    "KayentaMetric.nan_strategy": "What a canaryConfig without a word means.",
    "Outliers.outlier_factor": "The original's own.",
    "Outliers.strategy": "What a canaryConfig without a word means.",
    "ScoreThresholds.marginal": "As Kayenta's own examples have it.",
    "ScoreThresholds.passing": "As Kayenta's own examples have it.",
    "CheckBase.quantile": "The slow end is where a bad version shows first.",
    "Trigger.quantile": "As for checks.",
    "NoData.deadline": "Longer than a restart of Prometheus with its log to replay; short enough that nobody forgets the release.",
    "NoData.then": "What cannot be judged should not keep its traffic for ever.",
    "Trigger.interval": "Shorter than a usual scrape interval: a bad sample waits for the scrape, not for us.",
    "Trigger.range": "Four scrapes of 15 s: `rate()` needs two, and one may be lost.",
    "Preparation.green": "Needs nothing but a new image.",
    "Preparation.deadline": "Large images and slow starts; a pod that is not ready after ten minutes will not be.",
    "Preparation.restarts": "A first crash may be a race at the start; a fourth is none.",
    "Preparation.route_delay": "Istio may hold a change back for up to 10 s, then it has to travel. Before that users would see 503 NC.",
    "Preparation.size": "Green must be able to take everything, blue's size is known to be enough.",
    "Settle.deadline": "Several scrapes, even where the proxies were slow.",
    "Settle.min_requests": "With fewer, 5 % and 10 % cannot be told apart.",
    "Settle.time": "For meshes without these metrics: longer than Istio's longest debounce (10 s) and the way to the proxies.",
    "Rollback.traffic": "A write takes milliseconds; 30 s includes an API server that restarts.",
    "Rollback.blue_ready": "Blue was kept at full size, so it should be ready at once; an evicted pod needs a start.",
    "Rollback.blue_healthy": "A few probes.",
    "Rollback.teardown": "The usual grace period of a pod is 30 s.",
    "Rollback.drain": "Requests under way and keep-alive connections end.",
    "Rollback.drain_deadline": "As for missing data: then a person decides; green stays at weight 0.",
    "Finish.mode": "What was judged is what serves.",
    "Finish.retention": "Most regrets come within minutes; until then the way back is one write.",
    "Finish.then": "Nothing that others made is deleted.",
    "History.releases": "A few weeks of a team that releases often.",
    "History.megabytes": "Records of ten releases are far below; a bound for what lies in etcd.",
    "PlanSpec.concurrency": "A pipeline that runs twice should not undo itself.",
}
"""`Model.field` to the reason for its default; every field with a default other than nothing or false."""

PLAN_EXAMPLES: dict[str, str] = {
    "EffectSize": """
checks:
  - name: canary
    method: kayenta
    kayenta:
      metrics:
        - {name: errors, groups: [all], query: 'sum(errors{service="$service"})', effectSize: {allowedIncrease: 1.2, criticalIncrease: 2}}
""",
    "KayentaMetric": """
checks:
  - name: canary
    method: kayenta
    kayenta:
      metrics:
        - {name: errors, groups: [all], query: 'sum(errors{service="$service"})', nanStrategy: replace, critical: true}
""",
    "Outliers": """
checks:
  - name: canary
    method: kayenta
    kayenta:
      metrics:
        - {name: errors, groups: [all], query: 'sum(errors{service="$service"})', outliers: {strategy: remove}}
""",
    "ScoreThresholds": """
checks:
  - name: canary
    method: kayenta
    kayenta:
      scoreThresholds: {pass: 90, marginal: 50}
      metrics:
        - {name: errors, groups: [all], query: 'sum(errors{service="$service"})'}
""",
    "Analysis": """
analysis: {alpha: 0.001, dispersion: 3, errorRate: 0.2}
checks:
  - {name: error-rate, builtin: error-rate, method: sequential}
  - {name: latency, builtin: latency, method: sequential}
""",
    "Counters": """
checks:
  - name: payments
    counters:
      total: payments_total{namespace="$namespace",version="$revision"}
      bad: payments_total{namespace="$namespace",version="$revision",result!="paid"}
    tolerance: {ratio: 1.2, difference: 0.1}
""",
    "Kayenta": """
checks:
  - name: canary
    method: kayenta
    stages: [50]
    kayenta:
      step: 30s
      groupWeights: {errors: 60, latency: 40}
      metrics:
        - name: error rate
          groups: [errors]
          direction: increase
          critical: true
          effectSize: {allowedIncrease: 1.2}
          query: >-
            sum(rate(http_requests_total{namespace="$namespace",workload="$workload",code=~"5.."}[1m])) or vector(0)
        - name: latency
          groups: [latency]
          direction: increase
          query: >-
            sum(rate(http_seconds_sum{namespace="$namespace",workload="$workload"}[1m]))
            / sum(rate(http_seconds_count{namespace="$namespace",workload="$workload"}[1m]))
""",
    "Margin": """
stages:
  - {weight: 10, window: 10m, earlyAfter: 2m}
  - {weight: 100}
checks:
  - {name: error-rate, builtin: error-rate, margin: {ratio: 1.5, difference: 0.5}}
  - {name: latency, builtin: latency}
""",
    "Measured": """
analysis:
  measured:
    until: 1795262400
    hours: 24
    checks:
      - {builtin: error-rate, workload: shop, lines: [{share: 0.48, bursts: 1.1, widest: 1.4}]}
""",
    "MeasuredCheck": """
analysis:
  measured:
    until: 1795262400
    hours: 24
    checks:
      - builtin: latency
        workload: shop
        lines: [{edge: 100, share: 12, bursts: 1, widest: 1.2}, {edge: 500, share: 0.6, bursts: 1.3, widest: 1.9}]
""",
    "MeasuredGauge": """
analysis:
  measured:
    until: 1795262400
    hours: 24
    checks: [{builtin: error-rate, workload: shop, lines: [{share: 2, bursts: 4, widest: 4.5}]}]
    gauges: [{check: memory, asked: 3f2a81c09d7e, variance: 0.9}]
""",
    "MeasuredLine": """
analysis:
  measured: {until: 1795262400, hours: 24, checks: [{builtin: error-rate, workload: shop, lines: [{share: 2, bursts: 4, widest: 4.5}]}]}
""",
    "Tolerance": """
checks:
  - {name: error-rate, builtin: error-rate, method: sequential, tolerance: {ratio: 1.2, difference: 0.1}, effect: 2}
""",
    "PlanSpec": """
workload: shop
traffic: {virtualService: shop}
stages:
  - {weight: 10, window: 10m}
  - {weight: 100, window: 15m}
""",
    "Member": """
members:
  - {name: web, workload: shop-web, configMaps: [shop-config]}
  - {name: api, workload: shop-api, service: api, container: app, environment: {LOG_LEVEL: info}, references: {api-config: api-config-2}}
""",
    "Probe": """
members:
  - {name: web, workload: shop-web, probe: {path: /health, port: 8080, attempts: 5, timeout: 2s, statuses: [200]}}
""",
    "Slot": """
slots:
  - {name: production}
  - {name: production-green, namespace: shop-green}
""",
    "Traffic": """
traffic:
  virtualServices: [{name: shop}, {name: shop-internal, namespace: mesh}]
  reporter: source
  scrapeInterval: 15s
""",
    "VirtualServiceRef": """
traffic:
  virtualServices:
    - {name: shop, routes: [checkout, search]}
""",
    "Bypass": """
traffic:
  virtualServices:
    - {name: shop, routes: [weighted], bypass: [{route: testers, header: x-tester, value: "yes"}, {route: beta, cookie: beta, value: "1"}]}
""",
    "Preparation": """
preparation: {green: clone, deadline: 10m, restarts: 1, routeDelay: 12s, size: blue}
""",
    "Stage": """
stages:
  - {weight: 5, window: 15m, minRequests: 500}
  - {weight: 50, window: 30m, hold: true}
  - {weight: 100, window: 10m}
""",
    "Settle": """
settle: {deadline: 3m, minRequests: 400}
""",
    "Check": """
checks:
  - {name: error-rate, builtin: error-rate, limit: {below: 1}}
  - name: login-success
    query: >-
      100 * sum(rate(user_login_success_total{namespace="$namespace",workload="$workload"}[$window]))
      / sum(rate(user_login_attempts_total{namespace="$namespace",workload="$workload"}[$window]))
    unit: "%"
    limit: {min: 95}
    stages: [25, 50, 100]
""",
    "Limit": """
checks:
  - {name: latency-p95, builtin: latency, quantile: 0.95, limit: {max: 2000, maxRatio: 1.2}}
""",
    "NoData": """
checks:
  - {name: error-rate, builtin: error-rate, limit: {max: 1}, noData: {deadline: 30m, then: rollback}}
""",
    "Repeat": """
triggers:
  - {name: errors, builtin: error-rate, limit: {max: 5}, repeat: {failures: 3, of: 5}}
""",
    "Trigger": """
triggers:
  - {name: errors, builtin: error-rate, interval: 5s, range: 1m, limit: {maxDifference: 5}, repeat: {consecutive: 2}}
""",
    "HttpProbe": """
triggers:
  - {name: health, probe: {path: /health, port: 8080}, interval: 30s, repeat: {consecutive: 3}}
""",
    "Group": """
triggers:
  - {name: errors, builtin: error-rate, limit: {max: 10}, together: sick}
  - {name: slow, builtin: latency, limit: {max: 1000}, together: sick}
  - {name: memory, builtin: memory, limit: {max: 90}, together: sick}
groups:
  - {name: sick, failing: 3}
""",
    "Rollback": """
rollback: {traffic: 30s, blueReady: 2m, blueHealthy: 1m, drain: 30s, teardown: 1m}
""",
    "Finish": """
finish: {mode: swap, retention: 24h, size: 1, then: delete}
""",
    "History": """
history: {releases: 20, age: 90d, megabytes: 20}
""",
}
"""An example for each model of the plan: a part of `spec`."""

FAULTS: dict[str, str] = {
    "crash": "The controller is killed and a new one starts.",
    "pause": "The leader stands still, as under SIGSTOP; a second replica takes over when the lease has run out.",
    "old-schema": "Another controller takes over and finds definitions of another version served; at the end the first one comes back.",
    "prometheus-down": "Prometheus refuses connections.",
    "prometheus-empty": "Every answer has no series.",
    "prometheus-nan": "Every sample is NaN.",
    "prometheus-inf": "Every sample is +Inf.",
    "prometheus-many": "Every answer has each series twice, the second time with the value 0.",
    "prometheus-stale": "Every answer is as it was when the fault began.",
    "prometheus-error": "Every answer is a 500.",
    "prometheus-slow": "No answer comes in time.",
    "prometheus-partial": "Every answer carries a warning, as Thanos gives when a store is down.",
    "counter-reset": "Every process that exposes counters starts anew: they begin at zero.",
    "api-down": "The API server cannot be reached.",
    "api-conflict": "The next write is refused: somebody wrote in between.",
    "api-lost-answer": "The next write is applied, and its answer is lost.",
    "api-throttled": "Every request is answered 429, with `seconds` to wait.",
    "api-error": "Every request is answered 500.",
    "token-expired": "Every request is answered 401.",
    "rights-removed": "Every request is answered 403.",
    "admission-down": "A webhook in front of routes and workloads cannot be reached, so that writes to them fail.",
    "admission-denies": "A webhook denies every write of the controller to routes and workloads.",
    "admission-changes": "A webhook adds an annotation to what the controller writes.",
    "events-refused": "Events cannot be written.",
    "stale-reads": "Reads through the controller's cache are `seconds` late.",
    "silence": "The watches stay open and say nothing; at the end everything is listed anew.",
    "odd-order": "Kinds are late by different parts of `seconds`, and every change is told three times.",
    "control-plane-down": "istiod sends nothing to the proxies.",
    "clock-jump": "The controller's clock jumps by `seconds`.",
    "drift": "Somebody writes green's `weight` on `target` by hand.",
    "delete": "Somebody deletes `target`.",
    "patch": "Somebody sends the merge patch `patch` to `target`.",
    "evict": "A pod of the Deployment `target` is evicted.",
    "unready": "One pod of the Deployment `target` runs and is not ready; without `eachPod` it stands for all of them.",
    "probe": "The health probes of `colour` fail.",
}
