package api

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/danielgtaylor/huma/v2"
)

const documentType = "application/openapi+"

// OpenAPI is the OpenAPI 3.1 document of the API, as YAML: the one that is served.
func OpenAPI() ([]byte, error) {
	text, err := newServer(Options{}).render("yaml")
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	return text, nil
}

func (s *server) render(kind string) ([]byte, error) {
	if kind == "yaml" {
		return s.api.OpenAPI().YAML()
	}
	return json.Marshal(s.api.OpenAPI())
}

type documentOutput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        []byte
}

func (s *server) document(kind string) func(context.Context, *struct{}) (*documentOutput, error) {
	return func(ctx context.Context, _ *struct{}) (*documentOutput, error) {
		text, err := s.render(kind)
		if err != nil {
			return nil, fail(ctx, &problem{status: 500, title: "unexpected", detail: "The document could not be written.", reason: err.Error()})
		}
		return &documentOutput{ContentType: documentType + kind, Body: text}, nil
	}
}

var _ huma.StatusError = (*problem)(nil)
