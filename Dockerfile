# The service, the witness and the command line in a container: locked dependencies, no build tools left behind, not
# root. Name the base by its digest where you build for others: --build-arg BASE=python@sha256:…
ARG BASE=python:3.11.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY requirements/uv.txt requirements/build.txt requirements/runtime.txt requirements/
RUN python -m venv /opt/build
RUN /opt/build/bin/pip install --require-hashes -r requirements/uv.txt -r requirements/build.txt
RUN python -m venv --without-pip /opt/suyuan
RUN /opt/build/bin/uv pip install --python /opt/suyuan --require-hashes -r requirements/runtime.txt
COPY . .
RUN /opt/build/bin/uv build --python /opt/build --no-build-isolation --wheel --out-dir /wheels
RUN /opt/build/bin/uv pip install --python /opt/suyuan --no-deps --no-index --find-links /wheels suyuan

FROM ${BASE}
RUN apt-get update \
    && apt-get install --no-install-recommends --yes libzbar0 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/suyuan suyuan
COPY --from=build /opt/suyuan /opt/suyuan
ENV PATH=/opt/suyuan/bin:$PATH PYTHONUNBUFFERED=1
USER suyuan
WORKDIR /var/lib/suyuan
EXPOSE 7443 7480
ENTRYPOINT ["suyuan"]
CMD ["operator", "serve", "--listen", "0.0.0.0:7443", "--json-logs"]
