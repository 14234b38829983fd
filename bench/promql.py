"""What the evaluator costs: one simulated 85-minute release's scrapes and queries, without the controller.

Run `python bench/promql.py`. A shape like Hwayo's: 60 series scraped every 15 s, 9 trigger queries every 30 s
for each colour, gate queries every minute.
"""

import platform
import time

from controller.simulator.promql.engine import Engine
from controller.simulator.promql.provider import SimulatedPrometheus
from controller.simulator.promql.storage import Store, Target

MINUTES = 85
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf")

TRIGGERS = [
    'sum(rate(http_requests_total{namespace="$n",status=~"5.."}[5m])) / sum(rate(http_requests_total{namespace="$n"}[5m])) * 100',
    'histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{namespace="$n"}[5m])))',
    'avg(rate(container_cpu_usage_seconds_total{namespace="$n"}[5m])) * 100',
    'avg(container_memory_usage_bytes{namespace="$n"} / container_spec_memory_limit_bytes{namespace="$n"}) * 100',
    'sum(rate(user_login_success_total{namespace="$n"}[5m])) / sum(rate(user_login_attempts_total{namespace="$n"}[5m])) * 100',
    'sum(increase(submissions_ok_total{namespace="$n"}[5m])) / sum(increase(submissions_total{namespace="$n"}[5m])) * 100',
    'avg_over_time(report_success_ratio{namespace="$n"}[5m])',
    'min(up{namespace="$n"})',
    'sum(rate(http_requests_total{namespace="$n",status!~"5.."}[1m])) / sum(rate(http_requests_total{namespace="$n"}[1m])) * 100',
]
GATES = [
    'http_requests_total{namespace="$n"}[5m]',
    'sum by (status) (increase(http_requests_total{namespace="$n"}[15m]))',
    'max_over_time(db_connections{namespace="$n"}[5m])',
]


def series_of(store, namespace):
    names = ["user_login_success_total", "user_login_attempts_total", "submissions_ok_total", "submissions_total"]
    labels = [{"__name__": name, "namespace": namespace} for name in names]
    labels += [{"__name__": "http_requests_total", "namespace": namespace, "status": code} for code in ("200", "404", "500", "503")]
    labels += [{"__name__": "http_request_duration_seconds_bucket", "namespace": namespace, "le": le} for le in BOUNDS]
    gauges = ["container_memory_usage_bytes", "container_spec_memory_limit_bytes", "container_cpu_usage_seconds_total", "up"]
    labels += [{"__name__": name, "namespace": namespace, "pod": pod} for name in gauges for pod in ("a", "b")]
    labels += [{"__name__": name, "namespace": namespace} for name in ("report_success_ratio", "db_connections")]
    return [store.series(one) for one in labels]


def release(namespaces=("blue", "green")):
    store = Store()
    targets = [(Target(store), series_of(store, namespace)) for namespace in namespaces]
    prometheus = SimulatedPrometheus(Engine(store), lambda: 0.0)
    triggers = [query.replace("$n", namespace) for query in TRIGGERS for namespace in namespaces]
    gates = [query.replace("$n", namespace) for query in GATES for namespace in namespaces]
    scraping = asking = 0.0
    samples = queries = 0
    for second in range(0, MINUTES * 60, 15):
        began = time.perf_counter()
        for target, series in targets:
            target.ingest(1e9 + second, series, [second * (1.0 + index) for index in range(len(series))])
            samples += len(series)
        middle = time.perf_counter()
        due = (triggers if second % 30 == 0 else []) + (gates if second % 60 == 0 else [])
        for query in due:
            prometheus.query(query, 1e9 + second + 1)
        scraping += middle - began
        asking += time.perf_counter() - middle
        queries += len(due)
    return scraping, asking, samples, queries


def main():
    print(f"# {platform.machine()}, Python {platform.python_version()}")
    best = min((release() for _ in range(5)), key=lambda one: one[0] + one[1])
    scraping, asking, samples, queries = best
    print(f"samples   {samples:6d}   {scraping * 1000:7.1f} ms   {scraping / samples * 1e6:6.2f} us each")
    print(f"queries   {queries:6d}   {asking * 1000:7.1f} ms   {asking / queries * 1e6:6.2f} us each")
    print(f"releases a second and core, only this: {1 / (scraping + asking):.1f}")
    store = Store()
    target, series = Target(store), series_of(store, "green")
    for second in range(0, 5100, 15):
        target.ingest(1e9 + second, series, [second * (1.0 + index) for index in range(len(series))])
    engine = Engine(store)
    for query in (query.replace("$n", "green") for query in TRIGGERS + GATES):
        engine.query(query, 1e9 + 5000)
        began = time.perf_counter()
        for step in range(500):
            engine.query(query, 1e9 + 4000 + step * 2)
        print(f"{(time.perf_counter() - began) / 500 * 1e6:7.1f} us  {query}")


if __name__ == "__main__":
    main()
