# The controller and the command line. Build: docker build -t registry.example/penstock:0.1.0 .
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY analysis analysis
COPY controller controller
# Imports without bytecode take 2.5 times as long, and the file system is read-only later.
RUN python -m venv /opt/penstock \
 && /opt/penstock/bin/pip install --no-cache-dir --disable-pip-version-check . \
 && /opt/penstock/bin/python -m compileall -q /opt/penstock/lib \
 && /opt/penstock/bin/python -m pip uninstall --yes --quiet pip

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/penstock /opt/penstock
ENV PATH=/opt/penstock/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/opt/penstock/bin/penstock"]
CMD ["controller"]
