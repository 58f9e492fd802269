package main

import (
	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/agent/api"
)

func (p *program) openapiCommand() *cli.Command {
	return &cli.Command{
		Name:  "openapi",
		Usage: "print the OpenAPI 3.1 document of the agent's API, as YAML",
		Description: `The agent serves it too, to whoever has a token: /api/v1/openapi.yaml and .json.

EXAMPLES:
   remora openapi > openapi.yaml`,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			text, err := api.OpenAPI()
			if err != nil {
				return err
			}
			_, err = p.stdout.Write(text)
			return err
		},
	}
}
