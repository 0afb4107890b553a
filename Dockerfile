# Images of pixmill: `docker build --target cpu` and `--target cuda`. Both run every command; they differ in torch.
#
#   docker build --target cpu  --tag pixmill:cpu .
#   docker build --target cuda --tag pixmill:cuda .
#
# The steps are those of deploy/image/install.sh, which the tests run without docker.

# The minor version that pixmill is tested with.
ARG PYTHON_IMAGE=python:3.11.15-slim-bookworm

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY . .

# A mirror takes the place of PyPI for all packages: --build-arg PIP_INDEX_URL=https://…
FROM build AS build-cpu
ARG PIP_INDEX_URL
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN TORCH_INDEX="$TORCH_INDEX" deploy/image/install.sh /src /opt/pixmill

# torch of PyPI brings the CUDA libraries along (several GB); of the host it needs nothing but its driver.
FROM build AS build-cuda
ARG PIP_INDEX_URL
RUN deploy/image/install.sh /src /opt/pixmill

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS runtime
# A number that no other service uses: volumes, secret files and NFS exports name it. It needs no name and no home.
# What a new named volume is mounted over gives it its owner.
RUN install --directory --owner=10001 --group=10001 --mode=0750 /data
ENV PATH=/opt/pixmill/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    PIXMILL_HOME=/tmp/pixmill \
    PIXMILL_STORAGE_ROOT=/data
WORKDIR /
USER 10001:10001
ENTRYPOINT ["pixmill"]
CMD ["--help"]

FROM runtime AS cuda
# The driver's libraries for computing, and NVML, by which the load of GPUs is told; not those for graphics.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-cuda /opt/pixmill /opt/pixmill

# The last one is what `docker build` makes when it is not told a target.
FROM runtime AS cpu
COPY --from=build-cpu /opt/pixmill /opt/pixmill
