# swebench-lite:py3.10: Python 3.10 with pytest, numpy and pandas, git, and what a machine of E2B needs. One recipe for the docker, oci and e2b backends: docs/images.md.
# No stage, no COPY: E2B builds templates from it as it is.
ARG BASE=python:3.10-slim
FROM ${BASE}
RUN apt-get update \
  && apt-get install -y --no-install-recommends e2fsprogs git patch util-linux \
  && rm -rf /var/lib/apt/lists/*
RUN python3 -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore pytest==8.4.2 numpy==2.2.6 pandas==2.3.3
WORKDIR /testbed
