# The operator. Build it from the root of the repository:
#   docker build --build-arg VERSION=v0.1.0 -t ghcr.io/gin-operator/gin-operator:v0.1.0 .
ARG GO_VERSION=1.26.8

# The builder runs on the machine's own platform and compiles for the wanted one.
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY *.go ./
COPY api/ api/
COPY controllers/ controllers/
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/manager .

FROM scratch
COPY --from=build /out/manager /manager
USER 65532:65532
ENTRYPOINT ["/manager"]
