# The service in a container: locked dependencies, no build tools left behind, not root.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/runtime.txt requirements/
RUN python -m venv /opt/suyuan \
    && /opt/suyuan/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt
COPY . .
RUN pip install --no-cache-dir "setuptools>=80" wheel \
    && pip wheel --no-cache-dir --no-deps --no-build-isolation -w /wheels . \
    && /opt/suyuan/bin/pip install --no-cache-dir --no-deps /wheels/suyuan-*.whl

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install --no-install-recommends --yes libzbar0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/suyuan suyuan
COPY --from=build /opt/suyuan /opt/suyuan
ENV PATH=/opt/suyuan/bin:$PATH PYTHONUNBUFFERED=1
USER suyuan
WORKDIR /var/lib/suyuan
EXPOSE 7443
ENTRYPOINT ["suyuan"]
CMD ["operator", "serve", "--listen", "0.0.0.0:7443", "--json-logs"]
