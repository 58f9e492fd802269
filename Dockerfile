# The image of the CI job: the binary, sh and CA certificates, nothing else.
FROM docker.io/library/golang:1.26-trixie AS build
ARG VERSION=""
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The commit is stamped into the binary from the clone, which another user owns.
RUN git config --system --add safe.directory /src \
 && CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.release=${VERSION}" -o /remora .

FROM docker.io/library/alpine:3.22
LABEL org.opencontainers.image.title="remora" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /remora /usr/local/bin/remora
# No ENTRYPOINT: the runner starts sh. No USER: the runner's helper lays out the
# job's folder as root, and report files are written there.
CMD ["sh"]
