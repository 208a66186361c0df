# One image: gateway, shipper, portal and an embedded PostgreSQL, as an ordinary user.
# Pinned by version: where this was written no registry could be asked for a digest. Whoever builds for others adds one
# to both lines (python:3.13-slim-bookworm@sha256:...).
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/weir
COPY requirements.txt ./
RUN /opt/weir/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY meter ./meter
COPY gateway ./gateway
COPY billing ./billing
COPY deploy ./deploy
RUN /opt/weir/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="Weir" \
      org.opencontainers.image.licenses="AGPL-3.0-or-later"
# tini reaps what the supervisor's grandchildren leave, and passes signals on. Its version is Debian's: an exact one would
# be gone from the mirror at its next security update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /data weir \
    && install --directory --owner=weir --group=weir --mode=0700 /data
COPY --from=build /opt/weir /opt/weir
ENV PATH=/opt/weir/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    WEIR_DATA=/data \
    WEIR_GATEWAY_HOST=0.0.0.0 \
    WEIR_PORTAL_HOST=0.0.0.0
# By number, so that Kubernetes can see that it is not root; it has a name too, which PostgreSQL asks for.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 9000 9001
# Longer than worker_stop_timeout_s and the rest together: give `docker stop` a --time of 300.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9002/readyz', timeout=2)"]
ENTRYPOINT ["tini", "--", "weir"]
CMD ["up"]
