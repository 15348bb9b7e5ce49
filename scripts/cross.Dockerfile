# The image that Cross.toml builds in: the C side of the toolchain that scripts/arm-toolchain installs, and a C compiler
# for the build scripts. The Rust compiler is mounted into it by cross.
FROM docker.io/library/debian:bookworm
ARG ARM_TARGET
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY arm-env /
RUN . /arm-env && arm_target "$ARM_TARGET" && \
    apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        ca-certificates gcc libc6-dev $(arm_packages) && \
    rm -r /var/lib/apt/lists/*
