# A static binary in an empty image. Nothing in it but the program, the certificate
# authorities it trusts, and a directory for its data.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG RELEASE=
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.release=${RELEASE}" -o /out/patchbay .
RUN mkdir -p /out/data && chmod 0700 /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/patchbay /patchbay
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
WORKDIR /data
ENV PATCHBAY_LISTEN=0.0.0.0:8080 PATCHBAY_DATABASE=sqlite:/data/patchbay.db
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=6s CMD ["/patchbay", "healthcheck"]
ENTRYPOINT ["/patchbay"]
CMD ["serve"]
