// Package api is /api/v1: jobs ask for deliveries, build systems report, and
// operators look and replay.
package api

import _ "github.com/danielgtaylor/huma/v2/adapters/humago" // placeholder until the handlers stand
