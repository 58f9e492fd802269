package main

import (
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/invopop/jsonschema"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/klauspost/compress/s2"
	_ "github.com/netresearch/go-cron"
	_ "github.com/pressly/goose/v3"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/prometheus/client_golang/prometheus/testutil"
	_ "github.com/santhosh-tekuri/jsonschema/v6"
	_ "github.com/sosodev/duration"
	_ "github.com/standard-webhooks/standard-webhooks/libraries/go"
	_ "github.com/tink-crypto/tink-go/v2/aead"
	_ "github.com/tink-crypto/tink-go/v2/keyset"
	_ "github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	_ "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	_ "go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	_ "go.opentelemetry.io/otel/sdk/trace"
	_ "go.yaml.in/yaml/v4"
	_ "golang.org/x/time/rate"
	_ "modernc.org/sqlite"
)
