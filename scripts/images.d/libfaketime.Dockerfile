# An official image with libfaketime added, from the packages of its own distribution so that the C library matches.
# scripts/images --official rabbitmq:4.1 builds it; variants on Alpine have another C library and are refused.
ARG BASE=rabbitmq:3.13
FROM ${BASE}
RUN apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends libfaketime \
    && rm -rf /var/lib/apt/lists/* \
    && ls /usr/lib/*/faketime/libfaketimeMT.so.1
