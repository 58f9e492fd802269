package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func (p *program) keysCommand() *cli.Command {
	return group("keys", "look after the key that encrypts the secrets in the agent's database", p.keysRotateCommand())
}

func (p *program) keysRotateCommand() *cli.Command {
	return &cli.Command{
		Name:  "rotate",
		Usage: "encrypt every stored secret anew, with another key",
		Description: `Stop the agents, rotate, and start them with the new key. All secrets are
encrypted anew or none. The keys are read from variables, or from the files that
they name with _FILE behind: base64 of 32 bytes, or of a tink keyset.

   REMORA_ENCRYPTION_KEY       the key in use
   REMORA_NEW_ENCRYPTION_KEY   the key to come: openssl rand -base64 32

EXAMPLES:
   REMORA_NEW_ENCRYPTION_KEY_FILE=new.key remora keys rotate
   remora keys rotate --config /etc/remora/remora.yaml` + storeExits,
		Flags:  storeFlags(),
		Action: p.rotateKeys,
	}
}

func (p *program) rotateKeys(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if err := p.format(c); err != nil {
		return err
	}
	old, errOld := p.key("REMORA_ENCRYPTION_KEY", "the key in use")
	next, errNew := p.key("REMORA_NEW_ENCRYPTION_KEY", "the key to come")
	if err := errors.Join(errOld, errNew); err != nil {
		return misuse("%w", err)
	}
	return p.withStore(c, func(s *store.Store) error {
		n, err := s.RotateKeys(c.Context, old, next)
		if err != nil {
			return component.Explained(err)
		}
		if p.json {
			_, err = fmt.Fprintf(p.stdout, "{\"rotated\":%d}\n", n)
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "remora: %d secrets encrypted anew; start the agents with the new key\n", n)
		return err
	})
}

func (p *program) key(name, what string) (delivery.Secret, error) {
	key, err := component.ReadSecret(p.env, name)
	if err == nil && key.Empty() {
		return "", fmt.Errorf("%s: missing; it is %s", name, what)
	}
	return key, err
}
