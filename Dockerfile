# docker build -t alertbot .
# Two stages: what builds stays behind; the image that runs has no compiler, no cache and no package index in it.

# By the digest of the index of all platforms, so that the same commit is always built on the same image; the tag is only
# for readers. `docker buildx imagetools inspect python:3.11-slim-bookworm` tells the digest of the newest one.
ARG PYTHON_IMAGE=python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# The lock covers development too. Every file of it is fetched against its hash into one folder; from here on nothing is
# fetched any more, so whatever is installed was checked, and is of the version that the lock names.
COPY requirements.lock .
# hadolint ignore=DL3013
RUN pip download --require-hashes --no-deps --only-binary :all: --dest wheels --requirement requirements.lock \
    && pip install --no-index --find-links wheels hatchling

# The wheel, and with it its own dependencies; nothing of what was only needed to build and to test.
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY alertbot alertbot
# hadolint ignore=DL3013
RUN pip wheel --no-index --no-deps --no-build-isolation --wheel-dir wheels . \
    && python -m venv --without-pip /opt/alertbot \
    && pip --python /opt/alertbot/bin/python install --no-index --find-links wheels alertbot


FROM ${PYTHON_IMAGE}
RUN groupadd --system --gid 10001 alertbot \
    && useradd --system --no-log-init --uid 10001 --gid alertbot --no-create-home --home-dir /data alertbot \
    && install --directory --owner alertbot --group alertbot /data
COPY --from=build /opt/alertbot /opt/alertbot

# 127.0.0.1, the default, could not be reached from outside the container.
ENV PATH=/opt/alertbot/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ALERTBOT_HTTP__LISTEN=0.0.0.0:8080

# The SQLite file and config.yaml are looked for in the working folder. The user is a number, so that an orchestrator can
# see that it is not root.
WORKDIR /data
VOLUME /data
USER 10001
EXPOSE 8080

HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['ALERTBOT_HTTP__LISTEN'].rpartition(':')[2] + '/healthz', timeout=4)"]

ENTRYPOINT ["alertbot"]
CMD ["run"]
